"""The whole way in minutes: a synthetic world, a short training, a zero-shot test, a demo (`make quickstart`).

Each step is a command that can be typed by itself; it is shown before it runs. The first one that fails ends the
quickstart with its exit code. Safe to repeat.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORLD = Path('data/synthetic_world')
OUT = Path('work_dirs/quickstart')
CHECKPOINT = Path('checkpoints/lavida_tiny.safetensors')
CHANCE = 0.5
BAR_WIDTH = 40


class StepError(Exception):
    """A step failed; carries its exit code."""

    def __init__(self, title: str, code: int):
        super().__init__(f'{title} failed with exit code {code}')
        self.code = code


def clock(seconds: float) -> str:
    return f'{int(seconds) // 60} min {int(seconds) % 60:02d} s'


def run_step(number: int, total: int, title: str, command: list) -> None:
    shown = ' '.join(f'"{part}"' if ' ' in str(part) else str(part) for part in command)
    print(f'\n[{number}/{total}] {title}\n      python {shown}', flush=True)
    begin = time.monotonic()
    # A model this small computes for less time than its threads would wait for each other on a busy machine.
    environment = {'OMP_NUM_THREADS': '1', **os.environ}
    arguments = [sys.executable, *map(str, command)]
    code = subprocess.run(arguments, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL).returncode
    if code:
        raise StepError(f'step {number} ({title})', code)
    print(f'[{number}/{total}] done in {clock(time.monotonic() - begin)}', flush=True)


def choose_clip() -> dict:
    """The benchmark's first video with an anomaly that starts after the first frame."""
    videos = json.loads((ROOT / WORLD / 'benchmark' / 'manifest.json').read_text())['videos']
    for video in videos:
        if video['anomalies'] and video['anomalies'][0]['start'] > 0:
            return video
    raise ValueError(f'{WORLD}/benchmark/manifest.json: videos must hold one with an anomaly after its first frame')


def learning_curve(work_dir: Path) -> list[tuple[int, float]]:
    """(iteration, frame AUC) of every validation of the newest run in a work folder, as mmengine logs them."""
    logs = sorted((ROOT / work_dir).glob('*/vis_data/scalars.json'))
    curve = []
    for line in logs[-1].read_text().splitlines() if logs else []:
        record = json.loads(line)
        auc = next((value for key, value in record.items() if key.endswith('frame_auc')), None)
        if auc is not None:
            curve.append((int(record['step']), float(auc)))
    return curve


def print_summary(work_dir: Path, test_dir: Path, demo_dir: Path) -> None:
    print('\nLearning curve of the short training (frame AUC on validation videos; 0.5 is chance)')
    for iteration, auc in learning_curve(work_dir):
        print(f'  iteration {iteration:5d}   {auc:.3f}   {"#" * round(BAR_WIDTH * max(0.0, auc - CHANCE) / CHANCE)}')
    metrics = json.loads((ROOT / test_dir / 'metrics.json').read_text())
    print(f'\nZero-shot figures of {CHECKPOINT} on pairs that no training prompt names')
    for key, value in metrics.items():
        print(f'  {key:28s} {value:.4f}' if isinstance(value, float) else f'  {key:28s} {value}')
    print('\nWhat the demo wrote')
    for what, ending in (
        ('annotated video', '_annotated.mp4'),
        ('score plot', '_scores.png'),
        ('JSON', '_scores.json'),
    ):
        for path in sorted((ROOT / demo_dir).glob(f'*{ending}')):
            print(f'  {what:16s} {path.relative_to(ROOT)}')
    print(f'\nFigures: {test_dir}/metrics.json. Next: docs/getting_started.md, docs/own_videos.md')


def main() -> int:
    begin = time.monotonic()
    train_dir, test_dir, demo_dir = OUT / 'train', OUT / 'test', OUT / 'demo'
    total = 4
    try:
        run_step(1, total, 'write the synthetic world', ['tools/dataset_tools/make_synthetic_world.py'])
        run_step(
            2,
            total,
            'train for a few minutes, to see it learn',
            ['tools/train.py', 'configs/lavida_tiny_quick.py', '--work-dir', train_dir],
        )
        run_step(
            3,
            total,
            'evaluate the shipped checkpoint zero-shot',
            ['tools/test.py', 'configs/lavida_tiny.py', CHECKPOINT, '--work-dir', test_dir],
        )
        clip = choose_clip()
        words = ', '.join(clip['categories'])
        path = WORLD / 'benchmark' / clip['path']
        run_step(
            4,
            total,
            'find the named anomaly in one clip',
            ['demo/video_demo.py', path, '--categories', words, '--out-dir', demo_dir],
        )
    except StepError as error:
        print(f'error: {error}', file=sys.stderr)
        return error.code
    except (OSError, ValueError, KeyError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print_summary(train_dir, test_dir, demo_dir)
    print(f'Quickstart took {clock(time.monotonic() - begin)}')
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print('\ninterrupted; `make quickstart` can be run again', file=sys.stderr)
        sys.exit(130)
