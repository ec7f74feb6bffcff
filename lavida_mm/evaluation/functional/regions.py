"""Region- and track-based detection criteria, and boxes from masks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from lavida_mm.evaluation.functional.aupro import label_regions
from lavida_mm.evaluation.functional.pixel_per_frame import binary_mask

__all__ = [
    'RegionMatches',
    'boxes_from_mask',
    'detections_from_mask',
    'match_regions',
    'rbdc_tbdc',
    'rbdc_tbdc_from_matches',
]

CHUNK = 1 << 16  # detections handled at once: bounds the temporary arrays
LAST_FRAME = 1 << 24  # float32 holds every whole number up to here


@dataclass(frozen=True)
class RegionMatches:
    """All that the criteria need of one video: the threshold at which each thing comes into the count.

    Attributes:
        false_positives: scores of the detections that overlap no region, float64 (F,).
        regions: highest threshold at which each region is detected, -inf where none does it, float64 (R,).
        tracks: highest threshold at which each track is detected, -inf where none does it, float64 (K,).
    """

    false_positives: np.ndarray
    regions: np.ndarray
    tracks: np.ndarray


def rbdc_tbdc(
    detections: Sequence[np.ndarray],
    tracks: Sequence[np.ndarray],
    num_frames: int | Sequence[int],
    alpha: float = 0.1,
    beta: float = 0.1,
) -> tuple[float, float]:
    """Region- and track-based detection criteria (Ramachandra and Jones, "Street Scene", WACV 2020).

    At a threshold t, of the detections that score at least t:
    - a ground-truth region is detected if one of its frame overlaps it with an intersection over union (IoU) of at
      least ``beta``;
    - a track is detected if at least a fraction ``alpha`` of its regions is;
    - a false positive is one whose IoU with every region of its frame is below ``beta``, also where its frame has no
      region. A second detection of a region is neither a gain nor a false positive.
    The false-positive rate is the number of false positives divided by the number of frames of all videos. Both
    figures are areas under a detection rate (of all regions, of all tracks) against the false-positive rate from 0 to
    1 per frame.

    The paper leaves open how the curve is joined. Here it starts at (0, 0), has one point per distinct score and is
    straight between points (trapezoid rule); where the detections end before a rate of 1, it stays level up to 1;
    where it passes 1, it is cut there. Without equal scores each step is either level or upright, and this is what
    the script of Georgescu et al. (TPAMI 2021), which later papers use, gives to the last detection. That script takes
    detections of equal score one after the other in the order of its files; here they share a threshold, so the
    figures do not depend on any order.

    Boxes count whole pixels with both ends included: the width is x2 - x1 + 1.

    Args:
        detections: per video, rows (frame, x1, y1, x2, y2, score), (D, 6); scores are any finite figures.
        tracks: per video, rows (track_id, frame, x1, y1, x2, y2), (R, 6), each row a region; a track belongs to one
            video, equal ids in two videos are two tracks.
        num_frames: frames of each video, or of all together; frame numbers count from 0.
        alpha: share of a track's regions that must be detected, in (0, 1].
        beta: smallest overlap, in (0, 1].

    Returns:
        RBDC and TBDC, both in [0, 1].

    Raises:
        ValueError: there is no track, numbers of videos differ, or a row or a setting breaks its rule.
    """
    if len(detections) != len(tracks):
        raise ValueError(f'detections and tracks must be of as many videos, got {len(detections)} and {len(tracks)}')
    counted = np.asarray(num_frames)
    if counted.ndim == 1 and len(counted) != len(tracks):
        raise ValueError(f'num_frames must name as many videos as tracks, got {len(counted)} and {len(tracks)}')
    matches = []
    for video, (found, truth) in enumerate(zip(detections, tracks)):
        length = int(counted[video]) if counted.ndim else None
        try:
            matches.append(match_regions(found, truth, num_frames=length, alpha=alpha, beta=beta))
        except ValueError as error:
            raise ValueError(f'video {video}: {error}') from error
    return rbdc_tbdc_from_matches(matches, int(counted.sum()))


def match_regions(
    detections: np.ndarray,
    tracks: np.ndarray,
    *,
    num_frames: int | None = None,
    alpha: float = 0.1,
    beta: float = 0.1,
) -> RegionMatches:
    """What one video adds to the criteria of ``rbdc_tbdc``; its detections are not needed afterwards.

    Args:
        detections: rows (frame, x1, y1, x2, y2, score), (D, 6).
        tracks: rows (track_id, frame, x1, y1, x2, y2), (R, 6).
        num_frames: frames of the video, where they are known: frame numbers must lie below.
        alpha: share of a track's regions that must be detected, in (0, 1].
        beta: smallest overlap, in (0, 1].

    Raises:
        ValueError: a row or a setting breaks its rule.
    """
    for name, share in (('alpha', alpha), ('beta', beta)):
        if not 0 < share <= 1:
            raise ValueError(f'{name} must be in (0, 1], got {share}')
    detections = _rows(detections, 'detection', 'frame, x1, y1, x2, y2, score')
    tracks = _rows(tracks, 'track', 'track_id, frame, x1, y1, x2, y2')
    tracks = tracks[np.argsort(tracks[:, 1], kind='stable')]
    _check_rows(detections[:, 0], detections[:, 1:5], num_frames, 'detection')
    _check_rows(tracks[:, 1], tracks[:, 2:6], num_frames, 'track')

    scores = detections[:, 5]
    reached = np.full(len(tracks), -np.inf)  # highest score of a detection that overlaps the region, (R,)
    matched = np.zeros(len(detections), dtype=bool)
    begins = np.searchsorted(tracks[:, 1], detections[:, 0], side='left')  # regions of the detection's frame, (D,)
    numbers = np.searchsorted(tracks[:, 1], detections[:, 0], side='right') - begins
    for start in range(0, len(detections), CHUNK):
        number = numbers[start : start + CHUNK]
        detection = start + np.repeat(np.arange(len(number)), number)  # every pair of one frame, (P,)
        nth = np.arange(len(detection)) - np.repeat(np.cumsum(number) - number, number)
        region = begins[detection] + nth
        hits = _iou(detections[detection, 1:5], tracks[region, 2:6]) >= beta
        matched[detection[hits]] = True
        np.maximum.at(reached, region[hits], scores[detection[hits]])
    return RegionMatches(
        false_positives=scores[~matched], regions=reached, tracks=_track_thresholds(tracks[:, 0], reached, alpha)
    )


def rbdc_tbdc_from_matches(matches: Iterable[RegionMatches], num_frames: int) -> tuple[float, float]:
    """RBDC and TBDC of the videos that ``match_regions`` has seen, in any order; see ``rbdc_tbdc``.

    Args:
        matches: one per video.
        num_frames: frames of all videos together.

    Raises:
        ValueError: there is no track or no frame.
    """
    matches = list(matches)
    if num_frames < 1:
        raise ValueError(f'num_frames must be at least 1, got {num_frames}')
    regions = np.concatenate([np.zeros(0), *(match.regions for match in matches)])
    tracks = np.concatenate([np.zeros(0), *(match.tracks for match in matches)])
    if regions.size == 0:
        raise ValueError('there is no ground-truth track, so there is no share of detected regions or tracks')
    false_positives = np.concatenate([np.zeros(0), *(match.false_positives for match in matches)])
    return (
        _area_to_one_alarm_per_frame(regions, false_positives, num_frames),
        _area_to_one_alarm_per_frame(tracks, false_positives, num_frames),
    )


def detections_from_mask(probabilities: np.ndarray, frame: int, threshold: float = 0.5) -> np.ndarray:
    """Boxes of what a model marks in one frame.

    A detection is the bounding box of a connected component (8-connectivity) of the pixels with a probability of at
    least ``threshold``. Its score is the highest probability in the component.

    Args:
        probabilities: anomaly probability per pixel, (H, W).
        frame: number of the frame.
        threshold: smallest probability of a marked pixel.

    Returns:
        Rows (frame, x1, y1, x2, y2, score) by y1, then x1, whole pixels with both ends included, float32 (D, 6).

    Raises:
        ValueError: the map has not two dimensions, a probability is not finite, or float32 cannot hold ``frame``.
    """
    probabilities = np.asarray(probabilities)
    if not 0 <= frame <= LAST_FRAME:
        raise ValueError(f'frame must be from 0 to {LAST_FRAME}, got {frame}')
    if probabilities.ndim != 2:
        raise ValueError(f'probabilities must be of shape (H, W), got {probabilities.shape}')
    if not np.isfinite(probabilities).all():
        raise ValueError(f'probabilities of frame {frame} must be finite')
    boxes, labels = _component_boxes(probabilities >= threshold)
    marked = labels > 0
    peaks = np.full(len(boxes), -np.inf, dtype=np.float32)
    np.maximum.at(peaks, labels[marked] - 1, probabilities[marked].astype(np.float32))
    rows = np.column_stack([np.full(len(boxes), frame), boxes, peaks]).astype(np.float32).reshape(-1, 6)
    return rows[np.lexsort(rows.T[[5, 4, 3, 1, 2]])]


def boxes_from_mask(mask: np.ndarray) -> np.ndarray:
    """Bounding boxes of the connected components (8-connectivity) of a mask.

    Args:
        mask: True or 1 where the pixel belongs to an anomaly, (H, W).

    Returns:
        Rows (x1, y1, x2, y2) by y1, then x1, whole pixels with both ends included, int64 (R, 4).

    Raises:
        ValueError: the mask has not two dimensions or is not binary.
    """
    mask = binary_mask(mask)
    if mask.ndim != 2:
        raise ValueError(f'mask must be of shape (H, W), got {mask.shape}')
    boxes, _ = _component_boxes(mask)
    return boxes[np.lexsort(boxes.T[[3, 2, 0, 1]])]


def _rows(rows: np.ndarray, name: str, columns: str) -> np.ndarray:
    table = np.asarray(rows, dtype=np.float64)
    if table.size == 0:
        return table.reshape(0, 6)
    if table.ndim != 2 or table.shape[1] != 6:
        raise ValueError(f'{name} rows must be ({columns}), got an array of shape {table.shape}')
    finite = np.isfinite(table).all(axis=1)
    if not finite.all():
        raise ValueError(f'{name} row {int(np.argmin(finite))} must be finite, got {table[~finite][0].tolist()}')
    return table


def _check_rows(frames: np.ndarray, boxes: np.ndarray, num_frames: int | None, name: str) -> None:
    below = np.inf if num_frames is None else num_frames
    wrong = (frames < 0) | (frames >= below) | (frames != np.floor(frames))
    if wrong.any():
        rule = 'be a whole number from 0' if num_frames is None else f'be a whole number from 0 to {num_frames - 1}'
        raise ValueError(f'frame of a {name} row must {rule}, got {frames[wrong][0]:g}')
    wrong = (boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])
    if wrong.any():
        raise ValueError(f'box of a {name} row must have x1 <= x2 and y1 <= y2, got {boxes[wrong][0].tolist()}')


def _iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of pairs of boxes (P, 4) that count whole pixels, (P,)."""
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2]) + 1  # (P, 2)
    shared = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(first[:, 2:] - first[:, :2] + 1, axis=1) + np.prod(second[:, 2:] - second[:, :2] + 1, axis=1)
    return shared / (areas - shared)


def _track_thresholds(track_ids: np.ndarray, reached: np.ndarray, alpha: float) -> np.ndarray:
    """Highest threshold at which enough regions of each track are detected, (K,)."""
    _, track, sizes = np.unique(track_ids, return_inverse=True, return_counts=True)
    # The smallest number of regions whose share is at least alpha, with the share rounded as a division is: 0.14 * 50
    # is above 7 in floating point, but 7 / 50 is 0.14.
    needed = np.ceil(alpha * sizes)
    needed -= (needed - 1) / sizes >= alpha
    needed += needed / sizes < alpha
    needed = np.maximum(needed, 1).astype(np.int64)
    order = np.lexsort((-reached, track))
    begins = np.cumsum(sizes) - sizes
    return reached[order][begins + needed - 1]


def _area_to_one_alarm_per_frame(reached: np.ndarray, false_positives: np.ndarray, num_frames: int) -> float:
    """Area under the share of ``reached`` against false positives per frame from 0 to 1, by counting in integers."""
    thresholds = np.unique(np.concatenate([reached[reached > -np.inf], false_positives]))[::-1]
    detected = np.concatenate([[0], _at_least(reached, thresholds)])
    alarms = np.concatenate([[0], _at_least(false_positives, thresholds)])
    last = int(np.searchsorted(alarms, num_frames, side='right')) - 1
    steps = np.diff(alarms[: last + 1])
    doubled = Fraction(int(np.sum(steps * (detected[1 : last + 1] + detected[:last]))))
    rest = num_frames - int(alarms[last])
    rise = Fraction(0)  # the curve stays level where the detections end
    if rest > 0 and last + 1 < alarms.size:
        rise = Fraction(int(detected[last + 1] - detected[last]), int(alarms[last + 1] - alarms[last]))
    doubled += rest * (2 * int(detected[last]) + rise * rest)
    return float(doubled / (2 * num_frames * reached.size))


def _at_least(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Number of scores at or above each threshold."""
    return scores.size - np.searchsorted(np.sort(scores), thresholds, side='left')


def _component_boxes(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounding boxes int64 (R, 4) of the components of a mask, and each pixel's component, counted from 1, (H, W)."""
    labels, num_regions = label_regions(mask)
    ys, xs = np.nonzero(labels)
    index = labels[ys, xs] - 1
    low = np.full((num_regions, 2), np.iinfo(np.int64).max)
    high = np.full((num_regions, 2), -1, dtype=np.int64)
    for axis, positions in enumerate((xs, ys)):
        np.minimum.at(low[:, axis], index, positions)
        np.maximum.at(high[:, axis], index, positions)
    return np.column_stack([low, high]), labels
