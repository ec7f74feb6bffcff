"""How far a figure might have come out otherwise, had other videos of the kind been in the test set. Pure NumPy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lavida_mm.evaluation.functional.frame_curves import check_curve

__all__ = ['BootstrapInterval', 'bootstrap_interval', 'draw_videos', 'frame_figure_of_draws', 'pixel_auc_of_draws']


@dataclass(frozen=True)
class BootstrapInterval:
    """A percentile bootstrap interval.

    Attributes:
        value: the figure of the videos as they are.
        low: lower end.
        high: upper end.
        confidence: share of the draws between the two ends.
        num_draws: draws that have a figure.
        num_undefined: draws left out because all frames drawn were of one class.
    """

    value: float
    low: float
    high: float
    confidence: float
    num_draws: int
    num_undefined: int


class _Measure(Protocol):
    def __call__(self, times: np.ndarray) -> float: ...


def draw_videos(num_videos: int, num_draws: int, seed: int = 0) -> np.ndarray:
    """How often each video is drawn, as many videos per draw as there are, with replacement.

    Args:
        num_videos: number of videos, at least 1.
        num_draws: number of draws, at least 1.
        seed: equal seeds give equal draws, so that the figures of two settings can be compared draw by draw.

    Returns:
        int64 (num_draws, num_videos).

    Raises:
        ValueError: a number is below 1.
    """
    for name, number in (('num_videos', num_videos), ('num_draws', num_draws)):
        if number < 1:
            raise ValueError(f'{name} must be at least 1, got {number}')
    rng = np.random.default_rng(seed)
    times = np.empty((num_draws, num_videos), dtype=np.int64)
    for row in times:
        row[:] = np.bincount(rng.integers(0, num_videos, num_videos), minlength=num_videos)
    return times


def frame_figure_of_draws(
    curves: Sequence[tuple[np.ndarray, np.ndarray]], times: np.ndarray, measure: str = 'frame_auc'
) -> np.ndarray:
    """A pooled frame figure of each draw of videos.

    Args:
        curves: scores (T,) and labels (T,) of each of V videos.
        times: how often each video counts, int64 (N, V).
        measure: ``'frame_auc'`` or ``'average_precision'``.

    Returns:
        float64 (N,), NaN where a draw has one class only.

    Raises:
        ValueError: a curve breaks the rules of ``frame_auc``, or there is no such measure.
    """
    evaluate = _find_measure(measure, _Ranking(curves))
    return np.array([evaluate(row) for row in times])


def pixel_auc_of_draws(positives: np.ndarray, negatives: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Pooled pixel AUC of each draw of videos, from their histograms.

    Args:
        positives: anomalous pixels of each of V videos in each bin, scores ascending, (V, bins).
        negatives: normal pixels, (V, bins).
        times: how often each video counts, (N, V).

    Returns:
        float64 (N,), NaN where a draw has one class only.
    """
    used = positives.any(axis=0) | negatives.any(axis=0)
    # As floats, since only these are multiplied fast; numbers of pixels below 2**53 are exact.
    columns = np.stack([positives[:, used], negatives[:, used]]).astype(np.float64)  # (2, V, U)
    values = np.full(len(times), np.nan)
    for index, row in enumerate(times.astype(np.float64)):
        anomalous, normal = row @ columns  # (U,) each
        pairs = anomalous.sum() * normal.sum()
        if pairs:
            values[index] = anomalous @ (np.cumsum(normal) - normal / 2) / pairs
    return values


def bootstrap_interval(
    curves: Sequence[tuple[np.ndarray, np.ndarray]],
    measure: str = 'frame_auc',
    num_draws: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    advance: Callable[[], object] | None = None,
) -> BootstrapInterval:
    """Interval of a pooled frame figure by drawing videos with replacement (percentile bootstrap).

    Frames of one video depend on each other, so whole videos are drawn, as many as there are; the figure of each draw
    is that of all its frames pooled, a video drawn twice counting twice. The ends are the percentiles
    (1 -+ confidence) / 2 of the figures (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).
    Frames are sorted once; a draw then costs a few passes over them.

    Args:
        curves: scores (T,) and labels (T,) of each video.
        measure: ``'frame_auc'`` or ``'average_precision'``.
        num_draws: number of draws, at least 1.
        confidence: in (0, 1).
        seed: equal seeds give equal intervals.
        advance: called after each draw, for a progress bar.

    Raises:
        ValueError: a curve breaks the rules of ``frame_auc``, the videos have one class only, no draw has both
            classes, or a setting breaks its rule.
    """
    if not 0 < confidence < 1:
        raise ValueError(f'confidence must be in (0, 1), got {confidence}')
    evaluate = _find_measure(measure, _Ranking(curves))
    draws = draw_videos(len(curves), num_draws, seed)
    value = evaluate(np.ones(len(curves), dtype=np.int64))
    if np.isnan(value):
        raise ValueError('both classes are needed for an area under a curve, the videos have one')
    values = np.empty(num_draws)
    for index, times in enumerate(draws):
        values[index] = evaluate(times)
        if advance is not None:
            advance()
    defined = values[~np.isnan(values)]
    if not defined.size:
        raise ValueError(f'none of {num_draws} draws of {len(curves)} videos has frames of both classes')
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return BootstrapInterval(
        value=value,
        low=float(low),
        high=float(high),
        confidence=confidence,
        num_draws=int(defined.size),
        num_undefined=num_draws - int(defined.size),
    )


MEASURES = {'frame_auc': 'auc', 'average_precision': 'average_precision'}  # public name -> method of _Ranking


def _find_measure(measure: str, ranking: '_Ranking') -> _Measure:
    if measure not in MEASURES:
        raise ValueError(f'measure must be one of {", ".join(MEASURES)}, got {measure!r}')
    evaluate: _Measure = getattr(ranking, MEASURES[measure])
    return evaluate


class _Ranking:
    """All frames sorted once, so that a figure can be had for any number of times that each video counts.

    Frames of one video, class and score are one entry with a count; scores often hold for many frames, so this
    shortens the arrays.

    Args:
        curves: scores (T,) and labels (T,) of each video.
    """

    def __init__(self, curves: Sequence[tuple[np.ndarray, np.ndarray]]):
        checked = [check_curve(scores, labels) for scores, labels in curves]
        if not checked:
            raise ValueError('curves must hold at least one video, got none')
        scores = np.concatenate([scores for scores, _ in checked])
        labels = np.concatenate([labels for _, labels in checked])
        videos = np.repeat(np.arange(len(checked)), [scores.size for scores, _ in checked])
        positive_scores, self._positive_video, self._positive_count = _make_entries(scores[labels], videos[labels])
        negative_scores, self._negative_video, self._negative_count = _make_entries(scores[~labels], videos[~labels])
        # The scores of anomalous entries are the thresholds; entries of equal score are one step of the ranking.
        first = np.flatnonzero(np.append(True, positive_scores[1:] != positive_scores[:-1])[: positive_scores.size])
        thresholds = positive_scores[first]  # (S,)
        self._step_ends = np.append(first[1:], positive_scores.size)  # one past the last entry of each step
        self._below = np.searchsorted(negative_scores, thresholds, side='left')  # normal entries of lower score
        self._up_to = np.searchsorted(negative_scores, thresholds, side='right')

    def auc(self, times: np.ndarray) -> float:
        """AUC where video v counts ``times[v]`` times; NaN where only one class is left.

        Doubled wins are at most half the square of the number of frames: exact in 64 bits up to 4e9 frames.
        """
        positives, negatives_below = self._accumulate(times)
        if not (positives.any() and negatives_below[-1]):
            return np.nan
        doubled_wins = np.sum(positives * (negatives_below[self._below] + negatives_below[self._up_to]))
        return int(doubled_wins) / (2 * int(positives.sum()) * int(negatives_below[-1]))

    def average_precision(self, times: np.ndarray) -> float:
        """Average precision where video v counts ``times[v]`` times; NaN where only one class is left."""
        positives, negatives_below = self._accumulate(times)
        if not (positives.any() and negatives_below[-1]):
            return np.nan
        hits = positives > 0
        found = np.cumsum(positives[::-1])[::-1][hits]
        false = (negatives_below[-1] - negatives_below[self._below])[hits]
        return float(np.sum(positives[hits] * (found / (found + false))) / found[0])

    def _accumulate(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Anomalous frames per step, (S,), and normal frames before each normal entry and in all, (E + 1,)."""
        found = np.append(0, np.cumsum(times[self._positive_video] * self._positive_count))
        positives = np.diff(found[self._step_ends], prepend=0)
        return positives, np.append(0, np.cumsum(times[self._negative_video] * self._negative_count))


def _make_entries(scores: np.ndarray, videos: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score, video and number of frames of each (score, video) that occurs, scores ascending, all (E,)."""
    order = np.lexsort((videos, scores))
    scores, videos = scores[order], videos[order]
    new = np.append(True, (scores[1:] != scores[:-1]) | (videos[1:] != videos[:-1]))[: scores.size]
    first = np.flatnonzero(new)
    return scores[first], videos[first], np.diff(first, append=scores.size)
