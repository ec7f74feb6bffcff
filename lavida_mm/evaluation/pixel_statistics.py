"""What all pixel figures need to know of the pixels, in bounded memory and summable over videos and processes."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lavida_mm.evaluation.functional.aupro import AuproAccumulator
from lavida_mm.evaluation.functional.pixel_histogram import PixelHistogram
from lavida_mm.evaluation.functional.pixel_per_frame import pixel_auc_of_frame

__all__ = ['PixelStatistics', 'resize_pixels', 'round_probabilities']

Frame = tuple[str, int]  # video id and frame number


class PixelStatistics:
    """Counts of pixels by score and truth, pooled and per region, and the AUC of each frame that has both classes.

    Args:
        num_bins: upper limit of the number of bins of the pooled histogram.
        size: height and width to which pixels are resized before they are counted; None counts them as they are.
    """

    def __init__(self, *, num_bins: int = 65536, size: tuple[int, int] | None = None):
        self.num_bins = num_bins
        self.size = size
        self.histogram = PixelHistogram(num_bins)
        self.aupro = AuproAccumulator()
        self.frames: set[Frame] = set()  # the frames that were counted
        self.frame_aucs: dict[Frame, float] = {}

    def update(self, video_id: str, frame: int, probabilities: np.ndarray, truth: np.ndarray) -> None:
        """Count the pixels of one frame; a frame that was counted before changes nothing.

        Args:
            video_id: name of the video.
            frame: frame number.
            probabilities: anomaly probability of each pixel, in [0, 1], (H, W); rounded to float16, which is what
                prediction files hold.
            truth: True where the pixel is anomalous, bool (H, W).

        Raises:
            ValueError: shapes differ or a probability is outside [0, 1].
        """
        if (video_id, frame) in self.frames:
            return
        if probabilities.shape != truth.shape:
            raise ValueError(
                f'pixel scores and masks must be of one shape, got {probabilities.shape} and {truth.shape}'
            )
        scores = round_probabilities(probabilities)
        if self.size is not None:
            scores, truth = resize_pixels(scores, truth, self.size)
        self.histogram.update(scores, truth)
        self.aupro.update(scores, truth)
        if truth.any() and not truth.all():
            self.frame_aucs[video_id, frame] = pixel_auc_of_frame(scores, truth)
        self.frames.add((video_id, frame))

    def figures(self) -> tuple[dict[str, float], dict[str, str]]:
        """Figures by name, and the reason for each that is undefined."""
        values: dict[str, float] = {}
        reasons: dict[str, str] = {}

        def per_frame() -> float:
            if not self.frame_aucs:
                raise ValueError('no frame has anomalous and normal pixels')
            return math.fsum(self.frame_aucs.values()) / len(self.frame_aucs)

        functions = {
            'pixel_auc': self.histogram.auc,
            'pixel_ap': self.histogram.average_precision,
            'pixel_auc_error_bound': self.histogram.error_bound,
            'pixel_auc_per_frame': per_frame,
            'pixel_aupro': self.aupro.value,
        }
        for name, function in functions.items():
            try:
                values[name] = float(function())
            except ValueError as error:
                reasons[name] = str(error)
        return values, reasons

    def options(self) -> dict[str, Any]:
        """How pixels are counted, as JSON takes it: what must agree where counts are added."""
        return {'num_bins': self.num_bins, 'size': None if self.size is None else list(self.size)}

    def counts(self) -> dict[str, np.ndarray]:
        """The arrays that add up over processes, int64."""
        counts: dict[str, np.ndarray] = {'histogram': self.histogram.state(), 'aupro': self.aupro.state()}
        return counts

    def load_counts(self, counts: Mapping[str, np.ndarray]) -> None:
        """Take over (summed) ``counts``."""
        self.histogram.load_state(counts['histogram'])
        self.aupro.load_state(counts['aupro'])

    def add_frames(self, frames: set[Frame], frame_aucs: Mapping[Frame, float]) -> None:
        """Take over the part of another process that does not add up.

        Raises:
            ValueError: a frame was counted by both.
        """
        doubled = self.frames & frames
        if doubled:
            raise ValueError(
                f'{len(doubled)} frames were scored by two processes, so their pixels count twice: '
                "use sampler=dict(type='VideoSampler') for the test set"
            )
        self.frames |= frames
        self.frame_aucs.update(frame_aucs)

    def pack(self) -> dict[str, np.ndarray]:
        """Everything of one video, small, as prediction files hold it."""
        keys = sorted(self.frames)
        with_auc = sorted(self.frame_aucs)
        packed: dict[str, np.ndarray] = {
            'frames': np.asarray([frame for _, frame in keys], dtype=np.int32),
            'auc_frames': np.asarray([frame for _, frame in with_auc], dtype=np.int32),
            'frame_aucs': np.asarray([self.frame_aucs[key] for key in with_auc], dtype=np.float64),
        }
        for name, counts in self.counts().items():
            flat = counts.ravel()
            places = np.flatnonzero(flat)
            packed[f'{name}_places'] = places.astype(np.int32)
            packed[f'{name}_counts'] = flat[places]
        return packed

    def add_packed(self, video_id: str, packed: Mapping[str, Any]) -> None:
        """Add what ``pack`` made of one video.

        Raises:
            ValueError: a frame was counted before, or the arrays do not belong together.
        """
        self._check_packed(packed)
        frames = {(video_id, int(frame)) for frame in packed['frames']}
        aucs = zip(packed['auc_frames'], packed['frame_aucs'], strict=True)
        self.add_frames(frames, {(video_id, int(frame)): float(value) for frame, value in aucs})
        summed = self.counts()
        for name, counts in summed.items():
            summed[name] = counts.copy()
            flat = summed[name].reshape(-1)
            flat[np.asarray(packed[f'{name}_places'])] += packed[f'{name}_counts']
        self.load_counts(summed)

    def _check_packed(self, packed: Mapping[str, Any]) -> None:
        sizes = {name: counts.size for name, counts in self.counts().items()}
        integers = ['frames', 'auc_frames', *(f'{name}_{part}' for name in sizes for part in ('places', 'counts'))]
        missing = [name for name in (*integers, 'frame_aucs') if name not in packed]
        if missing:
            raise ValueError(f'{missing[0]} is missing')
        arrays = {name: np.asarray(packed[name]) for name in (*integers, 'frame_aucs')}
        for name, array in arrays.items():
            if array.ndim != 1 or array.dtype.kind not in ('f' if name == 'frame_aucs' else 'iu'):
                raise ValueError(f'{name} must be a vector of numbers, whole but for frame_aucs, got {array.dtype}')
            if name != 'frame_aucs' and (array < 0).any():
                raise ValueError(f'{name} must be at least 0, got {array.min()}')
        for name in ('frames', 'auc_frames', *(f'{name}_places' for name in sizes)):
            if (arrays[name][1:] <= arrays[name][:-1]).any():
                raise ValueError(f'{name} must be strictly ascending')
        for name, size in sizes.items():
            places, counts = arrays[f'{name}_places'], arrays[f'{name}_counts']
            if places.shape != counts.shape:
                raise ValueError(f'{name}_counts must be as many as {name}_places, got {counts.size}, {places.size}')
            if places.size and places.max() >= size:
                raise ValueError(f'{name}_places must be in [0, {size}), got {places.max()}')
        aucs = arrays['frame_aucs']
        if aucs.shape != arrays['auc_frames'].shape:
            raise ValueError(f'frame_aucs must be as many as auc_frames, got {aucs.size}, {arrays["auc_frames"].size}')
        if not ((aucs >= 0) & (aucs <= 1)).all():  # a NaN fails both
            raise ValueError('frame_aucs must be in [0, 1]')
        if not np.isin(arrays['auc_frames'], arrays['frames']).all():
            raise ValueError('auc_frames must be among frames')


def round_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities as float16, the way every figure and every file takes them.

    Raises:
        ValueError: one is outside [0, 1] or not a number.
    """
    fine = (probabilities >= 0) & (probabilities <= 1)  # a NaN fails both
    if not fine.all():
        raise ValueError(f'pixel scores must be in [0, 1], got {probabilities[~fine][0]}')
    return probabilities.astype(np.float16)


def resize_pixels(probabilities: np.ndarray, truth: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Resize probabilities bilinearly and truth by the nearest neighbour, both with OpenCV.

    Args:
        probabilities: float16 (H, W).
        truth: bool (H, W).
        size: height and width of the result.

    Returns:
        float16 and bool, both of ``size``.
    """
    import cv2

    height, width = size
    scores = cv2.resize(probabilities.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    masks = cv2.resize(truth.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.clip(scores, 0, 1).astype(np.float16), masks.astype(bool)
