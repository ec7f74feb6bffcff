"""Count what a config trains on: positives and negatives, mask areas, words, and the share of each source.

    python tools/analysis_tools/dataset_stats.py configs/lavida_tiny.py --num 500

Draws samples as a training would, prints a table, and writes it with all figures and a picture into --out.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils.errors import UsageError, config_errors, run_tool

MOST_WORDS = 15
MOST_LETTERS = 28  # of a word in the picture


def parse_args(argv=None) -> argparse.Namespace:
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--num', type=int, default=500, metavar='N', help='samples (500)')
    parser.add_argument('--seed', type=int, default=0, help='of the sampling (0)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/dataset_stats'), help='folder to write to')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='values over those of the config: a.b=1'
    )
    args = parser.parse_args(argv)
    if args.num < 1:
        parser.error(f'--num must be at least 1, got {args.num}')
    return args


def draw_stats(path: Path, stats) -> None:
    """Save four plots as PNG: shares, positives, mask areas and the most frequent targets.

    Args:
        path: the PNG to write.
        stats: the ``ExposureStats``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from lavida_mm.visualization.palette import ALARM, QUIET, hex_colour

    alarm, quiet = hex_colour(ALARM), hex_colour(QUIET)
    rows = stats.to_dict()
    names = list(rows)
    figure = Figure(figsize=(11, 7 + 0.2 * len(names)), dpi=110, layout='constrained')
    FigureCanvasAgg(figure)
    (shares, positives), (areas, words) = figure.subplots(2, 2)

    shares.barh(names, [row['sampled_share'] for row in rows.values()], color=quiet, label='sampled')
    known = {name: row['configured_share'] for name, row in rows.items() if row['configured_share'] is not None}
    shares.plot(
        list(known.values()), list(known), '|', color=alarm, markersize=16, markeredgewidth=2, label='configured'
    )
    shares.set_title('share of the samples')

    found = [row['positives'] / max(row['samples'], 1) for row in rows.values()]
    positives.barh(names, found, color=alarm, label='positive')
    positives.barh(names, [1 - share for share in found], left=found, color=quiet, label='negative')
    positives.set(title='positives and negatives', xlim=(0, 1))

    widest = max((max(source.areas) for source in stats.sources.values() if source.areas), default=1.0)
    for name, source in stats.sources.items():
        if source.areas:
            areas.hist(source.areas, bins=30, range=(0, widest), histtype='step', linewidth=1.6, label=name)
    areas.set(title='share of an anomalous frame that the mask covers', ylabel='frames')

    targets = sum((source.targets for source in stats.sources.values()), start=Counter())
    common = targets.most_common(MOST_WORDS)
    words.barh(range(len(common)), [number for _, number in common], color=alarm)
    words.set(title=f'most frequent of {len(targets)} target words', yticks=range(len(common)))
    shortened = [word if len(word) <= MOST_LETTERS else word[: MOST_LETTERS - 1] + '…' for word, _ in common]
    words.set_yticklabels(shortened, parse_math=False)

    for axes in (shares, positives, words):
        axes.invert_yaxis()
    for axes in (shares, positives, areas):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8, loc='upper center', bbox_to_anchor=(0.5, -0.06), ncols=4)
    for axes in (shares, positives, areas, words):
        axes.spines[['top', 'right']].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.title.set_fontsize(10)
    figure.savefig(path, format='png')


def main() -> None:
    args = parse_args()

    from tqdm import tqdm

    from lavida_mm.datasets.exposure_stats import ExposureStats
    from lavida_mm.datasets.training_stream import TrainingStream
    from lavida_mm.engine.launch import load_config
    from lavida_mm.utils.atomic import atomic_path, write_json

    config = load_config(args.config, args.cfg_options)
    with config_errors(args.config):
        stream = TrainingStream(config, args.seed)
    stats = ExposureStats(stream.configured_shares)
    for item in tqdm(stream.draw(args.num), total=args.num, unit='sample'):
        if 'gt_masks' not in item['data_samples'] or 'categories' not in item['data_samples']:
            raise UsageError(f'{args.config}: its training samples hold no mask and words: nothing to count')
        stats.add(item['data_samples'])
    args.out.mkdir(parents=True, exist_ok=True)
    table = stats.to_markdown()
    write_json(args.out / 'dataset_stats.json', dict(seed=args.seed, sources=stats.to_dict()))
    with atomic_path(args.out / 'dataset_stats.md') as temporary:
        temporary.write_text(table, encoding='utf-8')
    with atomic_path(args.out / 'dataset_stats.png') as temporary:
        draw_stats(temporary, stats)
    print(table)
    print(args.out / 'dataset_stats.png')


if __name__ == '__main__':
    run_tool(main)
