"""Events from a score curve: hysteresis, merging, minimum length. Pure NumPy."""

from dataclasses import dataclass

import numpy as np

__all__ = ['Event', 'find_events']


@dataclass(frozen=True)
class Event:
    """A stretch of frames that is reported as one anomaly.

    Attributes:
        start: first frame, counted from 0.
        end: one past the last frame.
        peak_frame: frame of the highest score, the earliest one where several share it.
        peak_score: score at ``peak_frame``.
    """

    start: int
    end: int
    peak_frame: int
    peak_score: float


def find_events(
    scores: np.ndarray, *, on: float, off: float | None = None, min_length: int = 1, merge_gap: int = 0
) -> list[Event]:
    """Turn a score curve into events, as an operator would be alarmed.

    An event opens at the first frame whose score is at least ``on`` and lasts while scores stay at or above ``off``,
    so it never starts earlier than a live system could have raised it. Events with at most ``merge_gap`` frames
    between them become one; only then those shorter than ``min_length`` are dropped.

    Args:
        scores: one score per frame, (T,).
        on: score that opens an event.
        off: score below which an event closes, at most ``on``; None means ``on``.
        min_length: shortest event that is kept, in frames.
        merge_gap: longest gap that is bridged, in frames; 0 bridges none.

    Returns:
        Events in order of time, disjoint.

    Raises:
        ValueError: if the curve is not a finite vector or a setting breaks its rule.
    """
    scores = np.asarray(scores, dtype=np.float64)
    off = on if off is None else off
    if scores.ndim != 1:
        raise ValueError(f'scores must have one dimension (frames), got shape {scores.shape}')
    if not np.isfinite(scores).all():
        raise ValueError(f'scores must be finite, frame {int(np.argmin(np.isfinite(scores)))} is not')
    if not off <= on:
        raise ValueError(f'off must be at most on ({on}), got {off}')
    if min_length < 1:
        raise ValueError(f'min_length must be at least 1 frame, got {min_length}')
    if merge_gap < 0:
        raise ValueError(f'merge_gap must not be negative, got {merge_gap}')

    intervals: list[tuple[int, int]] = []
    for low_start, end in _runs(scores >= off):
        opened = np.flatnonzero(scores[low_start:end] >= on)
        if not opened.size:
            continue
        start = low_start + int(opened[0])
        if intervals and merge_gap and start - intervals[-1][1] <= merge_gap:
            start = intervals.pop()[0]
        intervals.append((start, end))
    return [_event(scores, start, end) for start, end in intervals if end - start >= min_length]


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Stretches of True in a vector, as (start, end) with the end exclusive."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _event(scores: np.ndarray, start: int, end: int) -> Event:
    peak = start + int(np.argmax(scores[start:end]))
    return Event(start=start, end=end, peak_frame=peak, peak_score=float(scores[peak]))
