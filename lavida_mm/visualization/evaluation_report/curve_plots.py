"""ROC, precision-recall and timelines as PNG."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.utils.atomic import atomic_path
from lavida_mm.visualization.evaluation_report.report_data import ReportVideo
from lavida_mm.visualization.palette import ALARM, INK, MUTED, QUIET, TRUTH, hex_colour
from lavida_mm.visualization.score_timeline import thin_curve

__all__ = ['draw_pr', 'draw_roc', 'draw_timeline']

MAX_TITLE = 60  # letters
MARGINS = (0.7, 0.15, 0.5, 0.35)  # inches at the left, right, bottom and top of a plot


def draw_roc(path: str | Path, points: tuple[np.ndarray, np.ndarray], *, title: str = '') -> None:
    """Save a ROC curve as PNG.

    Args:
        path: the PNG to write.
        points: false positive rate and true positive rate, (P,) each.
        title: a line above the picture.
    """
    _draw_square(path, points, ('false positive rate', 'true positive rate'), title, diagonal=True)


def draw_pr(path: str | Path, points: tuple[np.ndarray, np.ndarray], *, title: str = '') -> None:
    """Save a precision-recall curve as PNG.

    Args:
        path: the PNG to write.
        points: recall and precision, (P,) each.
        title: a line above the picture.
    """
    _draw_square(path, points, ('recall', 'precision'), title, diagonal=False)


def draw_timeline(path: str | Path, video: ReportVideo) -> None:
    """Save the scores of a video as PNG, its ground truth shaded, its highest false alarm marked."""
    figure, axes = _start((9, 2.6))
    unit = 1 / video.fps if video.fps > 0 else 1.0
    for number, (start, end) in enumerate(video.intervals):
        label = 'ground truth' if number == 0 else None
        axes.axvspan(start * unit, end * unit, color=hex_colour(TRUTH), alpha=0.45, lw=0, zorder=0, label=label)
    colour, label = hex_colour(QUIET), 'frame score'
    for start, end in _scored_runs(video.scores):
        frames, shown = thin_curve(video.scores[start:end])
        # A score holds for its whole frame: two points per frame, its start and its end.
        times = np.repeat(np.append(frames, end - start) + start, 2)[1:-1] * unit  # (2 P,)
        axes.plot(times, np.repeat(shown, 2), color=colour, lw=1.4, label=label)
        label = None
    if video.false_alarm is not None:
        frame, score = video.false_alarm
        spot = ([(frame + 0.5) * unit], [score])
        axes.plot(*spot, 'o', ms=5, color=hex_colour(ALARM), label=f'highest false alarm {score:.3g}', zorder=3)
    axes.set(xlim=(0, video.num_frames * unit), ylabel='score')
    axes.set_xlabel('time (seconds)' if video.fps > 0 else 'frame')
    _finish(figure, axes, path, video.video_id)


def _scored_runs(scores: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff((~np.isnan(scores)).astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _draw_square(
    path: str | Path, points: tuple[np.ndarray, np.ndarray], names: tuple[str, str], title: str, diagonal: bool
) -> None:
    figure, axes = _start((4.6, 4.6))
    x, y = points
    axes.fill_between(x, y, color=hex_colour(QUIET), alpha=0.15, lw=0)
    axes.plot(x, y, color=hex_colour(QUIET), lw=1.8)
    if diagonal:
        axes.plot((0, 1), (0, 1), color=hex_colour(MUTED), lw=1, ls=(0, (4, 3)))
    axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel=names[0], ylabel=names[1], aspect='equal')
    _finish(figure, axes, path, title)


def _start(size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120)
    FigureCanvasAgg(figure)
    width, height = size
    left, right, bottom, top = MARGINS
    # Placed by hand: matplotlib's own placing draws every picture several times.
    spot = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return figure, figure.add_axes(spot)


def _finish(figure: Any, axes: Any, path: str | Path, title: str) -> None:
    ink = hex_colour(INK)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color(hex_colour(MUTED))
    axes.tick_params(colors=ink, labelsize=9)
    axes.grid(color='#e6e8ec', lw=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(ink)
    axes.yaxis.label.set_color(ink)
    if len(title) > MAX_TITLE:
        title = title[: MAX_TITLE - 1] + '…'
    axes.set_title(title, loc='left', fontsize=10, color=ink, parse_math=False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc='lower right', bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=8.5, labelcolor=ink)
    with warnings.catch_warnings(), atomic_path(path) as temporary:
        warnings.filterwarnings('ignore', message='Glyph .* missing from font')  # a title in another script
        figure.savefig(temporary, format='png')
