"""A picture of a video's score curve, with its events and, where known, the ground truth."""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from lavida_mm.visualization.palette import ALARM, INK, MUTED, QUIET, TRUTH, hex_colour

__all__ = ['draw_score_timeline', 'thin_curve']

MAX_TITLE = 48  # letters; more would run into the legend
MAX_POINTS = 4000  # more than the picture has columns


def thin_curve(scores: np.ndarray, max_points: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Shorten a long curve, keeping the lowest and the highest score of each stretch.

    Args:
        scores: one score per frame, (T,).
        max_points: the most points that are kept.

    Returns:
        Frame numbers (P,) in rising order and their scores (P,).
    """
    scores = np.asarray(scores)
    if len(scores) <= max_points:
        return np.arange(len(scores)), scores
    bounds = np.linspace(0, len(scores), max_points // 2 + 1).astype(int)
    kept: set[int] = set()
    for start, end in pairwise(bounds):
        kept.update((start + int(np.argmin(scores[start:end])), start + int(np.argmax(scores[start:end]))))
    frames = np.array(sorted(kept))
    return frames, scores[frames]


def draw_score_timeline(
    path: str | Path,
    scores: np.ndarray,
    *,
    threshold: float,
    fps: float = 0.0,
    events: Sequence[tuple[int, int]] = (),
    ground_truth: Sequence[tuple[int, int]] | None = None,
    title: str = '',
) -> None:
    """Save the score curve of a video as PNG.

    Args:
        path: the PNG to write.
        scores: one score per frame, (T,).
        threshold: drawn as a dashed line; the curve is filled where it reaches it.
        fps: frames per second, for an axis in seconds; 0 gives an axis in frames.
        events: detected events as (start, end) frames, end exclusive: a bar under the curve.
        ground_truth: anomalous intervals as (start, end) frames, end exclusive: shaded. None where unknown.
        title: a line above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    unit = 1 / fps if fps > 0 else 1.0
    frames, shown = thin_curve(scores)
    # A score holds for its whole frame: two points per frame, its start and its end.
    times = np.repeat(np.append(frames, len(scores)) * unit, 2)[1:-1]  # (2 P,)
    steps = np.repeat(shown, 2)  # (2 P,)

    figure = Figure(figsize=(9, 3), dpi=160, layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, (start, end) in enumerate(ground_truth or ()):
        label = 'ground truth' if number == 0 else None
        axes.axvspan(start * unit, end * unit, color=hex_colour(TRUTH), alpha=0.45, lw=0, zorder=0, label=label)
    alarm, quiet = hex_colour(ALARM), hex_colour(QUIET)
    axes.fill_between(times, steps, color=quiet, alpha=0.15, lw=0)
    axes.fill_between(times, steps, where=steps >= threshold, color=alarm, alpha=0.22, lw=0)
    axes.plot(times, steps, color=quiet, lw=1.6, label='frame score')
    axes.axhline(threshold, color=hex_colour(MUTED), lw=1, ls=(0, (4, 3)), label=f'threshold {threshold:g}')
    for number, (start, end) in enumerate(events):
        label = 'event' if number == 0 else None
        axes.plot((start * unit, end * unit), (-0.05, -0.05), color=alarm, lw=5, solid_capstyle='butt', label=label)
    axes.set(xlim=(0, len(scores) * unit), ylim=(-0.1, 1.04), ylabel='score', yticks=(0, 0.25, 0.5, 0.75, 1))
    axes.set_xlabel('time (seconds)' if fps > 0 else 'frame')
    _style(axes, title)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Glyph .* missing from font')  # a title in another script
        figure.savefig(path, format='png')


def _style(axes, title: str) -> None:
    ink = hex_colour(INK)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color(hex_colour(MUTED))
    axes.tick_params(colors=ink, labelsize=9)
    axes.grid(axis='y', color='#e6e8ec', lw=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(ink)
    axes.yaxis.label.set_color(ink)
    if len(title) > MAX_TITLE:
        title = title[: MAX_TITLE - 1] + '…'
    axes.set_title(title, loc='left', fontsize=10, color=ink, parse_math=False)
    axes.legend(loc='lower right', bbox_to_anchor=(1, 1), ncols=4, frameon=False, fontsize=8.5, labelcolor=ink)
