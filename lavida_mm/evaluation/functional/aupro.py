"""Area under the per-region overlap curve, in bounded memory."""

from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from lavida_mm.evaluation.functional.pixel_per_frame import binary_mask

__all__ = ['AuproAccumulator', 'aupro', 'label_regions']

FLOAT16_ONE = 0x3C00  # pattern of 1.0; patterns of non-negative float16 have the order of the figures
FLOAT16_SIGN = 0x8000
NUM_BINS = FLOAT16_ONE + 1  # every float16 in [0, 1]
UNIT_BITS = 36  # a whole region weighs 2**36 units; they add up in int64 for 2**27 regions
MAX_PIXELS = 1 << (63 - UNIT_BITS)  # of a frame, so that pixels times units fit into int64


class AuproAccumulator:
    """AUPRO of any number of frames, one at a time.

    A region is a connected component of the ground truth of one frame; pixels that touch at an edge or a corner
    belong together (8-connectivity, as MVTec's evaluation and anomalib have it). At a threshold t the overlap of a
    region is the share of its pixels that score at least t; their mean over the regions of all frames is the
    per-region overlap. The false-positive rate is the share of the normal pixels of all frames that score at least t.
    The figure is the area under the first against the second, from 0 to ``max_fpr``, divided by ``max_fpr``: 1 is
    perfect. The curve starts at (0, 0) and is straight between thresholds (trapezoid rule), also where ``max_fpr``
    cuts it. Pixels of equal score share one threshold. Source: Bergmann et al., "The MVTec Anomaly Detection
    Dataset", IJCV 2021.

    Scores are counted as float16, others are rounded to the nearest one. Overlaps are kept as whole numbers of
    2**-36, a rounding that shifts the figure by less than 2e-11. All arithmetic is on integers until one last
    division, so neither the order of frames nor that of merging changes a bit. Memory does not grow with the data.
    """

    def __init__(self) -> None:
        self._normal = np.zeros(NUM_BINS, dtype=np.int64)
        self._overlap = np.zeros(NUM_BINS, dtype=np.int64)

    @property
    def num_regions(self) -> int:
        """Number of regions so far."""
        return int(self._overlap.sum()) >> UNIT_BITS

    def update(self, scores: np.ndarray, mask: np.ndarray) -> None:
        """Count one frame.

        Args:
            scores: anomaly probability per pixel, in [0, 1], (H, W).
            mask: True or 1 where the pixel is anomalous, (H, W).

        Raises:
            ValueError: shapes differ, a score is outside [0, 1] or not a number, or the mask is not binary.
        """
        scores, mask = np.asarray(scores), binary_mask(mask)
        _check_shapes(scores, mask)
        _count_frame(_float16_bins(scores), mask, self._normal, self._overlap)

    def merge(self, other: 'AuproAccumulator') -> None:
        """Add the counts of another part of the data."""
        self.load_state(self.state() + other.state())

    def state(self) -> np.ndarray:
        """Everything that is known, as one array that adds up across processes, int64 (2, bins)."""
        return np.stack([self._normal, self._overlap])

    def load_state(self, state: np.ndarray) -> None:
        """Take over a (summed) ``state``."""
        if state.shape != (2, NUM_BINS):
            raise ValueError(f'state must be of shape {(2, NUM_BINS)}, got {state.shape}')
        self._normal, self._overlap = (row.astype(np.int64) for row in state)

    def value(self, max_fpr: float = 0.3) -> float:
        """The figure, in [0, 1].

        Args:
            max_fpr: false-positive rate up to which the curve is integrated, in (0, 1].

        Raises:
            ValueError: there is no region or no normal pixel, or ``max_fpr`` breaks its rule.
        """
        return _area(self._normal, self._overlap, max_fpr)


def aupro(scores: Iterable[np.ndarray], masks: Iterable[np.ndarray], max_fpr: float = 0.3) -> float:
    """AUPRO of frames that fit into memory, exact for any scores; definition of ``AuproAccumulator``.

    Args:
        scores: any finite figures, higher means more anomalous, T times (H, W); frames may differ in size.
        masks: True or 1 where the pixel is anomalous, T times (H, W).
        max_fpr: false-positive rate up to which the curve is integrated, in (0, 1].

    Raises:
        ValueError: numbers of frames or shapes differ, a score is not finite, a mask is not binary, there is no region
            or no normal pixel, or ``max_fpr`` breaks its rule.
    """
    frames = [(np.asarray(frame), binary_mask(mask)) for frame, mask in zip(scores, masks, strict=True)]
    for frame, mask in frames:
        _check_shapes(frame, mask)
        if not np.isfinite(frame).all():
            raise ValueError(f'scores must be finite, {int(np.count_nonzero(~np.isfinite(frame)))} are not')
    if not frames:
        raise ValueError('AUPRO needs at least one frame, got none')
    levels = np.unique(np.concatenate([frame.ravel() for frame, _ in frames]))  # (S,)
    normal, overlap = np.zeros(levels.size, dtype=np.int64), np.zeros(levels.size, dtype=np.int64)
    for frame, mask in frames:
        _count_frame(np.searchsorted(levels, frame), mask, normal, overlap)
    return _area(normal, overlap, max_fpr)


def label_regions(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Connected components of a mask, with pixels that touch at an edge or a corner in one.

    Args:
        mask: bool (H, W).

    Returns:
        Number of each pixel's region, 0 outside, int32 (H, W); number of regions.
    """
    import cv2

    num_labels, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return labels, num_labels - 1


def _check_shapes(scores: np.ndarray, mask: np.ndarray) -> None:
    if scores.ndim != 2 or scores.shape != mask.shape:
        raise ValueError(f'scores and mask must be of one shape (H, W), got {scores.shape} and {mask.shape}')
    if scores.size >= MAX_PIXELS:
        raise ValueError(f'a frame must have fewer than {MAX_PIXELS} pixels, got {scores.shape}')


def _float16_bins(scores: np.ndarray) -> np.ndarray:
    """Bin of each score in [0, 1], (H, W)."""
    if scores.dtype != np.float16:
        inside = (scores >= 0) & (scores <= 1)  # a NaN fails both
        if not inside.all():
            raise ValueError(f'pixel scores must be in [0, 1], got {scores[~inside][0]}')
        scores = scores.astype(np.float16)
    bins = np.ascontiguousarray(scores).view(np.uint16)
    outside = bins > FLOAT16_ONE
    if outside.any():
        bins = np.where(bins == FLOAT16_SIGN, np.uint16(0), bins)  # -0.0 equals 0.0
        outside = bins > FLOAT16_ONE
        if outside.any():
            raise ValueError(f'pixel scores must be in [0, 1], got {scores[outside][0]}')
    return bins


def _count_frame(bins: np.ndarray, mask: np.ndarray, normal: np.ndarray, overlap: np.ndarray) -> None:
    """Add one frame to the counts, in place.

    Args:
        bins: bin of each pixel, higher means more anomalous, (H, W).
        mask: bool (H, W).
        normal: number of normal pixels per bin, (S,).
        overlap: units of overlap that regions gain at each bin, (S,).
    """
    num_bins = normal.size
    if not mask.any():
        normal += np.bincount(bins.ravel(), minlength=num_bins)
        return
    normal += np.bincount(bins[~mask], minlength=num_bins)
    labels, num_regions = label_regions(mask)
    region = labels[mask].astype(np.int64) - 1  # (P,)
    falling = num_bins - 1 - bins[mask].astype(np.int64)
    keys, counts = np.unique(region * num_bins + falling, return_counts=True)  # by region, then by falling score
    region, falling = np.divmod(keys, num_bins)
    sizes = np.bincount(region, weights=counts, minlength=num_regions).astype(np.int64)
    found = np.cumsum(counts) - (np.cumsum(sizes) - sizes)[region]  # pixels of the region at or above this score
    reached = (found << UNIT_BITS) // sizes[region]
    same_region = np.diff(region, prepend=-1) == 0
    np.add.at(overlap, num_bins - 1 - falling, reached - np.where(same_region, np.roll(reached, 1), 0))


def _area(normal: np.ndarray, overlap: np.ndarray, max_fpr: float) -> float:
    if not 0 < max_fpr <= 1:
        raise ValueError(f'max_fpr must be in (0, 1], got {max_fpr}')
    num_normal, num_units = int(normal.sum()), int(overlap.sum())
    if num_units == 0 or num_normal == 0:
        raise ValueError(
            'AUPRO needs anomalous regions and normal pixels, '
            f'got {num_units >> UNIT_BITS} regions and {num_normal} normal pixels'
        )
    used = np.flatnonzero(normal | overlap)[::-1]
    alarms = np.concatenate([[0], np.cumsum(normal[used])])  # normal pixels at or above each threshold
    heights = np.concatenate([[0], np.cumsum(overlap[used])])
    limit = Fraction(max_fpr) * num_normal
    last = int(np.searchsorted(alarms, int(limit), side='right')) - 1  # last threshold within the limit
    steps = np.diff(alarms[: last + 1]).astype(object)  # Python's integers: products pass 64 bits
    doubled = Fraction(int(np.sum(steps * (heights[1 : last + 1] + heights[:last]))))
    rest = limit - int(alarms[last])
    if rest > 0:
        rise = Fraction(int(heights[last + 1] - heights[last]), int(alarms[last + 1] - alarms[last]))
        doubled += rest * (2 * int(heights[last]) + rise * rest)
    return float(doubled / (2 * limit * num_units))
