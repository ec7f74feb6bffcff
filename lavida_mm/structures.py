"""What travels between the rooms of lavida_mm: one sample for the model, and one video of a benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from mmengine.structures import BaseDataElement

__all__ = ['MaskSource', 'TrackSource', 'VADDataSample', 'VideoRecord']


class VADDataSample(BaseDataElement):
    """One clip (or image: T = 1) with its words, its ground truth and the model's predictions.

    Meta information (``metainfo``):
        video_id (str): name of the video, unique in its data set.
        frame_inds (np.ndarray): frame numbers of the T frames in their video, counted from 0, (T,).
        num_frames (int): number of frames of the whole video.
        fps (float): frames per second of the video, 0 where time has no meaning (images).
        ori_shape (tuple[int, int]): height and width of the frames as stored.
        img_shape (tuple[int, int]): height and width of the frames handed to the model.
        categories (list[str]): the n words the prompt names.
        source (str): name of the training source or benchmark.
        template (int): number of the prompt template; 0, the fixed one, at test time.

    Data:
        gt_frame_labels (torch.Tensor): 1 where the frame is anomalous, else 0; int64 (T,).
        gt_masks (torch.Tensor): pixels of the anomaly; bool (T, H, W) with (H, W) = ori_shape at test time and
            img_shape at training time.
        gt_category_labels (torch.Tensor): 1 for each named word that is a target of the clip; int64 (n,).
        pred_frame_scores (torch.Tensor): anomaly score of each frame, in [0, 1]; float (T,).
        pred_masks (torch.Tensor): anomaly probability of each pixel, in [0, 1]; float (T, H, W) at ori_shape.
        pred_category_scores (torch.Tensor): score of each named word in each frame, in [0, 1]; float (T, n). Not there
            where nothing tells the words apart.
    """

    _ranks = {
        'gt_frame_labels': 1,
        'gt_masks': 3,
        'gt_category_labels': 1,
        'pred_frame_scores': 1,
        'pred_masks': 3,
        'pred_category_scores': 2,
    }

    def __setattr__(self, name, value):
        rank = self._ranks.get(name)
        if rank is not None and (not isinstance(value, torch.Tensor) or value.ndim != rank):
            found = (
                f'a tensor of shape {tuple(value.shape)}' if isinstance(value, torch.Tensor) else type(value).__name__
            )
            raise ValueError(f'VADDataSample.{name} must be a tensor of {rank} dimensions, got {found}')
        super().__setattr__(name, value)


class MaskSource(Protocol):
    """Where the masks of one video lie; nothing is read before it is asked for."""

    def read(self, frame_inds: Sequence[int], height: int, width: int) -> np.ndarray:
        """Anomalous pixels of some frames.

        Args:
            frame_inds: T frame numbers, counted from 0; a frame without a mask is normal.
            height: H that the masks must have.
            width: W that the masks must have.

        Returns:
            bool (T, H, W).

        Raises:
            DataError: a file is missing or unreadable, holds other values than two, or is of another size.
        """

    def fingerprint(self) -> str:
        """Text that changes with the masks, wherever they lie: of run lengths by content, of files by name and size."""


class TrackSource(Protocol):
    """Where the anomalous regions of one video lie; nothing is read before it is asked for."""

    def read(self) -> np.ndarray:
        """Boxes of the anomalies, float64 (R, 6): track, frame, x1, y1, x2, y2, in whole pixels, both ends included.

        Raises:
            DataError: a file is missing or malformed.
        """


@dataclass
class VideoRecord:
    """One video of a benchmark: where it is, what its prompt names, and what is known of its anomalies.

    Attributes:
        video_id: its name, unique in the benchmark.
        path: video file or folder of images; None where only its annotation is at hand.
        num_frames: number of frames; None until it is counted from the file.
        fps: frames per second; None until it is read from the file.
        height: H; None until it is read from the file.
        width: W; None until it is read from the file.
        categories: the n words of its own prompt; empty where the benchmark has one list for all.
        absent_categories: words that are surely absent from it; empty where none are known.
        intervals: anomalies as (start, end), start inclusive and end exclusive, counted from 0.
        interval_categories: the word of each interval.
        masks: where its masks lie; None where the benchmark has no masks for this video.
        tracks: where the boxes of its anomalies lie; None where the benchmark has none for this video.
        has_ground_truth: whether ``intervals`` is known; a normal video has ground truth and no interval.
        origin: file and video, for errors.
    """

    video_id: str
    path: Path | None = None
    num_frames: int | None = None
    fps: float | None = None
    height: int | None = None
    width: int | None = None
    categories: list[str] = field(default_factory=list)
    absent_categories: list[str] = field(default_factory=list)
    intervals: list[tuple[int, int]] = field(default_factory=list)
    interval_categories: list[str] = field(default_factory=list)
    masks: MaskSource | None = None
    tracks: TrackSource | None = None
    has_ground_truth: bool = True
    origin: str = ''

    def frame_labels(self, num_frames: int) -> np.ndarray:
        """1 for each anomalous frame of the whole video, int64 (num_frames,); what lies beyond it is cut."""
        labels = np.zeros(num_frames, dtype=np.int64)
        for start, end in self.intervals:
            labels[start:end] = 1
        return labels

    def pixel_masks(self, frame_inds: Sequence[int] | np.ndarray, height: int, width: int) -> np.ndarray | None:
        """Anomalous pixels of some frames, bool (T, H, W); None where the benchmark has no masks for this video."""
        return None if self.masks is None else self.masks.read([int(index) for index in frame_inds], height, width)

    def category_labels(self, categories: list[str], frame_inds: np.ndarray) -> np.ndarray:
        """1 for each word of a prompt that is the anomaly in one of the frames, int64 (n,)."""
        active = {
            word
            for (start, end), word in zip(self.intervals, self.interval_categories, strict=True)
            if ((frame_inds >= start) & (frame_inds < end)).any()
        }
        return np.asarray([word in active for word in categories], dtype=np.int64)
