"""Writes the small videos that tests need, with PyAV."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

__all__ = ['red_square_frames', 'write_video']


def red_square_frames(num_frames: int, height: int = 32, width: int = 32, present=range(0)) -> list[np.ndarray]:
    """Grey frames that differ from each other; those in ``present`` show a red square of a quarter of the area."""
    frames = []
    for number in range(num_frames):
        frame = np.full((height, width, 3), 60 + (number * 7) % 90, np.uint8)
        if number in present:
            frame[height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2] = (255, 0, 0)
        frames.append(frame)
    return frames


def write_video(
    path: Path, frames: list[np.ndarray], *, fps: int | Fraction = 10, pix_fmt: str = 'yuv420p', codec: str = 'libx264'
) -> Path:
    """Encode RGB frames (H, W, 3) in good quality."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pix_fmt
        if codec == 'libx264':
            stream.options = {'crf': '4', 'g': '8'}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode(None))
    return path
