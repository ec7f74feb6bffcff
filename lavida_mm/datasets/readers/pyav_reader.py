"""Reads videos with PyAV."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.datasets.readers.base_reader import VideoReader
from lavida_mm.datasets.readers.video_probe import av_error, describe_reason, open_container, probe_container
from lavida_mm.utils.errors import DataError

__all__ = ['PyAVReader']

LEAST_SKIPPED = 8  # frames; to seek empties the decoder's threads, which costs as much as decoding about six


class PyAVReader(VideoReader):
    """Decodes with PyAV, forward, and converts only the frames that are asked for.

    It seeks to a key frame only where that saves decoding, and knows each frame by its time, so that frames after a
    seek are the right ones.
    """

    def __init__(self, path: Path):
        from av.video.reformatter import VideoReformatter

        self._container = open_container(path)
        try:
            self._info = probe_container(self._container, path)
        except DataError:
            self._container.close()
            raise
        super().__init__(path, self._info.num_frames, self._info.fps, self._info.height, self._info.width)
        self._reformatter = VideoReformatter()  # kept, since making one costs more than a small frame
        self._seek(0)

    def _read(self, frame_inds: list[int]) -> Iterator[np.ndarray]:
        for index in frame_inds:
            yield self._decode(index)

    def _decode(self, index: int) -> np.ndarray:
        if not self._reaches(index):
            self._seek(index)
        try:
            frame = self._advance(index)
            if frame is None:  # some containers seek beyond the frame: decode from the start instead
                self._restart()
                frame = self._advance(index)
        except av_error() as error:
            raise DataError(f'{self.path}: frame {index} cannot be decoded: {describe_reason(error)}') from error
        if frame is None:
            raise DataError(f'{self.path}: frame {index} of {self.num_frames} cannot be decoded: the file is damaged')
        return self._reformatter.reformat(frame, format='rgb24', threads=1).to_ndarray()

    def _advance(self, index: int) -> Any:
        """Decode forward to a frame; None where the decoder ends before it or begins beyond it."""
        for frame in self._frames:
            current = self._locate(frame)
            self._next = current + 1
            if current >= index:
                return frame if current == index else None
        return None

    def _reaches(self, index: int) -> bool:
        """Whether decoding on from here gets to the frame with the least work."""
        return index >= self._next and self._find_start(index) - self._next < LEAST_SKIPPED

    def _find_start(self, index: int) -> int:
        """The last key frame that is not beyond a frame."""
        keyframes = self._info.keyframes
        place = int(np.searchsorted(keyframes, index, side='right')) - 1
        return int(keyframes[max(place, 0)])

    def _seek(self, index: int) -> None:
        if self._info.timestamps is None:
            return self._restart()
        time = int(self._info.timestamps[self._find_start(index)])
        self._container.seek(time, stream=self._container.streams.video[0], backward=True)
        self._begin()
        return None

    def _restart(self) -> None:
        self._container.close()
        self._container = open_container(self.path)
        self._begin()

    def _begin(self) -> None:
        self._frames = self._container.decode(self._container.streams.video[0])
        self._next = 0

    def _locate(self, frame: Any) -> int:
        timestamps = self._info.timestamps
        if timestamps is None or frame.pts is None:
            return self._next
        return int(np.searchsorted(timestamps, frame.pts))

    def close(self) -> None:
        super().close()
        self._container.close()
