"""Retrain the tiny LAVIDA from nothing, pretraining stand-in included, and evaluate it: one command per seed.

Random parts -> pixel-text alignment (the stand-in for the pretraining of CLIP and SAM) -> LAVIDA on
pseudo-anomalies -> zero-shot evaluation on the benchmark of the synthetic world. Finished steps are not repeated.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lavida_mm.utils.atomic import write_json
from lavida_mm.utils.errors import DataError, run_tool

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'configs/lavida_tiny.py'
ALIGNED = ('segmenter.image_encoder.', 'text_encoder.', 'similarity.')  # what LAVIDA takes over


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=0, help='seed of the weights and of the training')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/retrain_tiny'), help='folder to write to')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads; more do not help a model this small')
    parser.add_argument('--cfg-options', nargs='*', default=[], help='handed on to the training of LAVIDA and its test')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    out = args.out / f'seed{args.seed}'
    out.mkdir(parents=True, exist_ok=True)
    pixel_text = out / 'pixel_text.safetensors'
    weights = out / 'lavida_tiny.safetensors'
    parts = [
        f'model.mllm.pretrained={out}/tiny/mllm',
        f'model.text_encoder.pretrained={out}/tiny/clip_text',
        f'model.text_encoder.init_cfg.checkpoint={pixel_text}',
        f'model.projector.similarity.init_cfg.checkpoint={pixel_text}',
        f'model.mask_head.segmenter.image_encoder.init_cfg.checkpoint={pixel_text}',
        *args.cfg_options,
    ]
    alignment = ['configs/pretrain/tiny_segmenter_text.py', '--work-dir', out / 'pixel_text', '--seed', args.seed]
    alignment += ['--resume', '--cfg-options', f'model.text_encoder.pretrained={out}/tiny/clip_text']
    training = [CONFIG, '--work-dir', out / 'lavida', '--seed', args.seed, '--resume', '--cfg-options', *parts]
    publish = ['tools/model_tools/publish_checkpoint.py']
    steps = [
        (None, ['tools/dataset_tools/make_synthetic_world.py']),
        (out / 'tiny', ['tools/model_tools/make_tiny_models.py', '--out', out / 'tiny', '--seed', args.seed]),
        (pixel_text, ['tools/train.py', *alignment]),
        (pixel_text, [*publish, out / 'pixel_text', pixel_text, '--prefix', *ALIGNED]),
        (weights, ['tools/train.py', *training]),
        (weights, [*publish, out / 'lavida', weights]),
        (None, ['tools/test.py', CONFIG, weights, '--work-dir', out / 'test', '--cfg-options', *parts]),
    ]
    pending = [command for product, command in steps if product is None or not product.exists()]
    seconds = {}
    for number, command in enumerate(pending, 1):
        print(f'[{number}/{len(pending)}] python ' + ' '.join(map(str, command)), flush=True)
        begin = time.monotonic()
        run_step(command, args.threads)
        seconds[' '.join(map(str, command[:2]))] = round(time.monotonic() - begin, 1)
    metrics = json.loads((out / 'test' / 'metrics.json').read_text())
    write_json(out / 'report.json', dict(seed=args.seed, seconds=seconds, metrics=metrics))
    print(json.dumps(metrics, indent=2))
    print(f'{sum(seconds.values()) / 60:.1f} min; {weights}; {out / "report.json"}')


def run_step(command: list, threads: int) -> None:
    """Run one tool of this repository with this Python; a failure ends everything with that tool's exit code."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONPATH=str(ROOT))
    code = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, env=environment).returncode
    if code == 1:
        raise DataError(f'{command[0]} failed, see above')
    if code:
        sys.exit(code)


if __name__ == '__main__':
    run_tool(main)
