"""Frames to files: JPEG and MP4, the same bytes for the same frames."""

import io
import os
from pathlib import Path

import av
import cv2
import numpy as np

__all__ = ['FPS', 'write_jpeg', 'write_mp4']

FPS = 8
JPEG_QUALITY = 95
CRF = 15
KEYFRAME_INTERVAL = 12


def write_jpeg(path: str | os.PathLike, frame: np.ndarray) -> None:
    """Write a frame, uint8 (H, W, 3) RGB."""
    done, data = cv2.imencode('.jpg', frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise OSError(f'{path}: the JPEG encoder refused the frame')
    Path(path).write_bytes(data.tobytes())  # unlike cv2.imwrite this raises when the disk is full


def write_mp4(path: str | os.PathLike, frames: np.ndarray, fps: int = FPS) -> None:
    """Write frames, uint8 (T, H, W, 3) RGB with even H and W, as H.264 in 4:2:0."""
    buffer = io.BytesIO()  # written by us in one piece: a full disk then raises OSError
    with av.open(buffer, 'w', format='mp4', options={'fflags': '+bitexact'}) as container:
        options = {
            'crf': str(CRF),
            'preset': 'veryfast',
            'g': str(KEYFRAME_INTERVAL),
            'threads': '1',
            'x264-params': 'asm=0',  # its fast paths read memory they never wrote: the bytes vary from run to run
        }
        stream = container.add_stream('libx264', rate=fps, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format='rgb24')))
        container.mux(stream.encode())
    Path(path).write_bytes(buffer.getvalue())
