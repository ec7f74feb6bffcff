"""Areas under the curves of a ranking, by exact counting. Pure NumPy."""

import numpy as np

__all__ = ['auc_from_counts', 'average_precision', 'average_precision_from_counts', 'frame_auc']

INT64_MAX = 2**63 - 1


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
    return auc_from_counts(*_count_by_score(scores, labels))


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Average precision: the sum over thresholds of precision times the gain in recall (scikit-learn's definition).

    Frames of equal score share one threshold. This is not the trapezoid area under the precision-recall curve.

    Args:
        scores: any finite figures, higher means more anomalous, (T,).
        labels: 1 or True where the frame is anomalous, (T,).

    Raises:
        ValueError: as ``frame_auc``.
    """
    return average_precision_from_counts(*_count_by_score(scores, labels))


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


def _count_by_score(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f'scores and labels must be of one shape (T,), got {scores.shape} and {labels.shape}')
    if not np.isfinite(scores).all():
        raise ValueError(f'scores must be finite, {int(np.count_nonzero(~np.isfinite(scores)))} are not')
    if labels.dtype != bool:
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(f'labels must be 0 or 1, got {labels[~np.isin(labels, (0, 1))][0]}')
        labels = labels.astype(bool)
    order = np.argsort(scores)
    scores, labels = scores[order], labels[order]
    ends = np.append(np.flatnonzero(scores[1:] != scores[:-1]), scores.size - 1)  # last frame of each score, (S,)
    found = np.cumsum(labels, dtype=np.int64)[ends] if scores.size else np.zeros(0, dtype=np.int64)
    positives = np.diff(found, prepend=0)
    sizes = np.diff(ends, prepend=-1) if scores.size else np.zeros(0, dtype=np.int64)
    return positives, sizes - positives


def _check_classes(positives: np.ndarray, negatives: np.ndarray) -> tuple[int, int]:
    num_positives, num_negatives = int(positives.sum()), int(negatives.sum())
    if num_positives == 0 or num_negatives == 0:
        raise ValueError(
            f'both classes are needed for an area under a curve, got {num_positives} anomalous '
            f'and {num_negatives} normal items'
        )
    return num_positives, num_negatives
