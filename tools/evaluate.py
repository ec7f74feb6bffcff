"""Evaluate scores under a named protocol, without the model: ours (tools/test.py --dump), or any other system's.

    python tools/evaluate.py --scores SCORES --frames-per-score 16 --benchmark ucf_crime --data-root ROOT \\
        --protocol default --out work_dirs/report

SCORES is a folder with one file per video (.npy, .npz, .json, .csv, .txt), one .npz or one .json of all videos, or a
folder of prediction files. ROOT needs the annotation files only. Prints a table; with --out writes report.json,
videos.csv, roc.png, pr.png, timelines/ and report.html, which opens without a network.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lavida_mm.utils.errors import UsageError, run_tool

MOST = 1_000_000  # of draws, and of frames that one score holds for


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--scores', type=Path, required=True, help='folder, .npz or .json of scores')
    parser.add_argument(
        '--frames-per-score', type=int, help='frames that one score holds for (1); not for predictions of ours'
    )
    parser.add_argument('--benchmark', help='name of the benchmark, such as ucf_crime')
    parser.add_argument('--data-root', type=Path, help='folder of the benchmark; its annotation files are enough')
    parser.add_argument('--config', type=Path, help='config whose test set names the benchmark, instead of --benchmark')
    parser.add_argument(
        '--protocol', default='default', help='name of a protocol, or a .py or .json file of your own (%(default)s)'
    )
    parser.add_argument('--out', type=Path, help='folder of the report; none is written without it')
    parser.add_argument(
        '--bootstrap', type=int, default=0, metavar='N', help='draws for 95 %% intervals, 0 for none (%(default)s)'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the draws (%(default)s)')
    parser.add_argument('--allow-partial', action='store_true', help='accept videos without scores; the coverage tells')
    parser.add_argument(
        '--pixel', action=argparse.BooleanOptionalAction, help='pixel figures (where benchmark and scores have pixels)'
    )
    parser.add_argument(
        '--regions',
        action=argparse.BooleanOptionalAction,
        help='RBDC and TBDC (where benchmark and scores have regions)',
    )
    parser.add_argument('--alarm-threshold', type=float, help='score that raises an alarm: adds figures of alarms')
    parser.add_argument(
        '--thumbnails', type=int, default=30, metavar='N', help='videos with pictures, where at hand (%(default)s)'
    )
    parser.add_argument(
        '--timelines',
        type=int,
        default=20,
        metavar='N',
        help='timelines as PNG, worst false alarms first; -1: all (%(default)s)',
    )
    parser.add_argument('--json-only', action='store_true', help='write report.json alone')
    args = parser.parse_args(argv)
    check_args(args)
    return args


def check_args(args: argparse.Namespace) -> None:
    """Options that contradict each other or are out of range."""
    if (args.config is None) == (args.benchmark is None):
        raise UsageError('one of --benchmark and --config must be given')
    if args.benchmark is not None and args.data_root is None:
        raise UsageError('--data-root must be given with --benchmark')
    if args.frames_per_score is not None and not 1 <= args.frames_per_score <= MOST:
        raise UsageError(f'--frames-per-score must be from 1 to {MOST}, got {args.frames_per_score}')
    if args.bootstrap > MOST:
        raise UsageError(f'--bootstrap must be at most {MOST}, got {args.bootstrap}')
    if args.alarm_threshold is not None and not 0 <= args.alarm_threshold <= 1:
        raise UsageError(f'--alarm-threshold must be from 0 to 1, got {args.alarm_threshold}')
    for name, least in (('bootstrap', 0), ('seed', 0), ('thumbnails', 0), ('timelines', -1)):
        if getattr(args, name) < least:
            raise UsageError(f'--{name} must be at least {least}, got {getattr(args, name)}')
    if args.json_only and args.out is None:
        raise UsageError('--json-only needs --out, the folder of report.json')
    if args.out is not None and args.out.exists() and not args.out.is_dir():
        raise UsageError(f'--out must be a folder, {args.out} is a file')


def make_table(evaluation: Any, intervals: dict[str, tuple[float, float]]) -> str:
    """Figures, what is undefined and why, and notes, in aligned lines."""
    protocol, coverage = evaluation.protocol, evaluation.coverage
    lines = [
        f'benchmark  {evaluation.benchmark}',
        f'protocol   {protocol.name}, version {protocol.version}',
        f'coverage   {coverage}',
        '',
    ]
    counts = {'coverage_videos', 'coverage_frames', 'num_videos', 'num_frames', 'num_anomalous_frames'}
    shown = {name: value for name, value in evaluation.figures.items() if name not in counts}
    width = max(map(len, [*shown, *evaluation.undefined]), default=0)
    for name, value in shown.items():
        line = f'{name:<{width}}  {value:>10.4f}'
        if name in intervals:
            low, high = intervals[name]
            line += f'  (95 %: {low:.4f} to {high:.4f})'
        lines.append(line)
    lines += [f'{name:<{width}}  {"undefined":>10}  {reason}' for name, reason in evaluation.undefined.items()]
    lines += [f'note: {note}' for note in evaluation.notes]
    return '\n'.join(lines)


class Bars:
    """One progress bar after another, each made when its work begins; none where nobody looks at the screen."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._name = ''

    def __call__(self, name: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if name != self._name:
            self.close()
            self._name, self._bar = name, tqdm(desc=name, total=total, disable=None, mininterval=0.5)
        self._bar.update(done - self._bar.n)
        if done == total:
            self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._name, self._bar = '', None


class Steps:
    """Counts the calls of one piece of work for ``Bars``."""

    def __init__(self, bars: Bars, name: str, total: int):
        self.bars, self.name, self.total, self.done = bars, name, total, 0

    def __call__(self) -> None:
        self.done += 1
        self.bars(self.name, self.done, self.total)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)

    from lavida_mm.apis.evaluation import (
        bootstrap_figures,
        build_benchmark,
        build_benchmark_of_config,
        evaluate_scores,
        make_report_data,
    )
    from lavida_mm.evaluation.protocols import get_protocol
    from lavida_mm.visualization.evaluation_report import write_report

    protocol, bars = get_protocol(args.protocol), Bars()
    if args.config is not None:
        benchmark = build_benchmark_of_config(args.config, protocol, root=args.data_root)
    else:
        benchmark = build_benchmark(args.benchmark, args.data_root, protocol)
    evaluation = evaluate_scores(
        args.scores,
        benchmark=benchmark,
        protocol=protocol,
        frames_per_score=args.frames_per_score,
        allow_partial=args.allow_partial,
        pixel=args.pixel,
        regions=args.regions,
        events=None if args.alarm_threshold is None else {'on': args.alarm_threshold},
        progress=bars,
    )
    intervals: dict[str, tuple[float, float]] = {}
    if args.bootstrap:
        intervals = bootstrap_figures(evaluation, args.bootstrap, seed=args.seed, progress=bars)
    if args.out is not None:
        data = make_report_data(
            evaluation,
            scores=args.scores,
            intervals=intervals,
            num_thumbnails=0 if args.json_only else args.thumbnails,
            meta={'bootstrap_draws': args.bootstrap, 'seed': args.seed},
            progress=bars,
        )
        number = len(data.videos) if args.timelines < 0 else min(args.timelines, len(data.videos))
        written = write_report(
            args.out,
            data,
            num_timelines=number,
            json_only=args.json_only,
            advance=Steps(bars, 'timelines', number),
        )
    bars.close()
    print(make_table(evaluation, intervals))
    if args.out is not None:
        print(f'\n{written[-1]}')


if __name__ == '__main__':
    run_tool(main)
