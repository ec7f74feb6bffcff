"""Looks at the packets of a video file: what it holds, and whether it is whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.utils.errors import DataError

__all__ = [
    'THREADED_PIXELS',
    'VideoInfo',
    'av_error',
    'describe_reason',
    'open_container',
    'probe_container',
    'probe_video',
]

TEXT_FORMAT = 'tty'  # FFmpeg draws a text file as a video of its letters
MOV_FORMAT = 'mov'  # the one family whose header counts its frames exactly
MATROSKA_FORMAT = 'matroska'
MATROSKA_SEGMENT = b'\x18\x53\x80\x67'
THREADED_PIXELS = 640 * 360  # below, starting decoder threads costs more than it gains


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds, learned from its packets without decoding a frame.

    Attributes:
        num_frames: number of frames.
        fps: frames per second.
        height: H.
        width: W.
        timestamps: when each frame is shown, ascending, in the stream's unit, int64 (num_frames,); None where the
            file gives none, gives one twice, or gives times of decoding instead.
        keyframes: numbers of the frames at which decoding can begin, ascending.
    """

    num_frames: int
    fps: float
    height: int
    width: int
    timestamps: np.ndarray | None
    keyframes: np.ndarray


def probe_video(path: str | Path) -> VideoInfo:
    """Read a video's size, speed, and number of frames, and refuse what is no video or cut short.

    Raises:
        DataError: the path is missing, empty, no video, or cut short.
    """
    path = Path(path)
    with open_container(path) as container:
        return probe_container(container, path)


def probe_container(container: Any, path: Path) -> VideoInfo:
    """``probe_video`` of an open container, which stands at its end afterwards."""
    stream = container.streams.video[0]
    times: list[int | None] = []
    keys: list[int | None] = []
    num_packets = 0
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.is_corrupt:
                raise DataError(f'{path}: packet {num_packets} is cut short: the file is truncated or damaged')
            num_packets += 1
            if packet.is_discard:
                continue
            times.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
    except av_error() as error:
        raise DataError(f'{path}: unreadable after {num_packets} frames: {describe_reason(error)}') from error
    if container.format.name.startswith(MOV_FORMAT) and num_packets < stream.frames:
        raise DataError(f'{path}: holds {num_packets} of the {stream.frames} frames of its header: it is truncated')
    if MATROSKA_FORMAT in container.format.name and (whole := _find_matroska_end(path)) > path.stat().st_size:
        raise DataError(f'{path}: has {path.stat().st_size} of its {whole} bytes: it is truncated')
    context = stream.codec_context
    if not times or not context.height or not context.width:
        raise DataError(f'{path}: holds no video frame')
    rate = stream.average_rate or stream.guessed_rate
    timestamps, keyframes = _index_times(times, keys, context.has_b_frames)
    return VideoInfo(len(times), float(rate or 0), context.height, context.width, timestamps, keyframes)


def _index_times(
    times: list[int | None], keys: list[int | None], is_reordered: bool
) -> tuple[np.ndarray | None, np.ndarray]:
    """When frames are shown, and the numbers of the key frames; (None, [0]) where the file does not tell.

    Frames that are stored in another order than they are shown in cannot have ascending times: those are times of
    decoding, as AVI has, and say nothing of the order on the screen.
    """
    known = [time for time in times if time is not None]
    timestamps = np.unique(np.asarray(known, dtype=np.int64))
    decoding_times = is_reordered and known == sorted(known)
    if len(timestamps) != len(times) or decoding_times:
        return None, np.zeros(1, dtype=np.int64)
    return timestamps, np.searchsorted(timestamps, np.unique(np.asarray(keys, dtype=np.int64)))


def open_container(path: Path) -> Any:
    """Open a file that holds a video stream; small videos are decoded without threads.

    Raises:
        DataError: the path is missing, empty or no video.
    """
    import av

    if not path.exists():
        raise DataError(f'{path}: no such file or folder')
    try:
        if not path.stat().st_size:
            raise DataError(f'{path}: the file is empty (0 bytes)')
        container = av.open(str(path))
    except OSError as error:  # PyAV's errors of files are OSErrors
        raise DataError(f'{path}: cannot be opened as a video: {describe_reason(error)}') from error
    except av_error() as error:
        raise DataError(f'{path}: cannot be opened as a video: {describe_reason(error)}') from error
    if container.format.name == TEXT_FORMAT or not container.streams.video:
        name = container.format.long_name
        container.close()
        raise DataError(f'{path}: holds no video stream ({name})')
    stream = container.streams.video[0]
    stream.thread_type = (
        'AUTO' if stream.codec_context.height * stream.codec_context.width >= THREADED_PIXELS else 'NONE'
    )
    return container


def av_error() -> type[Exception]:
    """What PyAV raises, without an import of PyAV where this package is imported."""
    import av

    return av.FFmpegError


def describe_reason(error: BaseException) -> str:
    """The message of a library's error as one short line."""
    return ' '.join((getattr(error, 'strerror', None) or str(error)).split())[:200]


def _find_matroska_end(path: Path) -> int:
    """How many bytes a Matroska or WebM file must have by its own account; 0 where it does not say."""
    with open(path, 'rb') as file:
        head = file.read(256)
    place = 4  # after the EBML header's identifier
    size, place = _read_vint(head, place)
    place += size or 0
    if head[place : place + 4] != MATROSKA_SEGMENT:
        return 0
    size, place = _read_vint(head, place + 4)
    return 0 if size is None else place + size


def _read_vint(data: bytes, place: int) -> tuple[int | None, int]:
    """A number of Matroska's variable width and the place after it; None for the value 'unknown'."""
    if place >= len(data) or not data[place]:
        return None, place
    width = 9 - data[place].bit_length()
    value = int.from_bytes(data[place : place + width], 'big') & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), place + width
