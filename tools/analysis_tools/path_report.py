"""What path_ablation.py says of its figures: changes with their intervals, a table, sentences and a plot."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench import COLUMNS
from path_settings import COMPRESSION, Setting

MARGIN = 0.01  # of an AUC: a change within it is none
FOUND = 0.8  # share of the anomalous frames that the threshold must find
MEASURED = ('frame_auc', 'pixel_auc')
NOTHING, WEIGHT, BETTER, UNKNOWN = 'nothing', 'weight', 'better', 'unknown'
VERDICTS = {
    NOTHING: 'carries nothing',
    WEIGHT: 'carries weight',
    BETTER: 'does harm: the figure rises',
    UNKNOWN: 'these videos cannot tell',
}
COMPRESSION_VERDICTS = {**VERDICTS, NOTHING: 'makes no difference', WEIGHT: 'costs', BETTER: 'helps'}


@dataclass
class Measured:
    """What one setting gave.

    Attributes:
        figures: figures by plain names.
        draws: frame and pixel AUC of each draw of videos, (N,); without what is undefined.
        scores: score of each frame, (T,).
        labels: 1 where the frame is anomalous, (T,).
    """

    figures: dict[str, float]
    draws: dict[str, np.ndarray]
    scores: np.ndarray
    labels: np.ndarray


def find_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the draws that have a figure.

    Raises:
        ValueError: none has.
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        raise ValueError(f'none of {values.size} draws of videos has both classes')
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)


def judge(low: float, high: float, margin: float = MARGIN) -> str:
    """What the interval of a change says: nothing, weight (the figure falls), better (it rises) or unknown.

    A change that stays within the margin is none, even where it is surely not 0; where 0 and more than the margin are
    both possible, the videos are too few to tell.
    """
    if -margin <= low and high <= margin:
        return NOTHING
    if high < 0:
        return WEIGHT
    return BETTER if low > 0 else UNKNOWN


def compare(setting: Setting, found: Measured, baseline: Measured, margin: float = MARGIN) -> dict[str, Any]:
    """One row: figures, their intervals, and their changes against the baseline on the same draws of videos.

    Args:
        setting: the setting.
        found: what it gave.
        baseline: what the right words gave.
        margin: changes within it are none.

    Returns:
        as JSON takes it.
    """
    row: dict[str, Any] = {'key': setting.key, 'setting': setting.name, 'path': setting.path, 'act': setting.act}
    row['figures'] = {name: found.figures[name] for name in COLUMNS if name in found.figures}
    row['intervals'] = {name: find_interval(draws) for name, draws in found.draws.items()}
    row['changes'] = {}
    if setting.path:
        row['largest_score_change'] = float(np.abs(found.scores - baseline.scores).max())
        for name in found.draws.keys() & baseline.draws.keys():
            low, high = find_interval(found.draws[name] - baseline.draws[name])
            change = found.figures[name] - baseline.figures[name]
            row['changes'][name] = {'value': change, 'low': low, 'high': high, 'verdict': judge(low, high, margin)}
    return row


def find_threshold(scores: np.ndarray, labels: np.ndarray, found: float = FOUND) -> float:
    """The highest threshold at which at least a share ``found`` of the anomalous frames scores as high.

    Args:
        scores: score of each frame, (T,).
        labels: 1 where the frame is anomalous, (T,).
        found: share, in (0, 1].
    """
    anomalous = np.sort(scores[labels > 0])[::-1]
    return float(anomalous[math.ceil(found * len(anomalous)) - 1])


def find_alarms(baseline: Measured, wrong: Measured) -> dict[str, float]:
    """How often a threshold that suits the right words is reached, with these and with wrong words."""
    threshold = find_threshold(baseline.scores, baseline.labels)
    return {
        'threshold': threshold,
        'found': float((baseline.scores[baseline.labels > 0] >= threshold).mean()),
        'alarms_right_words': float((baseline.scores >= threshold).mean()),
        'alarms_wrong_words': float((wrong.scores >= threshold).mean()),
    }


def make_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The Markdown table of one split: each AUC and its change, with 95 % intervals."""
    shown = [name for name in MEASURED if name in rows[0]['figures']]
    titles = [title for name in shown for title in (COLUMNS[name], 'change')]
    lines = ['| setting | ' + ' | '.join(titles) + ' |', '| --- |' + ' ---: |' * len(titles)]
    for row in rows:
        cells = []
        for name in shown:
            low, high = row['intervals'][name]
            cells.append(f'{row["figures"][name]:.3f} [{low:.3f}, {high:.3f}]')
            change = row['changes'].get(name)
            cells.append('' if change is None else format_change(change))
        lines.append(f'| {row["setting"]} | ' + ' | '.join(cells) + ' |')
    return lines


def format_change(change: Mapping[str, Any]) -> str:
    """A change with its interval; what rounds to 0 has no sign."""
    numbers = [change[name] for name in ('value', 'low', 'high')]
    value, low, high = (f'{number:+.3f}' if round(number, 3) else '0.000' for number in numbers)
    return f'{value} [{low}, {high}]'


def make_sentences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which paths carry weight, in words."""
    lines = []
    for row in rows:
        verdicts = COMPRESSION_VERDICTS if row['path'] == COMPRESSION else VERDICTS
        parts = [
            f'{COLUMNS[name]} by {format_change(row["changes"][name])}: {verdicts[row["changes"][name]["verdict"]]}'
            for name in MEASURED
            if name in row['changes']
        ]
        if parts:
            moved = row['largest_score_change']
            scores = f'Scores move by up to {moved:.2g}.' if moved else 'Not one score moves.'
            lines.append(f'- {row["path"]}: {row["act"]} changes {"; ".join(parts)}. {scores}')
    return lines


def make_markdown(result: Mapping[str, Any]) -> str:
    """The whole report.

    Args:
        result: what is written as JSON: ``splits``, and how the intervals were made.
    """
    lines = [
        f'95 % intervals over {result["num_draws"]} draws of videos; changes are against the right words, on the same '
        f'draws. A change within ±{result["margin"]:g} is none.',
        '',
    ]
    for name, split in result['splits'].items():
        lines += [f'## {name}: {split["num_videos"]} videos', '', *make_table(split['rows']), '']
        lines += [*make_sentences(split['rows']), '']
        if split.get('alarms'):
            alarms = split['alarms']
            lines += [
                f'With the right words, a threshold of {alarms["threshold"]:.4f} finds {alarms["found"]:.1%} of the '
                f'anomalous frames, and {alarms["alarms_right_words"]:.1%} of all frames reach it; with wrong words '
                f'{alarms["alarms_wrong_words"]:.1%} do.',
                '',
            ]
        if split['left_out']:
            lines += ['Left out:', '', *(f'- {key}: {reason}' for key, reason in split['left_out'].items()), '']
    return '\n'.join(lines)


def draw_changes(result: Mapping[str, Any], path: Path) -> None:
    """Save the changes of each split with their intervals as PNG.

    Args:
        result: as for ``make_markdown``.
        path: the PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from lavida_mm.visualization.palette import ALARM, MUTED, QUIET, hex_colour

    splits = result['splits']
    colours = dict(zip(MEASURED, (hex_colour(ALARM), hex_colour(QUIET)), strict=True))
    longest = max(len(split['rows']) for split in splits.values())
    figure = Figure(figsize=(1.5 + 4.5 * len(splits), 1.6 + 0.36 * longest), dpi=110, layout='constrained')
    FigureCanvasAgg(figure)
    for axes, (name, split) in zip(figure.subplots(1, len(splits), squeeze=False)[0], splits.items(), strict=True):
        rows = [row for row in split['rows'] if row['changes']]
        axes.axvspan(-result['margin'], result['margin'], color=hex_colour(MUTED), alpha=0.3, linewidth=0)
        for shift, measure in zip((-0.12, 0.12), MEASURED, strict=True):
            places = [place for place, row in enumerate(rows) if measure in row['changes']]
            changes = [rows[place]['changes'][measure] for place in places]
            if changes:
                ends = [[change['low'] for change in changes], [change['high'] for change in changes]]
                axes.hlines([place + shift for place in places], *ends, color=colours[measure], linewidth=1.4)
                values = [change['value'] for change in changes]
                axes.plot(
                    values, [p + shift for p in places], 'o', ms=4, color=colours[measure], label=COLUMNS[measure]
                )
        axes.set(title=name, xlabel='change, 95 % interval', yticks=range(len(rows)))
        axes.set_yticklabels([row['setting'].replace('`', '') for row in rows], parse_math=False)
        axes.invert_yaxis()
        axes.spines[['top', 'right']].set_visible(False)
        axes.tick_params(labelsize=8)
        if rows:
            axes.legend(frameon=False, fontsize=8, loc='best')
    figure.savefig(path, format='png')
