"""Writes frames into an H.264 MP4 that every player opens."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

__all__ = ['VideoWriter']

PLAYBACK_FPS = 25.0  # for videos that do not say how fast they run
MIN_FPS, MAX_FPS = 0.01, 1000.0  # outside of it a rate is a broken header
RATE_DENOMINATOR = 1001  # of 29.97 = 30000 / 1001 and its like


class VideoWriter:
    """A context manager that encodes frames as they come; it holds a few of them only.

    Args:
        path: the MP4 to write; it may exist.
        height, width: size of the frames; both even (H.264 with 4:2:0 colour).
        fps: frames per second; 25 where it is 0 or not a rate.
        quality: constant rate factor of x264, 0 (lossless) to 51.

    Raises:
        ValueError: if a side is odd or a frame has another form.
        OSError: if the disk is full or the file cannot be written.
    """

    def __init__(self, path: str | Path, *, height: int, width: int, fps: float, quality: int = 20) -> None:
        if height % 2 or width % 2 or min(height, width) < 2:
            raise ValueError(f'height and width must be even and positive, got {height} x {width}')
        rate = Fraction(fps if MIN_FPS <= fps <= MAX_FPS else PLAYBACK_FPS).limit_denominator(RATE_DENOMINATOR)
        self._shape = (height, width, 3)
        # Python's file and not FFmpeg's: a full disk then raises at the write that meets it.
        self._file = open(path, 'wb')  # noqa: SIM115 - closed in __exit__
        try:
            self._container = av.open(self._file, mode='w', format='mp4')
            self._stream = self._container.add_stream('libx264', rate=rate)
        except BaseException:
            self._file.close()
            raise
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, 'yuv420p'
        self._stream.options = {'crf': str(quality), 'preset': 'veryfast'}
        self._stream.codec_context.thread_count = 1  # each x264 thread holds frames of its own

    def write(self, frame: np.ndarray) -> None:
        """Append one frame, RGB uint8 (H, W, 3)."""
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f'a frame must be uint8 {self._shape}, got {frame.dtype} {frame.shape}')
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))

    def __enter__(self) -> 'VideoWriter':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
                self._container.close()
        finally:
            self._file.close()
