"""Palette images, whose pixel values are the numbers of objects."""

from pathlib import Path

import numpy as np
from PIL import Image

from lavida_mm.utils.errors import DataError

__all__ = ['MAX_NUMBER', 'UNDECIDED', 'list_numbers', 'read_mask', 'read_palette']

UNDECIDED = 255  # DAVIS marks pixels that no one could assign
MAX_NUMBER = 254


def read_mask(file: str | Path) -> tuple[str, np.ndarray]:
    """Pillow's mode of an image and its pixels.

    Raises:
        DataError: the file is missing, or no image that can be read.
    """
    try:
        with Image.open(file) as image:
            return image.mode, np.array(image)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for PNG files that are cut or damaged
        raise DataError(f'{file}: is no mask that can be read: {error}') from error


def read_palette(file: str | Path) -> np.ndarray:
    """The numbers in a palette or gray image, uint8 (H, W); 0 is the background.

    Raises:
        DataError: the file is missing, no image that can be read, or holds colours.
    """
    mode, ids = read_mask(file)
    if mode not in ('P', 'L') or ids.ndim != 2:
        raise DataError(f'{file}: must be a palette or gray image, got mode {mode!r}')
    return ids


def list_numbers(ids: np.ndarray) -> set[int]:
    """The numbers of the objects that an image of numbers shows."""
    return set(np.flatnonzero(np.bincount(ids.ravel(), minlength=1)).tolist()) - {0, UNDECIDED}
