"""One item of a test set as the model returns it, checked, and cut to the frames that count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lavida_mm.evaluation.video_curve import UNDECIDED
from lavida_mm.utils.errors import DataError

__all__ = ['ScoredWindow', 'find_top_words', 'read_window']


@dataclass
class ScoredWindow:
    """The frames of one window that count: not those that are context, nor those that fill it up.

    Attributes:
        video_id: name of the video.
        num_frames: its length.
        fps: its frames per second; None where that is not known.
        frame_interval: frames for which a score holds.
        frame_inds: frame numbers, int64 (T,).
        scores: anomaly scores in [0, 1], float32 (T,).
        masks: anomaly probability of each pixel, (T, H, W); None where the model gave none.
        truth: anomalous pixels, bool (T, H, W); None where the sample has none.
        categories: words of the prompt.
        template: number of the prompt template.
        num_settled: the first of its frames that many are held by no later window; of the rest, later ones speak too.
        word_scores: of each word in each frame, (T, n); None where the model scores no words.
    """

    video_id: str
    num_frames: int
    fps: float | None
    frame_interval: int
    frame_inds: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None
    truth: np.ndarray | None
    categories: list[str]
    template: int
    num_settled: int
    word_scores: np.ndarray | None = None

    @property
    def top_words(self) -> np.ndarray | None:
        """The word that scores highest in each frame, ``UNDECIDED`` where it is not one, object (T,); None likewise."""
        return None if self.word_scores is None else find_top_words(self.word_scores, self.categories)


def read_window(sample: Any) -> ScoredWindow:
    """Read a sample with its predictions.

    Args:
        sample: ``VADDataSample``, or the dict of all its items.

    Raises:
        DataError: scores are missing or not in [0, 1], or the parts of the window do not fit together.
    """
    items = sample if isinstance(sample, Mapping) else dict(sample.all_items())
    video_id = items['video_id']
    inds = _to_numpy(items['frame_inds']).astype(np.int64)
    if items.get('pred_frame_scores') is None:
        raise DataError(f'video {video_id}: pred_frame_scores is missing, every window needs it')
    scores = _to_numpy(items['pred_frame_scores']).astype(np.float32)
    first, last = int(items.get('first_scored', 0)), int(items.get('num_valid', len(inds)))
    if len(scores) != len(inds) or not 0 <= first < last <= len(inds):
        raise DataError(
            f'video {video_id}: frame_inds and pred_frame_scores must hold the same frames, of which '
            f'[first_scored, num_valid) count, got {len(inds)}, {len(scores)} and [{first}, {last})'
        )
    num_settled = int(items.get('num_settled', last)) - first
    if not 0 <= num_settled <= last - first:
        raise DataError(f'video {video_id}: num_settled must be in [{first}, {last}], got {num_settled + first}')
    part = slice(first, last)
    scores = scores[part]
    fine = (scores >= 0) & (scores <= 1)  # a NaN fails both
    if not fine.all():
        raise DataError(f'video {video_id}: pred_frame_scores must be in [0, 1], got {scores[~fine][0]}')
    categories = [str(word) for word in items.get('categories', ())]
    return ScoredWindow(
        video_id=video_id,
        num_frames=int(items['num_frames']),
        fps=float(items['fps']) if items.get('fps') else None,
        frame_interval=int(items.get('frame_interval', 1)),
        frame_inds=inds[part],
        scores=scores,
        masks=_read_maps(items, 'pred_masks', part),
        truth=_read_truth(items, part),
        categories=categories,
        template=int(items.get('template', 0)),
        num_settled=num_settled,
        word_scores=_read_word_scores(items, categories, len(inds), part),
    )


def find_top_words(scores: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """The word that scores highest in each frame; ``UNDECIDED`` where several do.

    Args:
        scores: (T, n).
        words: n words.

    Returns:
        object (T,).

    Examples:
        >>> find_top_words(np.array([[0.1, 0.9], [0.4, 0.4]]), ['fire', 'fall']).tolist()
        ['fall', '']
    """
    top = np.asarray(words, dtype=object)[scores.argmax(axis=1)]
    top[(scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1] = UNDECIDED
    return top


def _read_word_scores(
    items: Mapping[str, Any], categories: Sequence[str], num_frames: int, part: slice
) -> np.ndarray | None:
    if items.get('pred_category_scores') is None or not categories:
        return None
    scores = _to_numpy(items['pred_category_scores'])
    if scores.shape != (num_frames, len(categories)):
        raise DataError(
            f'video {items["video_id"]}: pred_category_scores must be of shape (frames, words) '
            f'{(num_frames, len(categories))}, got {scores.shape}'
        )
    if np.isnan(scores[part]).any():
        raise DataError(f'video {items["video_id"]}: pred_category_scores must be numbers, got nan')
    return scores[part]


def _read_maps(items: Mapping[str, Any], field: str, part: slice) -> np.ndarray | None:
    return None if items.get(field) is None else _to_numpy(items[field])[part]


def _read_truth(items: Mapping[str, Any], part: slice) -> np.ndarray | None:
    truth = _read_maps(items, 'gt_masks', part)
    if truth is None or truth.dtype == bool:
        return truth
    if not np.isin(truth, (0, 1)).all():
        bad = truth[~np.isin(truth, (0, 1))][0]
        raise DataError(f'video {items["video_id"]}: gt_masks must be 0 or 1, got {bad}')
    return truth.astype(bool)


def _to_numpy(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()
    return np.asarray(value)
