"""Curves over any number of pixels in bounded memory. Pure NumPy."""

import numpy as np

from lavida_mm.evaluation.functional.frame_curves import auc_from_counts, average_precision_from_counts

__all__ = ['PixelHistogram']

LEAST_BINS, MOST_BINS = 16, 65536
OCTAVES = 15  # float16 in [0, 1]: the subnormals, then one octave per exponent from 2**-14 to 2**-1
FLOAT32_MANTISSA_BITS = 23
FLOAT32_EXPONENT_BITS = 7  # as many as float32 in [0, 1] use
FLOAT32_BIAS = 127
FLOAT32_ONE, FLOAT32_MINUS_ZERO = 0x3F800000, 0x80000000
# Floats in [0, 1] have the order of their bits read as integers, and all lie between those of 0 and of 1.
FLOAT16_ONE, FLOAT16_MINUS_ZERO = 0x3C00, 0x8000
FLOAT16_BITS = 14  # as many as float16 in [0, 1] use
CHUNK = 1 << 17  # pixels handled at once: the temporary arrays stay small, and nearly in the cache


class PixelHistogram:
    """How many anomalous and how many normal pixels have each score, with scores rounded down to bins.

    Bins are those of a short floating-point number: evenly spaced below 2**-14, then equally many in every octave up
    to 1. With 65536 bins an octave has 4096, so every float16 in [0, 1] and every multiple of 2**-13 has a bin of its
    own: for such scores the figures are exact. Other scores may share a bin with a neighbour; ``error_bound``
    says how much that can matter.

    Histograms of parts of the data add up (``merge``) to the histogram of the whole, in any order.

    Args:
        num_bins: upper limit of the number of bins, from 16 to 65536.
    """

    def __init__(self, num_bins: int = 65536):
        if not LEAST_BINS <= num_bins <= MOST_BINS:
            raise ValueError(f'num_bins must be at least {LEAST_BINS} and at most {MOST_BINS}, got {num_bins}')
        self.num_bins = num_bins
        self._bits = ((num_bins - 1) // OCTAVES).bit_length() - 1  # mantissa bits of a bin
        self._float32_bits = FLOAT32_EXPONENT_BITS + self._bits
        self._state = np.zeros((3, (OCTAVES << self._bits) + 1), dtype=np.int64)  # the last bin is 1.0 itself
        # What came in since the state was last asked for. A pixel is counted under the (leading) bits of its score, its
        # class and whether bits were cut: one addition per pixel. Bits become bins only when the state is asked for.
        self._float16_counts = np.zeros(2 << FLOAT16_BITS, dtype=np.int64)
        self._float32_counts = np.zeros(4 << self._float32_bits, dtype=np.int64)

    @property
    def positives(self) -> np.ndarray:
        """Number of anomalous pixels per bin, scores ascending, int64 (bins,)."""
        return self._fold()[0]

    @property
    def negatives(self) -> np.ndarray:
        """Number of normal pixels per bin, scores ascending, int64 (bins,)."""
        return self._fold()[1]

    def update(self, scores: np.ndarray, masks: np.ndarray) -> None:
        """Count pixels. Contiguous float16 scores with bool or uint8 masks are counted fastest.

        Args:
            scores: anomaly probability per pixel, in [0, 1], any shape.
            masks: True or 1 where the pixel is anomalous, of the same shape.

        Raises:
            ValueError: shapes differ, a score is outside [0, 1] or not a number, or a mask is not binary. Nothing is
                counted then.
        """
        scores, masks = np.asarray(scores), np.asarray(masks)
        if scores.shape != masks.shape:
            raise ValueError(f'scores and masks must be of one shape, got {scores.shape} and {masks.shape}')
        if scores.dtype.kind not in 'fiub':
            raise ValueError(f'pixel scores must be real numbers, got an array of {scores.dtype}')
        scores, masks = scores.reshape(-1), masks.reshape(-1)  # (P,), copies only where memory is not contiguous
        chunks = [slice(begin, begin + CHUNK) for begin in range(0, scores.size, CHUNK)]
        for chunk in chunks:
            _check_scores(scores[chunk])
            _check_masks(masks[chunk])
        count = self._count_float16 if scores.dtype == np.float16 else self._count
        for chunk in chunks:
            count(scores[chunk], masks[chunk].astype(bool, copy=False))

    def merge(self, other: 'PixelHistogram') -> None:
        """Add the counts of another histogram of the same number of bins."""
        if other.num_bins != self.num_bins:
            raise ValueError(f'histograms must have one number of bins, got {self.num_bins} and {other.num_bins}')
        self.load_state(self.state() + other.state())

    def auc(self) -> float:
        """Pooled pixel AUC; ``error_bound`` limits its distance to that of the scores before rounding.

        The share of pairs (anomalous pixel, normal pixel) in which the anomalous one has the higher bin, pairs in one
        bin counting one half (Hanley and McNeil 1982), counted in integers.

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
        wrongly, each by at most one half: sum over bins with rounded scores of p(b) n(b), over 2 P N. It is 0 where
        every score is its bin's own, float16 scores always (with at least 15361 bins).
        """
        positives, negatives, rounded = self._fold()
        pairs = int(positives.sum()) * int(negatives.sum())
        unsure = rounded > 0
        if pairs == 0 or not unsure.any():
            return 0.0
        doubted = np.sum(positives[unsure].astype(np.float64) * negatives[unsure])
        return float(doubted / (2 * pairs))

    def state(self) -> np.ndarray:
        """Everything the histogram knows, as one array that adds up across processes.

        Returns:
            anomalous pixels, normal pixels and pixels whose score was rounded, per bin, int64 (3, bins).
        """
        return self._fold().copy()

    def load_state(self, state: np.ndarray) -> None:
        """Take over a (summed) ``state`` in place of what the histogram knew.

        Raises:
            ValueError: it is not a state of a histogram of this number of bins.
        """
        if state.shape != self._state.shape:
            raise ValueError(f'state must be of shape {self._state.shape}, got {state.shape}')
        self._fold()
        self._state = state.astype(np.int64)

    def _count_float16(self, scores: np.ndarray, masks: np.ndarray) -> None:
        keys = masks.astype(np.uint16)
        keys <<= FLOAT16_BITS
        keys |= scores.view(np.uint16) & np.uint16(FLOAT16_MINUS_ZERO - 1)  # -0.0 is 0.0
        np.add.at(self._float16_counts, keys.astype(np.intp), 1)

    def _count(self, scores: np.ndarray, masks: np.ndarray) -> None:
        short = scores.astype(np.float32, copy=False)
        pattern = short.view(np.uint32)
        shift = FLOAT32_MANTISSA_BITS - self._bits
        cut = (pattern & np.uint32((1 << shift) - 1)) != 0
        if scores.dtype != np.float32:
            cut |= short != scores
        kinds = cut.view(np.uint8) << 1
        kinds |= masks.view(np.uint8)
        keys = pattern >> shift
        keys &= np.uint32((1 << self._float32_bits) - 1)  # -0.0 is 0.0
        keys |= kinds.astype(np.uint32) << self._float32_bits
        np.add.at(self._float32_counts, keys.astype(np.intp), 1)

    def _fold(self) -> np.ndarray:
        """The state, with all that came in meanwhile in it."""
        keys = np.flatnonzero(self._float16_counts)
        if keys.size:
            pattern = (keys & ((1 << FLOAT16_BITS) - 1)).astype(np.uint16)
            scores = pattern.view(np.float16).astype(np.float32)
            self._add(scores, keys >> FLOAT16_BITS, self._float16_counts[keys])
            self._float16_counts[keys] = 0
        keys = np.flatnonzero(self._float32_counts)
        if keys.size:
            pattern = (keys & ((1 << self._float32_bits) - 1)).astype(np.uint32)
            scores = (pattern << (FLOAT32_MANTISSA_BITS - self._bits)).view(np.float32)
            self._add(scores, keys >> self._float32_bits, self._float32_counts[keys])
            self._float32_counts[keys] = 0
        return self._state

    def _add(self, scores: np.ndarray, kinds: np.ndarray, counts: np.ndarray) -> None:
        """Put counts into the state; bit 0 of a kind is the class, bit 1 whether bits of the score were cut."""
        bins, rounded = self._assign(scores)
        anomalous = (kinds & 1) == 1
        rounded |= kinds >= 2
        np.add.at(self._state[0], bins[anomalous], counts[anomalous])
        np.add.at(self._state[1], bins[~anomalous], counts[~anomalous])
        np.add.at(self._state[2], bins[rounded], counts[rounded])

    def _assign(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bin of each float32 score, and whether the score lost something on its way there, both (P,).

        Below 2**-14 the bins are those of an even grid, above it the leading bits of the float. There the grid,
        cut at 2**-14, lies below the leading bits, and here the leading bits lie below the grid: the higher of the two
        is the bin. Both are monotonous, so rounding never swaps two scores. The grid is no finer than the leading
        bits, so cutting to these first changes no bin.
        """
        pattern = scores.view(np.int32)
        shift = FLOAT32_MANTISSA_BITS - self._bits
        octaves = (pattern >> shift) - ((FLOAT32_BIAS - OCTAVES) << self._bits)
        grid = np.minimum(scores * np.float32(2.0 ** (OCTAVES - 1 + self._bits)), np.float32(1 << self._bits))
        bins = np.maximum(octaves, grid.astype(np.int32))
        return bins, ((pattern & ((1 << shift) - 1)) != 0) | (grid != np.trunc(grid))


def _check_scores(scores: np.ndarray) -> None:
    if scores.dtype == np.float16:  # in integers, which is several times faster
        sound = _is_probability(scores.view(np.uint16), FLOAT16_ONE, FLOAT16_MINUS_ZERO)
    elif scores.dtype == np.float32:
        sound = _is_probability(scores.view(np.uint32), FLOAT32_ONE, FLOAT32_MINUS_ZERO)
    else:
        sound = bool(scores.min() >= 0) and bool(scores.max() <= 1)  # a NaN fails both
    if not sound:
        bad = scores[~((scores >= 0) & (scores <= 1))][0]
        raise ValueError(f'pixel scores must be in [0, 1], got {bad}')


def _is_probability(pattern: np.ndarray, one: int, minus_zero: int) -> bool:
    """Whether all floats are in [0, 1], by their bits: negative numbers and NaN are greater as integers."""
    return bool(pattern.max() <= one) or bool(((pattern <= one) | (pattern == minus_zero)).all())


def _check_masks(masks: np.ndarray) -> None:
    if masks.dtype == bool or (masks.dtype == np.uint8 and masks.max() <= 1):
        return
    binary = (masks == 0) | (masks == 1)
    if not binary.all():
        raise ValueError(f'masks must be 0 or 1, got {masks[~binary][0]}')
