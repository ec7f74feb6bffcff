"""Make a contact sheet of clips with pasted objects.

    python tools/analysis_tools/make_paste_picture.py configs/examples/tiny_paste.py

draws clips from the training set of a config and writes docs/assets/only_normal_footage.png: a row per clip with its
frames, the target outlined in red, and the words of the prompt below, the target's first and in red.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils.errors import config_errors, run_tool

TEXT_HEIGHT = 18
COLOURS = 256  # fewer than the frames have, for a small file
RED, BLACK = (255, 0, 0), (0, 0, 0)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--out', type=Path, default=Path('docs/assets/only_normal_footage.png'), help='PNG (%(default)s)'
    )
    parser.add_argument('--clips', type=int, default=6, help='number of clips (%(default)s)')
    parser.add_argument('--columns', type=int, default=2, help='clips beside each other (%(default)s)')
    parser.add_argument('--height', type=int, default=96, help='height of a frame, in pixels (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of what is drawn (%(default)s)')
    args = parser.parse_args(argv)
    for name in ('clips', 'columns', 'height'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1, got {getattr(args, name)}')
    if args.clips % args.columns:
        parser.error(f'--clips must be a multiple of --columns, got {args.clips} and {args.columns}')
    return args


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    import numpy as np
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from PIL import Image

    from lavida_mm.registry import DATASETS
    from lavida_mm.utils import atomic_path

    with config_errors(args.config):
        config = Config.fromfile(args.config)
        init_default_scope('lavida_mm')
        dataset = DATASETS.build(config.train_dataloader.dataset)
    np.random.seed(args.seed)
    strips = [draw_strip(dataset[number % len(dataset)], args.height) for number in range(args.clips)]
    width = max(strip.shape[1] for strip in strips)
    strips = [np.pad(strip, [(0, 0), (0, width - strip.shape[1]), (0, 0)], constant_values=255) for strip in strips]
    rows = [np.hstack(strips[start : start + args.columns]) for start in range(0, len(strips), args.columns)]
    with atomic_path(args.out) as path:
        Image.fromarray(np.vstack(rows)).quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(args.out)


def draw_strip(item, height):
    """The frames of one clip beside each other, the prompt's words below: uint8 (h, w, 3), RGB."""
    import cv2
    import numpy as np

    sample = item['data_samples']
    frames = []
    for frame, mask in zip(item['inputs'].numpy().transpose(0, 2, 3, 1), sample.gt_masks.numpy(), strict=True):
        size = (round(frame.shape[1] * height / frame.shape[0]), height)
        shown = cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_AREA)
        large = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        outlines = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        frames.append(cv2.drawContours(shown, outlines, -1, RED, 1))
    strip = np.pad(np.hstack(frames), [(0, TEXT_HEIGHT), (0, 6), (0, 0)], constant_values=255)
    labels = sample.gt_category_labels.tolist()
    words = sorted(zip(sample.categories, labels, strict=True), key=lambda pair: -pair[1])
    x = 2
    for place, (word, label) in enumerate(words):
        text = word + (', ' if place + 1 < len(words) else '')
        cv2.putText(
            strip, text, (x, height + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.36, RED if label else BLACK, 1, cv2.LINE_AA
        )
        x += cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.36, 1)[0][0]
    return strip


if __name__ == '__main__':
    run_tool(main)
