"""Turn a training checkpoint into a small safetensors file: weights only, with a few lines on where they come from."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils.errors import DataError, UsageError, run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'checkpoint', type=Path, help='checkpoint written by tools/train.py (.pth), or its work dir: the last one'
    )
    parser.add_argument('output', type=Path, help='file to write (.safetensors)')
    parser.add_argument('--prefix', nargs='*', default=[], help='keep only weights whose name starts with one of these')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.output.suffix != '.safetensors':
        raise UsageError(f'output must end in .safetensors, got {args.output}')

    from mmengine.runner.checkpoint import CheckpointLoader
    from safetensors.torch import save_file

    from lavida_mm import __version__
    from lavida_mm.engine import find_last_checkpoint, read_checkpoint_shapes
    from lavida_mm.utils.atomic import atomic_path

    path = find_last_checkpoint(args.checkpoint) if args.checkpoint.is_dir() else args.checkpoint
    if path is None or not path.is_file():
        raise DataError(f'no checkpoint found: {args.checkpoint}')
    read_checkpoint_shapes(path)  # refuses what is no checkpoint
    checkpoint = CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    meta = checkpoint.get('meta', {})
    weights = {
        name: weight.clone().contiguous()
        for name, weight in checkpoint.get('state_dict', checkpoint).items()
        if not args.prefix or name.startswith(tuple(args.prefix))
    }
    if not weights:
        raise UsageError(f'--prefix {args.prefix}: no weight of {args.checkpoint} starts so')
    args.output.parent.mkdir(parents=True, exist_ok=True)
    facts = dict(
        format='pt', lavida_mm=__version__, iterations=str(meta.get('iter', '')), seed=str(meta.get('seed', ''))
    )
    with atomic_path(args.output) as temporary:
        save_file(weights, temporary, metadata=facts)
    size = args.output.stat().st_size / 1e6
    print(f'{args.output}: {len(weights)} tensors, {sum(w.numel() for w in weights.values()):,} values, {size:.2f} MB')


if __name__ == '__main__':
    run_tool(main)
