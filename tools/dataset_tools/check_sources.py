"""Say whether the sources that a config trains on are there and whole, before a training begins.

    python tools/dataset_tools/check_sources.py configs/lavida_tiny.py --deep

Exit code 0: one can train on all of them; 1: a source is missing or broken; 2: the command itself is wrong.
Counts that are not the published ones are said and do not fail.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils.errors import EXIT_DATA, UsageError, config_errors, run_tool


def parse_args(argv=None) -> argparse.Namespace:
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file whose train_dataloader.dataset is a mixture of sources')
    parser.add_argument('--deep', action='store_true', help='open every frame, image, video and mask as well')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='sources to look at (all)')
    parser.add_argument('--json', action='store_true', help='print the report as JSON, and nothing else')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='values over those of the config: a.b=1'
    )
    return parser.parse_args(argv)


def main() -> None:
    args = parse_args()

    from tqdm import tqdm

    from lavida_mm.datasets.sources.doctor import check_sources, list_sources
    from lavida_mm.engine.launch import load_config

    config = load_config(args.config, args.cfg_options)
    mixture = (config.get('train_dataloader') or {}).get('dataset') or {}
    sources = list_sources(mixture)
    if not mixture.get('sources'):
        raise UsageError(f'{args.config}: train_dataloader.dataset.sources must name the sources of a mixture')
    unknown = sorted(set(args.only or ()) - set(sources))
    if unknown:
        raise UsageError(f'--only must name sources of {args.config} ({", ".join(sources)}), got {unknown[0]}')
    chosen = {name: source for name, source in sources.items() if not args.only or name in args.only}

    with config_errors(args.config), tqdm(unit='item', disable=not args.deep or not sys.stderr.isatty()) as bar:

        def progress(name: str):
            bar.set_description(name)

            def report(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n if done > bar.n else 0)
                if done == total:
                    bar.reset()

            return report

        reports = check_sources(chosen, deep=args.deep, progress=progress)
    if args.json:
        print(json.dumps([report.to_dict() for report in reports], indent=2, ensure_ascii=False))
    else:
        print('\n\n'.join(report.to_text() for report in reports))
        if not args.deep:
            print('\nFiles and annotations only; --deep opens every frame and mask as well.')
    if not all(report.ok for report in reports):
        sys.exit(EXIT_DATA)


if __name__ == '__main__':
    run_tool(main)
