"""Figures of frame scores, from all videos of an evaluation."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from lavida_mm.evaluation.evaluation import Figures, VideoEvaluation
from lavida_mm.evaluation.functional.frame_curves import (
    average_precision,
    eer,
    far_at,
    frame_auc,
    frame_auc_macro,
    frame_auc_padded,
    pr_auc_trapz,
)
from lavida_mm.evaluation.protocols import Protocol

__all__ = ['add_frame_figures', 'describe_out_of_range']

ALARM_THRESHOLD = 0.5  # of the figure far_at_0.5
POOLED: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    'frame_auc': frame_auc,
    'frame_ap': average_precision,
    'frame_pr_auc_trapz': pr_auc_trapz,
    'frame_eer': eer,
}


def add_frame_figures(figures: Figures, videos: Sequence[VideoEvaluation], protocol: Protocol) -> None:
    """Add the pooled, macro and padded figures of frames, and the false-alarm rate on normal videos.

    Args:
        figures: what they are added to.
        videos: every video that counts under the protocol.
        protocol: gives the padding.
    """
    pairs = [
        (video.scores[video.scored], video.labels[video.scored], video)
        for video in videos
        if video.labels is not None and video.scored.any()
    ]
    names = [*POOLED, 'frame_auc_macro', 'frame_auc_padded', 'frame_auc_macro_padded', 'far_at_0.5']
    unknown = sum(video.labels is None for video in videos)
    if not pairs:
        figures.leave_out(names, 'the videos have no ground truth')
        return
    if unknown:
        figures.notes.append(f'{unknown} of {len(videos)} videos have no ground truth and are in no figure')
    scores = np.concatenate([pair[0] for pair in pairs])
    labels = np.concatenate([pair[1] for pair in pairs])
    if scores.min() == scores.max():
        figures.notes.append(f'all scores are {scores[0]:g}: they rank nothing')
    one_class = None
    if labels.min() == labels.max():
        kind = 'anomalous' if labels[0] else 'normal'
        one_class = f'all {labels.size} scored frames are {kind}: an area under a curve needs both classes'
    calibrated = bool(scores.min() >= 0 and scores.max() <= 1)

    for name, function in POOLED.items():
        if one_class is None:
            figures.attempt(name, partial(function, scores, labels))
        else:
            figures.undefined[name] = one_class
    try:
        macro = frame_auc_macro([pair[:2] for pair in pairs])
        figures.values['frame_auc_macro'] = macro.value
        if macro.num_excluded:
            figures.notes.append(
                f'frame_auc_macro is the mean over {macro.num_videos} of {len(pairs)} videos: the others are of one '
                'class and have no AUC'
            )
    except ValueError as error:
        figures.undefined['frame_auc_macro'] = str(error)
    padding = protocol.padding if calibrated else None
    figures.attempt('frame_auc_padded', lambda: _padded_auc(scores, labels, padding))
    figures.attempt(
        'frame_auc_macro_padded',
        lambda: math.fsum(_padded_auc(*pair[:2], padding) for pair in pairs) / len(pairs),
    )
    normal = [pair[0] for pair in pairs if not pair[2].record.intervals]
    if not calibrated:
        figures.undefined['far_at_0.5'] = describe_out_of_range(scores)
    elif not normal:
        figures.undefined['far_at_0.5'] = 'no scored video is normal'
    else:
        flat = np.concatenate(normal)
        zeros = np.zeros(flat.size, dtype=np.int64)
        figures.attempt('far_at_0.5', lambda: far_at(flat, zeros, ALARM_THRESHOLD))


def describe_out_of_range(scores: np.ndarray) -> str:
    """Why scores beyond [0, 1] have no figure at a fixed threshold."""
    bad = scores[(scores < 0) | (scores > 1)][0]
    return f'a figure at a fixed threshold needs scores in [0, 1], got {bad:g}'


def _padded_auc(scores: np.ndarray, labels: np.ndarray, padding: tuple[float, float] | None) -> float:
    if padding is None:
        return frame_auc_padded(scores, labels)
    return frame_auc(np.append(scores, padding), np.append(labels, [0, 1]))
