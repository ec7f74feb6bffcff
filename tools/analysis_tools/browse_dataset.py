"""See what a config trains on: contact sheets of its first samples, with mask, prompt and target.

    python tools/analysis_tools/browse_dataset.py configs/lavida_tiny.py --num 24

Writes one PNG per sample and index.html, which shows them all: frames with the mask, the words of the prompt,
the target in colour. The line under a frame is orange where the frame is anomalous.
"""

import argparse
import html
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils.errors import UsageError, config_errors, run_tool

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ background: #181c22; color: #eceef1; font: 16px sans-serif; margin: 24px; }}
img {{ display: block; max-width: 100%; margin-bottom: 24px; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{note}</p>
{sheets}
</body>
</html>
"""


def parse_args(argv=None) -> argparse.Namespace:
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--num', type=int, default=24, metavar='N', help='samples (24)')
    parser.add_argument('--seed', type=int, default=0, help='of the sampling (0)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/browse_dataset'), help='folder to write to')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='values over those of the config: a.b=1'
    )
    args = parser.parse_args(argv)
    if args.num < 1:
        parser.error(f'--num must be at least 1, got {args.num}')
    return args


def describe(sample) -> str:
    """What stands above a contact sheet."""
    frames = sample.frame_inds
    video = sample.get('video_id', '?')
    where = f'{video}, frames {int(frames[0])} to {int(frames[-1])}' if len(frames) > 1 else f'{video}'
    verdict = 'positive' if bool(sample.gt_frame_labels.any()) else 'negative'
    return f'{sample.get("source", "?")}   {where}   {verdict}'


def main() -> None:
    args = parse_args()

    import cv2
    from tqdm import tqdm

    from lavida_mm.datasets.training_stream import TrainingStream
    from lavida_mm.engine.launch import load_config
    from lavida_mm.utils.atomic import atomic_path
    from lavida_mm.visualization import draw_contact_sheet

    config = load_config(args.config, args.cfg_options)
    with config_errors(args.config):
        stream = TrainingStream(config, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    shown = []
    for number, item in enumerate(tqdm(stream.draw(args.num), total=args.num, unit='sample')):
        sample = item['data_samples']
        if 'gt_masks' not in sample or 'categories' not in sample:
            raise UsageError(f'{args.config}: its training samples hold no mask and words: nothing to show')
        title = describe(sample)
        sheet = draw_contact_sheet(
            item['inputs'].permute(0, 2, 3, 1).numpy(),
            sample.gt_masks.numpy(),
            categories=sample.categories,
            targets=sample.gt_category_labels.bool().tolist(),
            title=title,
        )
        name = f'{number:04d}.png'
        with atomic_path(args.out / name) as temporary:
            temporary.write_bytes(cv2.imencode('.png', cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())
        shown.append(f'<img src="{name}" alt="{html.escape(title + ": " + ", ".join(sample.categories))}">')
    note = (
        f'{len(shown)} samples with seed {args.seed}; the target is orange, and so is the line under anomalous frames.'
    )
    with atomic_path(args.out / 'index.html') as temporary:
        page = PAGE.format(title=html.escape(str(args.config)), note=note, sheets='\n'.join(shown))
        temporary.write_text(page, encoding='utf-8')
    print(args.out / 'index.html')


if __name__ == '__main__':
    run_tool(main)
