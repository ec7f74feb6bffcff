"""Pixel AUC of single frames and its mean over frames. Pure NumPy."""

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lavida_mm.evaluation.functional.frame_curves import auc_from_counts, frame_auc

__all__ = ['MeanPixelAUC', 'PixelAUCPerFrame', 'binary_mask', 'pixel_auc_of_frame', 'pixel_auc_per_frame']

SIGN_BIT = 0x8000  # of a float16
FLOAT16_PATTERNS = 1 << 16


@dataclass(frozen=True)
class MeanPixelAUC:
    """Mean pixel AUC over frames.

    Attributes:
        value: the mean.
        num_frames: number of frames it is taken over.
        num_excluded: number of frames that have ground truth but no AUC, since all their pixels are anomalous.
    """

    value: float
    num_frames: int
    num_excluded: int


class PixelAUCPerFrame:
    """Pixel AUC of each frame with ground truth, averaged over these frames.

    This is the figure of TAO ("Track Any Anomalous Object", CVPR 2025). It is not the pooled pixel AUC: every frame
    weighs the same, however many of its pixels are anomalous, and scores are never compared across frames. A frame
    without an anomalous pixel takes no part. A frame whose pixels are all anomalous has no AUC: it is left out and
    counted in ``num_excluded``.

    The mean is rounded once (``math.fsum``), so the order of frames and of merging does not change a bit. Memory is
    8 bytes per frame with ground truth.
    """

    def __init__(self) -> None:
        self.values = array('d')
        self.num_excluded = 0

    def update(self, scores: np.ndarray, mask: np.ndarray) -> None:
        """Take one frame.

        Args:
            scores: any finite figures, higher means more anomalous, (H, W).
            mask: True or 1 where the pixel is anomalous, (H, W).

        Raises:
            ValueError: shapes differ, a score is not finite, or the mask is not binary.
        """
        scores, mask = np.asarray(scores), binary_mask(mask)
        _check_frame(scores, mask)
        num_anomalous = int(np.count_nonzero(mask))
        if num_anomalous == 0:
            return
        if num_anomalous == mask.size:
            self.num_excluded += 1
            return
        self.values.append(pixel_auc_of_frame(scores, mask))

    def merge(self, other: 'PixelAUCPerFrame') -> None:
        """Add the frames of another part of the data."""
        self.values.extend(other.values)
        self.num_excluded += other.num_excluded

    def state(self) -> np.ndarray:
        """Number of excluded frames, then the AUC of each other frame, ascending, float64 (1 + frames,)."""
        return np.array([self.num_excluded, *sorted(self.values)], dtype=np.float64)

    def load_state(self, state: np.ndarray) -> None:
        """Take over a ``state``."""
        if state.ndim != 1 or state.size == 0:
            raise ValueError(f'state must be of shape (1 + frames,), got {state.shape}')
        self.num_excluded = int(state[0])
        self.values = array('d', state[1:].tolist())

    def result(self) -> MeanPixelAUC:
        """The mean and what it is taken over.

        Raises:
            ValueError: no frame has both anomalous and normal pixels.
        """
        if not self.values:
            raise ValueError(
                'no frame has both anomalous and normal pixels, so there is no pixel AUC per frame '
                f'({self.num_excluded} frames are anomalous in every pixel)'
            )
        mean = math.fsum(self.values) / len(self.values)
        return MeanPixelAUC(value=mean, num_frames=len(self.values), num_excluded=self.num_excluded)


def pixel_auc_per_frame(scores: Iterable[np.ndarray], masks: Iterable[np.ndarray]) -> MeanPixelAUC:
    """Mean over frames with ground truth of the pixel AUC of the frame; see ``PixelAUCPerFrame``.

    Args:
        scores: any finite figures, higher means more anomalous, T times (H, W); frames may differ in size.
        masks: True or 1 where the pixel is anomalous, T times (H, W).

    Raises:
        ValueError: numbers of frames or shapes differ, a score is not finite, a mask is not binary, or no frame has
            both anomalous and normal pixels.
    """
    frames = PixelAUCPerFrame()
    for frame_scores, mask in zip(scores, masks, strict=True):
        frames.update(frame_scores, mask)
    return frames.result()


def pixel_auc_of_frame(scores: np.ndarray, mask: np.ndarray) -> float:
    """Area under the ROC curve over the pixels of one frame, exact.

    Args:
        scores: any finite figures, higher means more anomalous, (H, W). float16 is counted without sorting, which is
            many times faster.
        mask: True or 1 where the pixel is anomalous, (H, W).

    Raises:
        ValueError: shapes differ, a score is not finite, the mask is not binary, or one class is missing.
    """
    scores, mask = np.asarray(scores), binary_mask(mask)
    _check_frame(scores, mask)
    if scores.dtype != np.float16:
        return frame_auc(scores.ravel(), mask.ravel())
    ranks = _float16_ranks(scores)
    total = np.bincount(ranks.ravel(), minlength=FLOAT16_PATTERNS)
    positives = np.bincount(ranks[mask], minlength=FLOAT16_PATTERNS)
    used = np.flatnonzero(total)
    return auc_from_counts(positives[used], total[used] - positives[used])


def binary_mask(mask: np.ndarray) -> np.ndarray:
    """The mask as bool, of any shape.

    Raises:
        ValueError: it holds other values than 0 and 1.
    """
    mask = np.asarray(mask)
    if mask.dtype == bool:
        return mask
    wrong = (mask != 0) & (mask != 1)
    if wrong.any():
        raise ValueError(f'mask must be 0 or 1, got {mask[wrong][0]}')
    return mask.astype(bool)


def _check_frame(scores: np.ndarray, mask: np.ndarray) -> None:
    if scores.ndim != 2 or scores.shape != mask.shape:
        raise ValueError(f'scores and mask must be of one shape (H, W), got {scores.shape} and {mask.shape}')
    finite = np.isfinite(scores)
    if not finite.all():
        raise ValueError(f'scores must be finite, {int(np.count_nonzero(~finite))} are not')


def _float16_ranks(scores: np.ndarray) -> np.ndarray:
    """Whole numbers below 2**16 in the order of finite float16 scores, equal where scores are equal."""
    pattern = np.ascontiguousarray(scores).view(np.uint16)
    negative = pattern > SIGN_BIT  # the pattern of -0.0 is the sign bit alone, and -0.0 equals 0.0
    return np.where(negative, ~pattern, pattern | np.uint16(SIGN_BIT))
