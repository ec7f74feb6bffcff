"""Areas under the curves of a ranking of frames, by exact counting. Pure NumPy.

P anomalous and N normal frames; at a threshold t, TP(t) and FP(t) of them score at least t. Then
true-positive rate = recall = TP / P, false-positive rate = FP / N, precision = TP / (TP + FP). Frames of equal score
share one threshold.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

__all__ = [
    'MacroAUC',
    'auc_from_counts',
    'average_precision',
    'average_precision_from_counts',
    'check_curve',
    'eer',
    'far_at',
    'frame_auc',
    'frame_auc_macro',
    'frame_auc_padded',
    'pr_auc_trapz',
    'pr_curve_points',
    'roc_curve_points',
]

INT64_MAX = 2**63 - 1


@dataclass(frozen=True)
class MacroAUC:
    """A mean over videos, and how many videos it is the mean of.

    Attributes:
        value: mean of the AUC of the videos that have one.
        num_videos: videos that have one.
        num_excluded: videos left out because all their frames are of one class.
    """

    value: float
    num_videos: int
    num_excluded: int


def frame_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve over all frames pooled (micro AUC).

    It is the share of pairs (anomalous frame, normal frame) in which the anomalous one scores higher; a pair of
    equal scores counts one half (Hanley and McNeil 1982). Pairs are counted in integers, so the figure does not
    depend on the order of the frames.

    Args:
        scores: any finite figures, higher means more anomalous, (T,).
        labels: 1 or True where the frame is anomalous, (T,).

    Raises:
        ValueError: shapes differ, a score is not finite, a label is neither 0 nor 1, or one class is missing.
    """
    _, positives, negatives = _count_by_score(scores, labels)
    return auc_from_counts(positives, negatives)


def frame_auc_padded(scores: np.ndarray, labels: np.ndarray) -> float:
    """``frame_auc`` after one normal frame of score 0 and one anomalous frame of score 1 have joined the frames.

    The script published with UBnormal (Acsintoae et al., CVPR 2022) does so with each video, and every video then
    has both classes. Where scores lie outside [0, 1] (raw logits), the two added frames take the lowest and the
    highest score instead, so that they never outrank a frame on the wrong side: min(0, lowest), max(1, highest).

    Args:
        scores: any finite figures, higher means more anomalous, (T,), T at least 1.
        labels: 1 or True where the frame is anomalous, (T,).

    Raises:
        ValueError: shapes differ, there is no frame, a score is not finite or a label is neither 0 nor 1.
    """
    scores, labels = check_curve(scores, labels)
    if not scores.size:
        raise ValueError('scores must hold at least one frame, got none: two added frames alone are no video')
    if scores.dtype.kind != 'f':
        scores = scores.astype(np.float64)
    ends = np.array([min(0, scores.min()), max(1, scores.max())], dtype=scores.dtype)
    return frame_auc(np.append(scores, ends), np.append(labels, [False, True]))


def frame_auc_macro(curves: Iterable[tuple[np.ndarray, np.ndarray]], padded: bool = False) -> MacroAUC:
    """Mean over videos of the AUC of each video's own frames (macro AUC).

    A video whose frames are all of one class has no AUC and is left out; the result says how many were. With
    ``padded`` every video has one (see ``frame_auc_padded``): that is another figure, under another name.

    Args:
        curves: scores (T,) and labels (T,) of each video.
        padded: whether to add the two frames of ``frame_auc_padded`` to each video.

    Raises:
        ValueError: a curve breaks the rules of ``frame_auc``, or no video has both classes.
    """
    values, num_excluded = [], 0
    for scores, labels in curves:
        if padded:
            values.append(frame_auc_padded(scores, labels))
            continue
        _, positives, negatives = _count_by_score(scores, labels)
        if positives.any() and negatives.any():
            values.append(auc_from_counts(positives, negatives))
        else:
            num_excluded += 1
    if not values:
        raise ValueError(f'no video has both classes, so none has an AUC: {num_excluded} videos of one class')
    return MacroAUC(math.fsum(values) / len(values), len(values), num_excluded)


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Average precision: the sum over thresholds of precision times the gain in recall (scikit-learn's definition).

    This is not the trapezoid area under the precision-recall curve, which is ``pr_auc_trapz``.

    Args:
        scores: any finite figures, higher means more anomalous, (T,).
        labels: 1 or True where the frame is anomalous, (T,).

    Raises:
        ValueError: as ``frame_auc``.
    """
    _, positives, negatives = _count_by_score(scores, labels)
    return average_precision_from_counts(positives, negatives)


def pr_auc_trapz(scores: np.ndarray, labels: np.ndarray) -> float:
    """Trapezoid area under the precision-recall curve, which many papers on video anomalies print as "AP".

    The points of all thresholds, and (recall 0, precision 1), are joined by straight lines: scikit-learn's
    ``auc(recall, precision)`` of ``precision_recall_curve``. Precision does not change along straight lines (Davis
    and Goadrich, ICML 2006), so this figure flatters; ``average_precision`` is the honest one.

    Args:
        scores: any finite figures, higher means more anomalous, (T,).
        labels: 1 or True where the frame is anomalous, (T,).

    Raises:
        ValueError: as ``frame_auc``.
    """
    recall, precision, _ = _pr_curve(scores, labels)
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) / 2))


def eer(scores: np.ndarray, labels: np.ndarray) -> float:
    """Equal error rate: where the share of normal frames alarmed equals the share of anomalous frames missed.

    It is the false-positive rate at which the ROC curve, its points joined by straight lines, crosses
    false-positive rate = 1 - true-positive rate. There is one such point, since both rates only grow.

    Args:
        scores: any finite figures, higher means more anomalous, (T,).
        labels: 1 or True where the frame is anomalous, (T,).

    Raises:
        ValueError: as ``frame_auc``.
    """
    false_rate, true_rate, _ = _roc_curve(scores, labels)
    both = false_rate + true_rate  # grows strictly from 0 to 2
    after = int(np.searchsorted(both, 1.0))
    before = after - 1
    share = (1 - both[before]) / (both[after] - both[before])
    return float(false_rate[before] + share * (false_rate[after] - false_rate[before]))


def far_at(scores: np.ndarray, labels: np.ndarray, threshold: float = 0.5) -> float:
    """False-alarm rate at a fixed threshold: the share of normal frames whose score is at least ``threshold``.

    As Sultani et al. (CVPR 2018) report it, at 0.5 over the frames of normal videos: hand over the frames of these
    videos. A fixed threshold means something for calibrated scores only, so others are refused.

    Args:
        scores: scores in [0, 1], (T,).
        labels: 1 or True where the frame is anomalous, (T,); such frames do not count.
        threshold: score from which on an alarm is given, in [0, 1].

    Raises:
        ValueError: shapes differ, a score is not in [0, 1], a label is neither 0 nor 1, no frame is normal, or the
            threshold breaks its rule.
    """
    scores, labels = check_curve(scores, labels)
    if not 0 <= threshold <= 1:
        raise ValueError(f'threshold must be in [0, 1], got {threshold}')
    outside = (scores < 0) | (scores > 1)
    if outside.any():
        raise ValueError(f'scores must be in [0, 1] for a fixed threshold, got {scores[outside][0]}')
    normal = scores[~labels]
    if not normal.size:
        raise ValueError('normal frames are needed for a false-alarm rate, got none')
    return int(np.count_nonzero(normal >= threshold)) / normal.size


def roc_curve_points(
    scores: np.ndarray, labels: np.ndarray, max_points: int = 2000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ROC curve, for plotting.

    Args:
        scores: any finite figures, higher means more anomalous, (T,).
        labels: 1 or True where the frame is anomalous, (T,).
        max_points: most points that are kept, at least 2; they lie evenly along the curve, both ends among them.

    Returns:
        false-positive rate, true-positive rate and threshold of each point, all (K,); thresholds fall, the first one
        (no frame alarmed) is infinite.

    Raises:
        ValueError: as ``frame_auc``, or ``max_points`` is below 2.
    """
    return _thin(*_roc_curve(scores, labels), max_points)


def pr_curve_points(
    scores: np.ndarray, labels: np.ndarray, max_points: int = 2000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The precision-recall curve, for plotting.

    Args:
        scores: any finite figures, higher means more anomalous, (T,).
        labels: 1 or True where the frame is anomalous, (T,).
        max_points: most points that are kept, at least 2; they lie evenly along the curve, both ends among them.

    Returns:
        recall, precision and threshold of each point, all (K,); recall grows, thresholds fall. The first point is
        (0, 1) at an infinite threshold.

    Raises:
        ValueError: as ``frame_auc``, or ``max_points`` is below 2.
    """
    return _thin(*_pr_curve(scores, labels), max_points)


def auc_from_counts(positives: np.ndarray, negatives: np.ndarray) -> float:
    """ROC AUC from how many of each class have each score.

    Args:
        positives: number of anomalous items per distinct score, scores ascending, (S,).
        negatives: number of normal items per distinct score, (S,).

    Raises:
        ValueError: one class is missing.
    """
    num_positives, num_negatives = _check_classes(positives, negatives)
    if 2 * num_positives * num_negatives > INT64_MAX:
        positives, negatives = positives.astype(object), negatives.astype(object)
    below = np.cumsum(negatives) - negatives  # (S,)
    doubled_wins = int(np.sum(positives * (2 * below + negatives)))
    return doubled_wins / (2 * num_positives * num_negatives)


def average_precision_from_counts(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Average precision from how many of each class have each score.

    Args:
        positives: number of anomalous items per distinct score, scores ascending, (S,).
        negatives: number of normal items per distinct score, (S,).

    Raises:
        ValueError: one class is missing.
    """
    num_positives, _ = _check_classes(positives, negatives)
    hits = positives > 0
    found = np.cumsum(positives[::-1])[::-1][hits]
    alarms = np.cumsum((positives + negatives)[::-1])[::-1][hits]
    return float(np.sum(positives[hits] * (found / alarms)) / num_positives)


def check_curve(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What every measure here asks of its input.

    Args:
        scores: any finite figures, higher means more anomalous, (T,).
        labels: 1 or True where the frame is anomalous, (T,).

    Returns:
        scores as an array of their own type, (T,), and labels as bool, (T,).

    Raises:
        ValueError: shapes differ, a score is no finite number, or a label is neither 0 nor 1.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f'scores and labels must be of one shape (T,), got {scores.shape} and {labels.shape}')
    if scores.dtype.kind not in 'fiub':
        raise ValueError(f'scores must be real numbers, got an array of {scores.dtype}')
    if not np.isfinite(scores).all():
        raise ValueError(f'scores must be finite, {int(np.count_nonzero(~np.isfinite(scores)))} are not')
    if labels.dtype != bool:
        binary = (labels == 0) | (labels == 1)
        if not binary.all():
            raise ValueError(f'labels must be 0 or 1, got {labels[~binary][0]}')
        labels = labels.astype(bool)
    return scores, labels


def _count_by_score(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores, ascending, and how many anomalous and how many normal frames have each, all (S,).

    Sorting values is several times faster than sorting indices, so the classes are not carried along: those of the
    rarer class are sorted by themselves and looked up.
    """
    scores, labels = check_curve(scores, labels)
    ordered = np.sort(scores)
    ends = np.flatnonzero(ordered[1:] != ordered[:-1])
    ends = np.append(ends, scores.size - 1) if scores.size else ends  # last frame of each score, (S,)
    distinct = ordered[ends]
    sizes = np.diff(ends, prepend=-1)
    positives_rare = 2 * int(np.count_nonzero(labels)) <= labels.size
    rare = np.sort(scores[labels if positives_rare else ~labels])
    counts = np.bincount(np.searchsorted(distinct, rare), minlength=distinct.size)
    return (distinct, counts, sizes - counts) if positives_rare else (distinct, sizes - counts, counts)


def _check_classes(positives: np.ndarray, negatives: np.ndarray) -> tuple[int, int]:
    num_positives, num_negatives = int(positives.sum()), int(negatives.sum())
    if num_positives == 0 or num_negatives == 0:
        raise ValueError(
            f'both classes are needed for an area under a curve, got {num_positives} anomalous '
            f'and {num_negatives} normal items'
        )
    return num_positives, num_negatives


def _alarms_by_threshold(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """TP, FP and threshold, thresholds falling from infinity to the lowest score, all (S + 1,)."""
    distinct, positives, negatives = _count_by_score(scores, labels)
    _check_classes(positives, negatives)
    found = np.append(0, np.cumsum(positives[::-1]))
    alarmed = np.append(0, np.cumsum(negatives[::-1]))
    return found, alarmed, np.append(np.inf, distinct[::-1])


def _roc_curve(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found, alarmed, thresholds = _alarms_by_threshold(scores, labels)
    return alarmed / alarmed[-1], found / found[-1], thresholds


def _pr_curve(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found, alarmed, thresholds = _alarms_by_threshold(scores, labels)
    precision = np.append(1.0, found[1:] / (found + alarmed)[1:])
    return found / found[-1], precision, thresholds


def _thin(
    x: np.ndarray, y: np.ndarray, thresholds: np.ndarray, max_points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At most ``max_points`` points, about evenly spaced along the curve."""
    if max_points < 2:
        raise ValueError(f'max_points must be at least 2, got {max_points}')
    if x.size > max_points:
        length = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
        inner = np.searchsorted(length, np.linspace(0, length[-1], max_points)[1:-1])
        keep = np.unique(np.concatenate([[0], inner, [x.size - 1]]))
        x, y, thresholds = x[keep], y[keep], thresholds[keep]
    return x, y, thresholds
