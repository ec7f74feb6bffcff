"""Reads folders of images as videos, and single images."""

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from lavida_mm.datasets.readers.base_reader import VideoReader
from lavida_mm.utils.errors import DataError

__all__ = ['IMAGE_SUFFIXES', 'ImageFolderReader', 'read_image']

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


class ImageFolderReader(VideoReader):
    """The images of a folder as frames, sorted by name with numbers in their order (2 before 10).

    Gray images come as RGB, images of 16 bits with the upper 8. Hidden files, as macOS leaves them beside each image
    (``._001.tif``), are no frames.
    """

    def __init__(self, path: Path):
        files = [
            file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith('.')
        ]
        if not files:
            raise DataError(f'{path}: the folder holds no image ({", ".join(IMAGE_SUFFIXES)})')
        self.files = sorted(files, key=lambda file: _natural_key(file.name))
        height, width = read_image(self.files[0]).shape[:2]
        super().__init__(path, len(files), 0.0, height, width)

    def _read(self, frame_inds: list[int]) -> Iterator[np.ndarray]:
        for index in frame_inds:
            frame = read_image(self.files[index])
            if frame.shape[:2] != (self.height, self.width):
                raise DataError(
                    f'{self.files[index]}: is {frame.shape[0]} x {frame.shape[1]} pixels, '
                    f'the first image of the folder {self.height} x {self.width}'
                )
            yield frame


def read_image(path: str | Path) -> np.ndarray:
    """Read an image of any depth as RGB: uint8 (H, W, 3).

    Raises:
        DataError: the file is missing or no image.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f'{path}: {error.strerror or error}') from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise DataError(f'{path}: is no image that can be read ({data.size} bytes)')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _natural_key(name: str) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r'(\d+)', name) if part]
