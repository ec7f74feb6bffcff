"""Curves over any number of pixels in bounded memory. Pure NumPy."""

import numpy as np

from lavida_mm.evaluation.functional.frame_curves import auc_from_counts, average_precision_from_counts

__all__ = ['PixelHistogram']

OCTAVES = 15  # float16 in [0, 1]: the subnormals, then one octave per exponent from 2**-14 to 2**-1
SMALLEST_NORMAL = 2.0**-14
FLOAT32_MANTISSA_BITS = 23
FLOAT32_BIAS = 127
CHUNK = 1 << 20  # pixels handled at once: bounds the temporary arrays


class PixelHistogram:
    """How many anomalous and how many normal pixels have each score, with scores rounded down to bins.

    Bins are those of a short floating-point number: evenly spaced below 2**-14, then equally many in every octave up
    to 1. With 65536 bins an octave has 4096, so every float16 in [0, 1] and every multiple of 2**-13 has a bin of its
    own: for such scores the figures are exact. Other scores may share a bin with a neighbour; ``error_bound``
    says how much that can matter.

    Histograms of parts of the data add up (``merge``) to the histogram of the whole, in any order.

    Args:
        num_bins: upper limit of the number of bins, at least 16.
    """

    def __init__(self, num_bins: int = 65536):
        if num_bins < OCTAVES + 1:
            raise ValueError(f'num_bins must be at least {OCTAVES + 1}, got {num_bins}')
        self.num_bins = num_bins
        self._bits = min(((num_bins - 1) // OCTAVES).bit_length() - 1, FLOAT32_MANTISSA_BITS)  # mantissa bits of a bin
        size = (OCTAVES << self._bits) + 1  # the last bin is 1.0 itself
        self.positives = np.zeros(size, dtype=np.int64)
        self.negatives = np.zeros(size, dtype=np.int64)
        self._rounded = np.zeros(size, dtype=np.int64)  # pixels per bin whose score is not the bin's own

    def update(self, scores: np.ndarray, masks: np.ndarray) -> None:
        """Count pixels.

        Args:
            scores: anomaly probability per pixel, in [0, 1], any shape.
            masks: True or 1 where the pixel is anomalous, of the same shape.

        Raises:
            ValueError: shapes differ, a score is outside [0, 1] or not a number, or a mask is not binary.
        """
        scores, masks = np.asarray(scores), np.asarray(masks)
        if scores.shape != masks.shape:
            raise ValueError(f'scores and masks must be of one shape, got {scores.shape} and {masks.shape}')
        if masks.dtype != bool:
            if not np.isin(masks, (0, 1)).all():
                raise ValueError(f'masks must be 0 or 1, got {masks[~np.isin(masks, (0, 1))][0]}')
            masks = masks.astype(bool)
        scores, masks = scores.ravel(), masks.ravel()
        if not ((scores >= 0) & (scores <= 1)).all():  # a NaN fails both
            bad = scores[~((scores >= 0) & (scores <= 1))][0]
            raise ValueError(f'pixel scores must be in [0, 1], got {bad}')
        for begin in range(0, scores.size, CHUNK):
            self._count(scores[begin : begin + CHUNK], masks[begin : begin + CHUNK])

    def merge(self, other: 'PixelHistogram') -> None:
        """Add the counts of another histogram of the same number of bins."""
        if other.num_bins != self.num_bins:
            raise ValueError(f'histograms must have one number of bins, got {self.num_bins} and {other.num_bins}')
        self.load_state(self.state() + other.state())

    def auc(self) -> float:
        """Pooled pixel AUC; ``error_bound`` limits its distance to that of the scores before rounding.

        Raises:
            ValueError: there is no anomalous or no normal pixel.
        """
        return auc_from_counts(self.positives, self.negatives)

    def average_precision(self) -> float:
        """Pooled pixel average precision (definition of ``frame_curves.average_precision``) of the rounded scores.

        Raises:
            ValueError: there is no anomalous or no normal pixel.
        """
        return average_precision_from_counts(self.positives, self.negatives)

    def error_bound(self) -> float:
        """Largest possible distance between ``auc`` and the AUC of the scores as they were given.

        Rounding keeps the order of scores that fall into different bins, so only pairs inside one bin can count
        wrongly, each by at most one half. It is 0 where every score is its bin's own, float16 scores always.
        """
        pairs = int(self.positives.sum()) * int(self.negatives.sum())
        unsure = self._rounded > 0
        if pairs == 0 or not unsure.any():
            return 0.0
        doubted = np.sum(self.positives[unsure].astype(np.float64) * self.negatives[unsure])
        return float(doubted / (2 * pairs))

    def state(self) -> np.ndarray:
        """Everything the histogram knows, as one array that adds up across processes, int64 (3, bins)."""
        return np.stack([self.positives, self.negatives, self._rounded])

    def load_state(self, state: np.ndarray) -> None:
        """Take over a (summed) ``state``."""
        expected = (3, self.positives.size)
        if state.shape != expected:
            raise ValueError(f'state must be of shape {expected}, got {state.shape}')
        self.positives, self.negatives, self._rounded = (row.astype(np.int64) for row in state)

    def _count(self, scores: np.ndarray, masks: np.ndarray) -> None:
        bins, rounded = self._assign(scores)
        size = self.positives.size
        total = np.bincount(bins, minlength=size)
        positives = np.bincount(bins[masks], minlength=size)
        self.positives += positives
        self.negatives += total - positives
        if rounded.any():
            self._rounded += np.bincount(bins[rounded], minlength=size)

    def _assign(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bin of each score, and whether the score lost something on its way there, both (P,)."""
        short = scores.astype(np.float32)
        shift = FLOAT32_MANTISSA_BITS - self._bits
        pattern = short.view(np.uint32)
        exponent_offset = (FLOAT32_BIAS - OCTAVES) << self._bits  # bin 2**bits is 2**-14, the first of the octaves
        bins = (pattern >> shift).astype(np.int64) - exponent_offset
        rounded = (pattern & np.uint32((1 << shift) - 1)) != 0
        small = short < SMALLEST_NORMAL
        if small.any():
            position = short[small].astype(np.float64) * 2.0 ** (OCTAVES - 1 + self._bits)
            bins[small] = position.astype(np.int64)
            rounded[small] = position != bins[small]
        if scores.dtype.itemsize > short.dtype.itemsize or scores.dtype.kind != 'f':
            rounded |= short != scores
        return bins, rounded
