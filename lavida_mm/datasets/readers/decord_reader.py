"""Reads videos with decord."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.datasets.readers.base_reader import VideoReader
from lavida_mm.datasets.readers.video_probe import THREADED_PIXELS, probe_video
from lavida_mm.utils.errors import DataError

__all__ = ['DecordReader']


class DecordReader(VideoReader):
    """Decodes with decord, which is asked only for files that a look at their packets found whole.

    decord itself returns garbage, or retries for minutes, where a file is cut short. Its seeking and skipping are
    not exact (open groups of pictures, uneven frame times, fragmented files): every frame is decoded in its turn,
    and reading backward begins anew.
    """

    def __init__(self, path: Path):
        info = probe_video(path)
        decord = _import_decord()
        self._error = decord.DECORDError
        self._start: Callable[[], Any] = lambda: decord.VideoReader(
            str(path), num_threads=0 if info.height * info.width >= THREADED_PIXELS else 1
        )
        try:
            self._reader = self._start()
            found = len(self._reader)
            first = _to_rgb(self._reader.next()) if found else np.zeros((0, 0, 3), np.uint8)
        except (self._error, RuntimeError, StopIteration) as error:
            raise DataError(f"{path}: decord cannot read it ({_decord_reason(error)}); backend='pyav' may") from error
        if found != info.num_frames:
            raise DataError(
                f"{path}: decord finds {found} frames where the file holds {info.num_frames}; backend='pyav' reads them"
            )
        self._current, self._frame = 0, first
        super().__init__(path, info.num_frames, info.fps, first.shape[0], first.shape[1])

    def _read(self, frame_inds: list[int]) -> Iterator[np.ndarray]:
        for index in frame_inds:
            yield self._decode(index)

    def _decode(self, index: int) -> np.ndarray:
        try:
            if index < self._current:
                self._reader = self._start()
                self._current = -1
            while self._current < index:
                frame = self._reader.next()
                self._current += 1
                if self._current == index:
                    self._frame = _to_rgb(frame)
        except (self._error, RuntimeError, StopIteration) as error:
            self._current = self.num_frames  # where decord stands now is not known: the next read begins anew
            raise DataError(f'{self.path}: frame {index} cannot be decoded: {_decord_reason(error)}') from error
        return self._frame

    def close(self) -> None:
        super().close()
        self._reader = None


def _import_decord() -> Any:
    import decord
    from decord import logging

    logging.set_level(logging.QUIET)
    return decord


def _to_rgb(frame: Any) -> np.ndarray:
    """decord's frame without the padding of FFmpeg's rows, which it shows as further channels: (H, W, 3)."""
    pixels = frame.asnumpy()
    height, width, channels = pixels.shape
    return (
        pixels if channels == 3 else pixels.reshape(height, width * channels)[:, : width * 3].reshape(height, width, 3)
    )


def _decord_reason(error: BaseException) -> str:
    """decord's message without the stack of its C++ files."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.strip().startswith('[bt]')]
    text = ' '.join(lines) or type(error).__name__
    return re.sub(r'\[\d\d:\d\d:\d\d\] \S+:\d+: ', '', text)[:200].replace('Stack trace', '').strip()
