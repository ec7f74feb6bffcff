"""Retrain a tiny LAVIDA from nothing, pretraining stand-ins included, and evaluate it: one command per seed.

Random parts -> pixel-text alignment (the stand-in for the pretraining of CLIP and SAM) -> LAVIDA on
pseudo-anomalies -> zero-shot evaluation on the benchmarks of the synthetic world. With --behaviour the MLLM is
pretrained too: naming, then questions. Finished steps are not repeated.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lavida_mm.utils.atomic import write_json
from lavida_mm.utils.errors import DataError, run_tool

ROOT = Path(__file__).resolve().parents[1]
ALIGNED = ('segmenter.image_encoder.', 'text_encoder.', 'similarity.')  # what LAVIDA takes over
WORLD = 'data/synthetic_world'
PHRASE_PARTS = ('behaviour_clips', 'relation_clips', 'behaviour', 'relation')

Step = tuple[Path | None, list]  # what it makes, if that can be seen, and the tool with its arguments


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=0, help='seed of the weights and of the training')
    parser.add_argument(
        '--behaviour', action='store_true', help='the model whose MLLM answers word by word, for words about motion'
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/retrain_tiny'), help='folder to write to')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads; more do not help a model this small')
    parser.add_argument('--cfg-options', nargs='*', default=[], help='handed on to the training of LAVIDA and its test')
    return parser.parse_args()


def plan_alignment(out: Path, seed: int) -> list[Step]:
    """Random parts, and the alignment of pixels and text."""
    made, text = out / 'pixel_text.safetensors', f'model.text_encoder.pretrained={out}/tiny/clip_text'
    training = ['configs/pretrain/tiny_segmenter_text.py', '--work-dir', out / 'pixel_text', '--seed', seed, '--resume']
    return [
        (None, ['tools/dataset_tools/make_synthetic_world.py']),
        (out / 'tiny/mllm', ['tools/model_tools/make_tiny_models.py', '--out', out / 'tiny', '--seed', seed]),
        (made, ['tools/train.py', *training, '--cfg-options', text]),
        (made, ['tools/model_tools/publish_checkpoint.py', out / 'pixel_text', made, '--prefix', *ALIGNED]),
    ]


def plan_pretraining(out: Path, seed: int) -> list[Step]:
    """The pretraining of the MLLM that answers word by word."""
    wide, made = out / 'tiny/mllm_wide', out / 'mllm'
    stages = []
    for stage, options in (
        ('tiny_mllm_naming', []),
        ('tiny_mllm', [f'load_from={out}/tiny_mllm_naming/iter_1000.pth']),
    ):
        config, work_dir = f'configs/pretrain/{stage}.py', out / stage
        training = [config, '--work-dir', work_dir, '--seed', seed, '--resume']
        training += ['--cfg-options', f'model.mllm.pretrained={wide}', *options]
        stages.append((made, ['tools/train.py', *training]))
    export = ['configs/pretrain/tiny_mllm.py', out / 'tiny_mllm', made]
    return [
        (None, ['tools/dataset_tools/make_synthetic_world.py', '--parts', *PHRASE_PARTS]),
        (wide, ['tools/model_tools/make_tiny_models.py', '--wide', '--out', out / 'tiny', '--seed', seed]),
        *stages,
        (made, ['tools/model_tools/export_hf.py', *export, '--cfg-options', f'model.mllm.pretrained={wide}']),
    ]


def plan_lavida(out: Path, seed: int, config: str, mllm: Path, splits: Sequence[str], options: list[str]) -> list[Step]:
    """LAVIDA on the parts made so far, and its test on each split."""
    name, pixel_text = Path(config).stem, out / 'pixel_text.safetensors'
    weights = out / f'{name}.safetensors'
    parts = [
        f'model.mllm.pretrained={mllm}',
        f'model.text_encoder.pretrained={out}/tiny/clip_text',
        f'model.text_encoder.init_cfg.checkpoint={pixel_text}',
        f'model.projector.similarity.init_cfg.checkpoint={pixel_text}',
        f'model.mask_head.segmenter.image_encoder.init_cfg.checkpoint={pixel_text}',
        *options,
    ]
    training = [config, '--work-dir', out / name, '--seed', seed, '--resume', '--cfg-options', *parts]
    tests: list[Step] = []
    for split in splits:
        benchmark = f'test_dataloader.dataset.benchmark.root={WORLD}/{split}'
        test = [config, weights, '--work-dir', out / f'{name}_test' / split, '--cfg-options', *parts, benchmark]
        tests.append((None, ['tools/test.py', *test]))
    return [
        (weights, ['tools/train.py', *training]),
        (weights, ['tools/model_tools/publish_checkpoint.py', out / name, weights]),
        *tests,
    ]


def main() -> None:
    args = parse_args()
    out = args.out / f'seed{args.seed}'
    out.mkdir(parents=True, exist_ok=True)
    steps = plan_alignment(out, args.seed)
    config, mllm, splits = 'configs/lavida_tiny.py', out / 'tiny/mllm', ['benchmark']
    if args.behaviour:
        steps += plan_pretraining(out, args.seed)
        config, mllm, splits = 'configs/lavida_tiny_behaviour.py', out / 'mllm', ['benchmark', 'behaviour', 'relation']
    steps += plan_lavida(out, args.seed, config, mllm, splits, args.cfg_options)
    pending = [command for product, command in steps if product is None or not product.exists()]
    seconds = {}
    for number, command in enumerate(pending, 1):
        print(f'[{number}/{len(pending)}] python ' + ' '.join(map(str, command)), flush=True)
        begin = time.monotonic()
        run_step(command, args.threads)
        seconds[f'{number} ' + ' '.join(map(str, command[:2]))] = round(time.monotonic() - begin, 1)
    name = Path(config).stem
    metrics = {split: json.loads((out / f'{name}_test' / split / 'metrics.json').read_text()) for split in splits}
    report = out / f'{name}_report.json'
    write_json(report, dict(seed=args.seed, seconds=seconds, metrics=metrics))
    print(json.dumps(metrics, indent=2))
    print(f'{sum(seconds.values()) / 60:.1f} min; {out}; {report}')


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
