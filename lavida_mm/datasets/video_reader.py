"""One interface over decord, PyAV and folders of images: frames by number, as RGB."""

from collections.abc import Callable
from logging import WARNING
from pathlib import Path

from mmengine.logging import print_log

from lavida_mm.datasets.readers.base_reader import VideoReader
from lavida_mm.datasets.readers.decord_reader import DecordReader
from lavida_mm.datasets.readers.image_folder_reader import IMAGE_SUFFIXES, ImageFolderReader, read_image
from lavida_mm.datasets.readers.pyav_reader import PyAVReader
from lavida_mm.datasets.readers.video_probe import VideoInfo, probe_video
from lavida_mm.utils.errors import DataError

__all__ = [
    'BACKENDS',
    'DEFAULT_BACKEND',
    'IMAGE_SUFFIXES',
    'VideoInfo',
    'VideoReader',
    'open_video',
    'probe_video',
    'read_image',
]

DEFAULT_BACKEND = 'pyav'


def open_video(path: str | Path, backend: str = DEFAULT_BACKEND, *, num_kept: int = 0) -> VideoReader:
    """Open a video file or a folder of images.

    Args:
        path: a video file that FFmpeg reads, or a folder whose images, sorted by name, are the frames.
        backend: ``'decord'``, ``'pyav'``, or ``'auto'``: decord, and PyAV where decord cannot. Folders need
            none.
        num_kept: how many of the frames that were read last are kept for the next call. Windows that overlap by as
            many frames then decode none twice.

    Raises:
        DataError: the path is missing, empty, no video, or cut short.
        ValueError: the backend has no such name.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend must be one of {sorted(BACKENDS)}, got {backend!r}')
    path = Path(path)
    reader = ImageFolderReader(path) if path.is_dir() else BACKENDS[backend](path)
    reader.num_kept = num_kept
    return reader


def _open_either(path: Path) -> VideoReader:
    """decord where it can, else PyAV."""
    try:
        return DecordReader(path)
    except DataError as error:
        reader = PyAVReader(path)
        print_log(f'{error}; reading it with PyAV', logger='current', level=WARNING)
        return reader


BACKENDS: dict[str, Callable[[Path], VideoReader]] = {'auto': _open_either, 'decord': DecordReader, 'pyav': PyAVReader}
