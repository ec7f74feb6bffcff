"""Say whether a benchmark on disk is whole, before a figure is computed on it.

    python tools/dataset_tools/check_benchmark.py ucsd_ped2 data/ucsd_ped2 --deep

Exit code 0: no error (warnings are allowed); 1: at least one error; 2: the command itself is wrong.
"""

import argparse
import ast
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils.errors import EXIT_DATA, UsageError, run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', help='ucf_crime, xd_violence, shanghaitech, ubnormal, ucsd_ped1, ucsd_ped2, avenue, '
                        'manifest or folder')  # fmt: skip
    parser.add_argument('root', help='folder of the benchmark')
    parser.add_argument('--deep', action='store_true', help='decode every frame and read every mask as well')
    parser.add_argument('--json', action='store_true', help='print the report as JSON, and nothing else')
    parser.add_argument(
        '--options', nargs='+', default=[], metavar='NAME=VALUE', help='of the reader: interval_ends=half-open'
    )
    return parser.parse_args()


def read_options(pairs: list[str]) -> dict[str, Any]:
    """``['a=1', 'b=text']`` -> ``{'a': 1, 'b': 'text'}``."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition('=')
        if not equals or not name:
            raise UsageError(f'--options must be NAME=VALUE, got {pair!r}')
        try:
            options[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[name] = text
    return options


@contextmanager
def show_progress(shown: bool) -> Iterator[Any]:
    """A bar over videos on stderr; none where no one is watching."""
    from tqdm import tqdm

    with tqdm(unit='video', disable=not (shown and sys.stderr.isatty())) as bar:

        def report(done: int, total: int, frames: int) -> None:
            bar.total = total
            bar.set_postfix_str(f'{frames:,} frames', refresh=False)
            bar.update(done - bar.n)

        yield report


def main() -> None:
    args = parse_args()
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')  # what OpenCV says of a broken image stands in the report

    from lavida_mm.datasets.benchmarks.doctor import check_benchmark

    options = read_options(args.options)
    with show_progress(args.deep) as report:
        found = check_benchmark(args.name, args.root, deep=args.deep, options=options, progress=report)
    text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False) if args.json else found.to_text()
    sys.stdout.write(text + '\n')
    sys.stdout.flush()
    if not found.ok:
        sys.exit(EXIT_DATA)


if __name__ == '__main__':
    run_tool(main)
