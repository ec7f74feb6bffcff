"""Trains configs with several seeds each, tests every run with right and with absent words, and compares them.

    python tools/analysis_tools/train_ablation.py configs/ablation/projector_{mlp,qformer,multi_scale}.py --seeds 0 1 2

A run has a folder of its own, OUT/CONFIG/seedN, with its resolved config, logs, checkpoints and figures. Finished steps
are not repeated, and a training that was cut off goes on: the same command again picks up where the last one ended.
Writes train_ablation.json and train_ablation.md: mean and standard deviation over the seeds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench import COLUMNS

from lavida_mm.utils.errors import DataError, UsageError, run_tool

TOOLS = Path(__file__).resolve().parents[1]
FIGURES = {name: COLUMNS[name] for name in ('frame_auc', 'frame_ap', 'pixel_auc')}
WORDS = {'right': None, 'absent': 'absent'}  # ``prompt_words`` of the test set; None: those of the config
GAP = 'gap'  # of the frame AUC, between right and absent words


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', help='config files, one row of the table each')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], metavar='N', help='of each config (0 1 2)')
    parser.add_argument('--iters', type=int, metavar='N', help="iterations of each training, if not the config's")
    parser.add_argument('--out', type=Path, default=Path('work_dirs/train_ablation'), help='folder to write to')
    parser.add_argument('--jobs', type=int, default=1, metavar='N', help='runs at a time (1)')
    parser.add_argument('--threads', type=int, default=1, metavar='N', help='CPU threads of each (1)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='values over those of all configs: a.b=1'
    )
    args = parser.parse_args(argv)
    for name, values in (('seeds', args.seeds), ('configs', [Path(path).stem for path in args.configs])):
        if len(set(values)) < len(values):
            parser.error(f'{name} must differ, got {" ".join(map(str, values))}')
    for name in ('iters', 'jobs', 'threads'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1, got {getattr(args, name)}')
    return args


@dataclass(frozen=True)
class Run:
    """One training and its tests.

    Attributes:
        name: of the config.
        seed: of weights, sampling and augmentation.
        iterations: of the training.
        folder: where everything of it lies.
    """

    name: str
    seed: int
    iterations: int
    folder: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.folder / f'{self.name}.py'

    @property
    def checkpoint(self) -> Path:
        """What the training leaves at its end."""
        return self.folder / 'train' / f'iter_{self.iterations}.pth'

    def metrics(self, words: str) -> Path:
        """What a test leaves."""
        return self.folder / words / 'metrics.json'

    def steps(self) -> list[tuple[str, Path, list]]:
        """Title, product and command of the training and of each test, in order."""
        train = [TOOLS / 'train.py', self.config, '--work-dir', self.folder / 'train', '--resume']
        steps = [('training', self.checkpoint, train)]
        for words, prompt in WORDS.items():
            test = [TOOLS / 'test.py', self.config, self.checkpoint, '--work-dir', self.folder / words]
            if prompt is not None:
                test += ['--cfg-options', f'test_dataloader.dataset.prompt_words={prompt}']
            steps.append((f'test with {words} words', self.metrics(words), test))
        return steps


def shorten(config: Any, iterations: int | None) -> int:
    """Set how long a config trains; schedules that end with its training follow. No validation: the test is enough.

    Args:
        config: changed in place.
        iterations: how many; None: as the config says.

    Returns:
        the iterations.
    """
    if (config.get('train_cfg') or {}).get('max_iters') is None:
        raise UsageError('train_cfg.max_iters must be set: trainings are counted in iterations')
    before = config.train_cfg.max_iters
    iterations = iterations or before
    config.train_cfg.max_iters = iterations
    schedulers = config.get('param_scheduler') or []
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        if scheduler.get('end') == before and scheduler.get('begin', 0) < iterations:
            scheduler.end = iterations
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    return iterations


def write_out(config: Any) -> str:
    """A resolved config as a text config, in the same order in each process, which mmengine's own dump is not."""
    values = sorted(config.to_dict().items())
    return ''.join(f'{key} = {pformat(value, width=120)}\n' for key, value in values)


def prepare(path: str, seed: int, args: argparse.Namespace) -> Run:
    """Write a run's config into its folder, or see that the one that lies there is the same.

    Raises:
        UsageError: the config cannot be read or trained, or the folder holds another run.
    """
    from lavida_mm.engine.launch import load_config
    from lavida_mm.utils.atomic import atomic_path

    config = load_config(path, args.cfg_options)
    try:
        iterations = shorten(config, args.iters)
    except UsageError as error:
        raise UsageError(f'{path}: {error}') from error
    config.randomness = {**(config.get('randomness') or {}), 'seed': seed}
    run = Run(Path(path).stem, seed, iterations, args.out / Path(path).stem / f'seed{seed}')
    text = write_out(config)
    if not run.config.exists():
        with atomic_path(run.config) as temporary:
            temporary.write_text(text, encoding='utf-8')
    elif run.config.read_text(encoding='utf-8') != text:
        raise UsageError(f'{run.config}: {run.folder} holds a run of other settings; remove it or name another --out')
    return run


class Processes:
    """Runs commands, any number at a time, until :meth:`stop`.

    Args:
        threads: CPU threads of each.
    """

    def __init__(self, threads: int) -> None:
        self.environment = {**os.environ, 'OMP_NUM_THREADS': str(threads)}
        self._running: set[subprocess.Popen] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, command: list, log: Path) -> bool:
        """Run a Python script; its output goes to the end of ``log``.

        Returns:
            whether it came to its end: not after :meth:`stop`.

        Raises:
            DataError: it fails, unless because of :meth:`stop`.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open('a', encoding='utf-8') as file:
            with self._lock:
                if self._stopped:
                    return False
                process = subprocess.Popen(
                    [sys.executable, *map(str, command)], stdin=subprocess.DEVNULL, stdout=file,
                    stderr=subprocess.STDOUT, env=self.environment,
                )  # fmt: skip
                self._running.add(process)
            code = process.wait()
        with self._lock:
            self._running.discard(process)
            stopped = self._stopped
        if code and not stopped:
            last = (log.read_text(encoding='utf-8', errors='replace').strip().splitlines() or [''])[-1]
            raise DataError(f'{log}: {Path(command[0]).name} failed with exit code {code}: {last}')
        return not stopped

    def stop(self) -> None:
        """End what runs, and start nothing more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()


def execute(runs: Sequence[Run], jobs: int, processes: Processes, tell: Callable[[str, bool], Any]) -> None:
    """Do every step of every run that is not done yet.

    Args:
        runs: what there is to do.
        jobs: runs at a time.
        processes: who does it.
        tell: called with what a step is, and False before it, True after it or where it was done before.

    Raises:
        DataError: a step failed; the others are ended.
    """

    def work(run: Run) -> None:
        for title, product, command in run.steps():
            what = f'{run.name}, seed {run.seed}: {title}'
            if not product.exists():
                log = run.folder / f'{title.replace(" ", "_")}.log'
                tell(f'{what}, see {log}', False)
                try:
                    finished = processes.run(command, log)
                except DataError:
                    processes.stop()  # here, before this thread takes up another run
                    raise
                if not finished:
                    return
                if not product.exists():
                    raise DataError(f'{product}: {what} has ended without it, see {log}')
            tell(what, True)

    pool = ThreadPoolExecutor(jobs)
    try:
        for future in as_completed([pool.submit(work, run) for run in runs]):
            future.result()
    finally:
        processes.stop()
        pool.shutdown(cancel_futures=True)


def read_figures(run: Run, words: str) -> dict[str, float]:
    """The figures of a test by plain names; those that are not defined are missing."""
    metrics = json.loads(run.metrics(words).read_text(encoding='utf-8'))
    return {name.split('/')[-1]: value for name, value in metrics.items() if isinstance(value, int | float)}


def summarise(values: Sequence[float]) -> dict[str, Any]:
    """Values of the seeds with mean and standard deviation (of a sample; None for one value)."""
    return {
        'values': list(values),
        'mean': statistics.fmean(values),
        'std': statistics.stdev(values) if len(values) > 1 else None,
    }


def tabulate(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One row per config: each figure with each kind of words over the seeds, and the gap between the words."""
    rows = []
    for name in dict.fromkeys(run.name for run in runs):
        own = [run for run in runs if run.name == name]
        found = {words: [read_figures(run, words) for run in own] for words in WORDS}
        row: dict[str, Any] = {'config': name, 'iterations': own[0].iterations, 'seeds': [run.seed for run in own]}
        for words, seeds in found.items():
            row[words] = {
                figure: summarise([figures[figure] for figures in seeds])
                for figure in FIGURES
                if all(figure in figures for figures in seeds)
            }
        if all('frame_auc' in row[words] for words in WORDS):
            pairs = zip(*(row[words]['frame_auc']['values'] for words in WORDS), strict=True)
            row[GAP] = summarise([right - absent for right, absent in pairs])
        rows.append(row)
    return rows


def make_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table."""
    titles = [f'{title}, {words} words' for words in WORDS for title in FIGURES.values()]
    lines = [
        f'| config | iterations | seeds | {" | ".join(titles)} | gap of frame AUC |',
        '| --- |' + ' ---: |' * (len(titles) + 3),
    ]
    for row in rows:
        cells = [row[words].get(figure) for words in WORDS for figure in FIGURES]
        shown = ' | '.join(show(cell) for cell in [*cells, row.get(GAP)])
        lines.append(f'| {row["config"]} | {row["iterations"]} | {len(row["seeds"])} | {shown} |')
    return '\n'.join(lines) + '\n'


def show(cell: dict[str, Any] | None) -> str:
    """Mean and, of more than one seed, standard deviation; a dash where the figure is not defined."""
    if cell is None:
        return '–'
    return f'{cell["mean"]:.4f}' + ('' if cell['std'] is None else f' ± {cell["std"]:.4f}')


def main() -> None:
    args = parse_args()

    from tqdm import tqdm

    from lavida_mm.utils.atomic import atomic_path, write_json

    runs = [prepare(path, seed, args) for seed in args.seeds for path in args.configs]  # whole rows grow together
    with tqdm(total=sum(len(run.steps()) for run in runs), unit='step') as bar:

        def tell(what: str, done: bool) -> None:
            if done:
                bar.update()
            else:
                bar.write(what, file=sys.stderr)

        execute(runs, args.jobs, Processes(args.threads), tell)
    rows = tabulate(runs)
    text = make_markdown(rows)
    write_json(args.out / 'train_ablation.json', {'rows': rows})
    with atomic_path(args.out / 'train_ablation.md') as temporary:
        temporary.write_text(text, encoding='utf-8')
    print(text)


if __name__ == '__main__':
    run_tool(main)
