"""One video of a benchmark: where it is, what its prompt names, and what is known of its anomalies."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.datasets.masks import decode_mask

__all__ = ['VideoRecord']


@dataclass
class VideoRecord:
    """One video of a benchmark.

    Attributes:
        video_id: its name, unique in the benchmark.
        path: video file or folder of images.
        num_frames: number of frames; None until it is counted from the file.
        fps: frames per second; None until it is read from the file.
        height: H; None until it is read from the file.
        width: W; None until it is read from the file.
        categories: the n words of its own prompt.
        absent_categories: words that are surely absent from it; empty where none are known.
        intervals: anomalies as (start, end), start inclusive and end exclusive, counted from 0.
        interval_categories: the word of each interval.
        masks: frame number -> masks of its anomalies as COCO run lengths; frames without are normal. None where the
            benchmark has no masks for this video.
        has_ground_truth: whether ``intervals`` is known; a normal video has ground truth and no interval.
        origin: file and video, for errors.
    """

    video_id: str
    path: Path
    num_frames: int | None = None
    fps: float | None = None
    height: int | None = None
    width: int | None = None
    categories: list[str] = field(default_factory=list)
    absent_categories: list[str] = field(default_factory=list)
    intervals: list[tuple[int, int]] = field(default_factory=list)
    interval_categories: list[str] = field(default_factory=list)
    masks: dict[int, list[Any]] | None = None
    has_ground_truth: bool = True
    origin: str = ''

    def frame_labels(self, num_frames: int) -> np.ndarray:
        """1 for each anomalous frame of the whole video, int64 (num_frames,)."""
        labels = np.zeros(num_frames, dtype=np.int64)
        for start, end in self.intervals:
            labels[start:end] = 1
        return labels

    def pixel_masks(self, frame_inds: np.ndarray, height: int, width: int) -> np.ndarray | None:
        """Anomalous pixels of some frames, bool (T, H, W); None where the benchmark has no masks for this video."""
        if self.masks is None:
            return None
        found = np.zeros((len(frame_inds), height, width), dtype=bool)
        for place, index in enumerate(frame_inds):
            for rle in self.masks.get(int(index), []):
                found[place] |= decode_mask(rle, height, width, f'{self.origin}: masks of frame {index}')
        return found

    def category_labels(self, categories: list[str], frame_inds: np.ndarray) -> np.ndarray:
        """1 for each word of a prompt that is the anomaly in one of the frames, int64 (n,)."""
        active = {
            word
            for (start, end), word in zip(self.intervals, self.interval_categories, strict=True)
            if ((frame_inds >= start) & (frame_inds < end)).any()
        }
        return np.asarray([word in active for word in categories], dtype=np.int64)
