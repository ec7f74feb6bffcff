"""Write the synthetic world: training images and clips, normal videos, and a benchmark of unseen pairs.

Words about behaviour and relation: --parts behaviour_clips relation_clips behaviour relation.
"""

import argparse
import sys

from lavida_mm.datasets.synthetic import DEFAULT_PARTS, PARTS, build_world
from lavida_mm.utils.errors import run_tool

# Taken from the hash of the commit that froze code and configs (3f3c9fb): no decision can have seen its benchmark.
REPORTED_BENCHMARK_SEED = 0x3F3C9FB


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--out', default='data/synthetic_world', help='root folder of the world')
    parser.add_argument('--seed', type=int, default=0, help='of all parts but the benchmarks')
    parser.add_argument('--benchmark-seed', type=int, default=REPORTED_BENCHMARK_SEED, help='of the benchmarks')
    parser.add_argument('--parts', nargs='+', default=list(DEFAULT_PARTS), choices=list(PARTS), metavar='PART',
                        help=f'which parts to write, among {", ".join(PARTS)}')  # fmt: skip
    for name, part in PARTS.items():
        option = f'--num-{name.replace("_", "-")}'
        parser.add_argument(option, type=int, default=part.count, metavar='N', help=f'number of items of {name}')
    parser.add_argument('--overwrite', action='store_true', help='replace parts made with other seeds or counts')
    parser.add_argument('--workers', type=int, default=1, help='processes; the files do not depend on it')
    parser.add_argument('--no-progress', action='store_true', help='show no progress bars')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    written = build_world(
        args.out,
        seed=args.seed,
        benchmark_seed=args.benchmark_seed,
        counts={name: getattr(args, f'num_{name}') for name in PARTS},
        parts=args.parts,
        overwrite=args.overwrite,
        workers=args.workers,
        progress=not args.no_progress,
    )
    kept = [name for name in PARTS if name in args.parts and name not in written]
    if written:
        sys.stdout.write(f'{args.out}: wrote {", ".join(written)}\n')
    if kept:
        sys.stdout.write(f'{args.out}: already there: {", ".join(kept)}\n')


if __name__ == '__main__':
    run_tool(main)
