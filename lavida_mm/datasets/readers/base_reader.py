"""What every reader of a video offers: frames by number, as RGB."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from lavida_mm.utils.errors import DataError

__all__ = ['VideoReader']


class VideoReader(ABC):
    """Frames of one video by their number, counted from 0. Use it in a ``with`` block, or ``close()`` it.

    Reading forward is cheap; reading backward works and costs a seek. No frame is kept.

    Attributes:
        path: the file or folder.
        num_frames: number of frames that can be read.
        fps: frames per second; 0 for a folder of images, which has no time.
        height: H of every frame.
        width: W of every frame.
    """

    def __init__(self, path: Path, num_frames: int, fps: float, height: int, width: int):
        self.path = path
        self.num_frames = num_frames
        self.fps = fps
        self.height = height
        self.width = width

    def read(self, frame_inds: Sequence[int]) -> np.ndarray:
        """Read frames.

        Args:
            frame_inds: T frame numbers in any order; a number may stand there twice.

        Returns:
            uint8 (T, H, W, 3), RGB.

        Raises:
            DataError: a number lies beyond the video, or a frame cannot be decoded.
        """
        wanted = np.asarray(frame_inds, dtype=np.int64)
        if wanted.ndim != 1 or not len(wanted):
            raise ValueError(f'frame_inds must be a list of at least one frame number, got {frame_inds!r}')
        if wanted.min() < 0 or wanted.max() >= self.num_frames:
            bad = int(wanted[(wanted < 0) | (wanted >= self.num_frames)][0])
            raise DataError(f'{self.path}: frame {bad} was asked for, the video has {self.num_frames} frames')
        distinct, places = np.unique(wanted, return_inverse=True)
        frames = self._read([int(index) for index in distinct])
        return frames if len(distinct) == len(wanted) and (np.diff(wanted) > 0).all() else frames[places]

    def close(self) -> None:  # noqa: B027 - readers without an open file need none
        """Let go of the file."""

    @abstractmethod
    def _read(self, frame_inds: list[int]) -> np.ndarray:
        """Frames of distinct, ascending, existing numbers: uint8 (T, H, W, 3)."""

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self.close()
