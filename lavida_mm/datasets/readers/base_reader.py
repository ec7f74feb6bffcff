"""What every reader of a video offers: frames by number, as RGB."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType

import numpy as np

from lavida_mm.utils.errors import DataError

__all__ = ['VideoReader']


class VideoReader(ABC):
    """Frames of one video by their number, counted from 0. Use it in a ``with`` block, or ``close()`` it.

    Reading forward is cheap; reading backward works and costs a seek. Of the frames that were read last, the
    ``num_kept`` latest are kept as RGB, so that a window that overlaps the one before decodes and converts only what
    is new; no other frame is kept, however long the video.

    Attributes:
        path: the file or folder.
        num_frames: number of frames that can be read.
        fps: frames per second; 0 for a folder of images, which has no time.
        height: H of every frame.
        width: W of every frame.
        num_kept: how many frames are kept between two calls; 0 keeps none.
    """

    def __init__(self, path: Path, num_frames: int, fps: float, height: int, width: int):
        self.path = path
        self.num_frames = num_frames
        self.fps = fps
        self.height = height
        self.width = width
        self.num_kept = 0
        self._kept: dict[int, np.ndarray] = {}

    def read(self, frame_inds: Sequence[int] | np.ndarray) -> np.ndarray:
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
        places: dict[int, list[int]] = {}
        for place, index in enumerate(wanted.tolist()):
            places.setdefault(index, []).append(place)
        kept = {index: self._kept[index] for index in places if index in self._kept}
        new = sorted(places.keys() - kept.keys())
        latest = sorted(places)[len(places) - self.num_kept :] if self.num_kept < len(places) else places
        self._kept = {}  # what is not wanted again is let go of before more is read
        frames = np.empty((len(wanted), self.height, self.width, 3), dtype=np.uint8)
        for index, frame in chain(kept.items(), zip(new, self._read(new), strict=True)):
            if frame.shape != frames.shape[1:]:
                raise DataError(
                    f'{self.path}: frame {index} is {frame.shape[0]} x {frame.shape[1]} pixels, '
                    f'the video {self.height} x {self.width}'
                )
            for place in places[index]:
                frames[place] = frame
            if index in latest:
                self._kept[index] = frame
        return frames

    def close(self) -> None:
        """Let go of the file and of what was kept."""
        self._kept = {}

    @abstractmethod
    def _read(self, frame_inds: list[int]) -> Iterator[np.ndarray]:
        """Yield the frames of distinct, ascending, existing numbers, each uint8 (H, W, 3), RGB.

        A frame must not be written to after it was yielded.
        """

    def __enter__(self) -> 'VideoReader':
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self.close()
