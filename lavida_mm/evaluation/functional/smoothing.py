"""Smoothing of a video's score curve. Pure NumPy.

Smoothing changes an AUC by points, so a smoothed figure goes under a name of its own, and a width is never chosen on
test labels. Each function takes the curve of one video: smoothing across the border of two videos would mix them.

A curve is smoothed relative to its first score, so that a constant curve stays exactly constant: rounding would
otherwise break its ties, and an AUC counts them.
"""

import math

import numpy as np

__all__ = ['KINDS', 'causal', 'forward_mean', 'gaussian', 'smooth']

KINDS = ('gaussian', 'causal', 'forward-mean')
TRUNCATE = 4.0  # the Gaussian is cut at this many standard deviations, as in SciPy


def gaussian(scores: np.ndarray, sigma: float) -> np.ndarray:
    """Weighted mean of the frames around each frame, weights proportional to exp(-d**2 / (2 sigma**2)).

    It looks ahead, so a live system cannot do it. Beyond its ends the curve is mirrored (the last frame repeated
    first); the window reaches int(4 sigma + 0.5) frames to both sides. This is SciPy's ``gaussian_filter1d`` with its
    defaults, which published code on video anomalies calls.

    Args:
        scores: one score per frame, (T,).
        sigma: standard deviation, in frames, above 0.

    Returns:
        smoothed scores, float64 (T,).

    Raises:
        ValueError: the curve is not a finite vector, or sigma breaks its rule.
    """
    scores = _check_scores(scores)
    if not 0 < sigma < math.inf:
        raise ValueError(f'sigma must be positive and finite (frames), got {sigma}')
    if not scores.size:
        return scores
    radius = int(TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)  # of the distances 0..radius
    weights /= weights[0] + 2 * weights[1:].sum()
    padded = np.pad(scores - scores[0], radius, mode='symmetric')  # (radius + T + radius,)
    size = scores.size
    total = weights[0] * padded[radius : radius + size]
    for distance in range(1, radius + 1):
        before = padded[radius - distance : radius - distance + size]
        after = padded[radius + distance : radius + distance + size]
        total += weights[distance] * (before + after)
    return total + scores[0]


def causal(scores: np.ndarray, width: int) -> np.ndarray:
    """Mean of each frame and the ``width - 1`` frames before it, or as many as there are (trailing mean).

    A live system can do it.

    Args:
        scores: one score per frame, (T,).
        width: frames that are averaged, at least 1.

    Returns:
        smoothed scores, float64 (T,).

    Raises:
        ValueError: the curve is not a finite vector, or width breaks its rule.
    """
    scores = _check_scores(scores)
    if width != int(width) or width < 1:
        raise ValueError(f'width must be a whole number of frames, at least 1, got {width}')
    if not scores.size:
        return scores
    relative = scores - scores[0]
    total = relative.copy()
    for distance in range(1, min(int(width), scores.size)):
        total[distance:] += relative[:-distance]
    return total / np.minimum(np.arange(1, scores.size + 1), width) + scores[0]


def forward_mean(scores: np.ndarray, width: int) -> np.ndarray:
    """Mean of each frame and the ``width - 1`` frames after it, or as many as there are.

    It looks ahead, so a live system cannot do it.

    Args:
        scores: one score per frame, (T,).
        width: frames that are averaged, at least 1.

    Returns:
        smoothed scores, float64 (T,).

    Raises:
        ValueError: the curve is not a finite vector, or width breaks its rule.
    """
    return causal(_check_scores(scores)[::-1], width)[::-1]


def smooth(scores: np.ndarray, *, kind: str, sigma: float | None = None, width: int | None = None) -> np.ndarray:
    """Smooth by name, as a protocol states it: ``smooth(scores, **dict(kind='gaussian', sigma=8))``.

    Args:
        scores: one score per frame of one video, (T,).
        kind: ``'gaussian'`` (needs ``sigma``), ``'causal'`` or ``'forward-mean'`` (need ``width``).
        sigma: see ``gaussian``.
        width: see ``causal`` and ``forward_mean``.

    Returns:
        smoothed scores, float64 (T,).

    Raises:
        ValueError: the kind is unknown, its setting is missing, one that it does not have is given, or a value breaks
            its rule.
    """
    if kind not in KINDS:
        raise ValueError(f'kind of smoothing must be one of {", ".join(KINDS)}, got {kind!r}')
    needed = 'sigma' if kind == 'gaussian' else 'width'
    given = [name for name, value in (('sigma', sigma), ('width', width)) if value is not None]
    if given != [needed]:
        raise ValueError(f'smoothing {kind!r} needs {needed} and nothing else, got {", ".join(given) or "nothing"}')
    if sigma is not None:
        return gaussian(scores, sigma)
    assert width is not None  # one of the two was given
    return causal(scores, width) if kind == 'causal' else forward_mean(scores, width)


def _check_scores(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1:
        raise ValueError(f'scores must have one dimension (frames), got shape {scores.shape}')
    if not np.isfinite(scores).all():
        raise ValueError(f'scores must be finite, frame {int(np.argmin(np.isfinite(scores)))} is not')
    return scores
