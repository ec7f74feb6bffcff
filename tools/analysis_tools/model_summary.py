"""Print the size of a config's model: parameters, trained ones, and visual tokens before and after compression.

    python tools/analysis_tools/model_summary.py configs/lavida_7b.py
    python tools/analysis_tools/model_summary.py configs/lavida_7b.py --cfg-options model.mllm.train_embeddings=all
    python tools/analysis_tools/model_summary.py configs/lavida_tiny.py --size 96 96 --json

The model is built on the meta device: no weights are needed, and the 7B model takes a second.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils.errors import UsageError, config_errors, run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--frames', type=int, help="frames of the clip (the config's window)")
    parser.add_argument(
        '--size', type=int, nargs=2, default=(720, 1280), metavar=('H', 'W'), help='of the frames (720 1280)'
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of tables')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='values over those of the config: a.b=1 c=[1,2]'
    )
    return parser.parse_args()


def build_on_meta(config: Any) -> Any:
    """The config's model, with shapes and no weights."""
    import torch

    from lavida_mm.registry import MODELS

    with torch.device('meta'):
        return MODELS.build(config.model)


def most_tokens(mllm: Any, num_frames: int, training: bool) -> int:
    """Visual tokens of a clip whose frames fill the pixel budget; a family with frames of one size has no other."""
    shown = min(num_frames, mllm.llm_sample_frames or num_frames)
    budget = mllm.pixel_budget(num_frames > 1, training)
    if mllm.family.patch_grid is None:
        return mllm.family.count_tokens(shown, 1, 1, budget)
    return math.ceil(shown / mllm.family.patch_grid.temporal) * budget[1]


def count_tokens(model: Any, num_frames: int, size: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Visual tokens of a clip before and after compression, for this size and at most, in training and at test."""
    mllm, compressor = model.mllm, model.compressor
    tokens = {}
    for phase, training in (('training', True), ('test', False)):
        most = most_tokens(mllm, num_frames, training)
        before = mllm.count_visual_tokens(num_frames, *size, training=training)
        kept = [compressor.count_kept(number) if compressor is not None else number for number in (before, most)]
        tokens[phase] = {'before': before, 'after': kept[0], 'most_before': most, 'most_after': kept[1]}
    return tokens


def summarise(config: Any, num_frames: int | None, size: tuple[int, int]) -> dict[str, Any]:
    """All figures of one config."""
    from lavida_mm.models.parameter_table import collect_parts, count

    model = build_on_meta(config)
    parts = {name: count(parameters) for name, parameters in collect_parts(model).items()}
    summary = {'parts': parts, 'total': count(model.parameters())}
    if hasattr(model, 'mllm'):
        if num_frames is None:
            num_frames = config.test_dataloader.dataset.window
        summary['mllm_billions'] = parts['mllm']['parameters'] / 1e9
        summary['clip'] = {'frames': num_frames, 'height': size[0], 'width': size[1]}
        summary['visual_tokens'] = count_tokens(model, num_frames, size)
    return summary


def format_billions(billions: float) -> str:
    """A number of parameters in billions, or in millions where there are few."""
    return f'{billions:.2f} B' if billions >= 0.1 else f'{1000 * billions:.2f} M'


def describe(summary: dict[str, Any]) -> str:
    """The summary as tables."""
    from lavida_mm.models.parameter_table import format_parts, format_table

    text = format_parts(summary['parts'], summary['total'])
    if 'visual_tokens' in summary:
        clip = summary['clip']
        rows = [('visual tokens', 'before', 'after', 'at most', 'at most after')]
        for phase, tokens in summary['visual_tokens'].items():
            rows.append((phase, *(f'{number:,}' for number in tokens.values())))
        text += f'\nMLLM: {format_billions(summary["mllm_billions"])} parameters\n'
        text += f'clip of {clip["frames"]} frames, {clip["height"]} x {clip["width"]} pixels\n\n{format_table(rows)}'
    return text


def main() -> None:
    """Build, count and print."""
    args = parse_args()
    if args.frames is not None and args.frames < 1:
        raise UsageError(f'--frames must be at least 1, got {args.frames}')
    if min(args.size) < 1:
        raise UsageError(f'--size must be at least 1 x 1, got {args.size[0]} x {args.size[1]}')
    from lavida_mm.engine.launch import load_config

    config = load_config(args.config, args.cfg_options)
    with config_errors(args.config):
        summary = summarise(config, args.frames, tuple(args.size))
    sys.stdout.write((json.dumps(summary, indent=2) if args.json else describe(summary)) + '\n')


if __name__ == '__main__':
    run_tool(main)
