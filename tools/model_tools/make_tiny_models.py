"""Build the tiny multimodal LLM and the tiny CLIP text encoder that run on a laptop, in the Hugging Face format."""

import argparse
import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils.errors import DataError, UsageError, run_tool

FAMILY_FOLDERS = {
    'qwen2_vl': 'mllm',
    'qwen2_5_vl': 'mllm_qwen2_5',
    'qwen3_vl': 'mllm_qwen3',
    'internvl': 'mllm_internvl',
    'llava_onevision': 'mllm_llava_onevision',
    'smolvlm': 'mllm_smolvlm',
}
WIDE_FOLDER = 'mllm_wide'
CLIP_FOLDER = 'clip_text'

logger = logging.getLogger('make_tiny_models')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('checkpoints/tiny'), help='folder to write into')
    parser.add_argument('--seed', type=int, default=0, help='seed of the random weights')
    parser.add_argument(
        '--family',
        nargs='+',
        choices=sorted(FAMILY_FOLDERS),
        default=['qwen2_vl'],
        help='families of multimodal LLMs to build',
    )
    parser.add_argument(
        '--wide',
        action='store_true',
        help='only the Qwen2-VL that can follow motion, for configs/pretrain/tiny_mllm.py',
    )
    parser.add_argument(
        '--words', nargs='+', default=[], metavar='WORD', help='further words that their tokenizers shall know'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace models that are there')
    return parser.parse_args()


def write_folder(folder: Path, save: Callable[[Path], None]) -> None:
    """Fill a folder, so that it is whole or absent, and say how large it is."""
    from lavida_mm.utils.atomic import atomic_folder

    with atomic_folder(folder) as temporary:
        save(temporary)
    size = sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
    logger.info('%s: %.2f MB', folder, size / 1e6)


def main() -> None:
    """Build and write what was asked for."""
    args = parse_args()
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    from lavida_mm.models.tiny.builders import save_tiny_clip_text, save_tiny_mllm

    if args.wide:
        if args.family != ['qwen2_vl']:
            raise UsageError(f'--wide: must stand without another --family, got {" ".join(args.family)}')
        folders = {args.out / WIDE_FOLDER: 'qwen2_vl'}
    else:
        folders = {args.out / FAMILY_FOLDERS[family]: family for family in args.family}
    taken = [str(folder) for folder in folders if folder.exists()]
    if taken and not args.overwrite:
        raise DataError(f'--out: {", ".join(taken)} exists already; --overwrite replaces it')
    for folder, family in folders.items():
        write_folder(folder, partial(save_tiny_mllm, family=family, wide=args.wide, words=args.words, seed=args.seed))
    clip = args.out / CLIP_FOLDER
    if args.overwrite or not clip.exists():  # serves every family
        write_folder(clip, partial(save_tiny_clip_text, words=args.words, seed=args.seed))


if __name__ == '__main__':
    run_tool(main)
