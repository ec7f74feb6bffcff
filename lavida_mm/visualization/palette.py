"""Colours and fonts of every picture the package draws, in one place."""

from functools import lru_cache

from PIL import ImageFont

__all__ = ['ALARM', 'INK', 'MUTED', 'PANEL', 'PAPER', 'QUIET', 'TRACK', 'TRUTH', 'Colour', 'hex_colour', 'load_font']

Colour = tuple[int, int, int]  # RGB

ALARM: Colour = (224, 92, 48)  # scores and masks at or above the threshold
QUIET: Colour = (94, 150, 190)  # scores below it
TRUTH: Colour = (240, 200, 120)  # ground truth
PANEL: Colour = (24, 28, 34)
TRACK: Colour = (58, 64, 74)
PAPER: Colour = (236, 238, 241)
MUTED: Colour = (160, 168, 180)
INK: Colour = (40, 44, 52)


def hex_colour(colour: Colour) -> str:
    """Write an RGB colour as matplotlib reads it.

    >>> hex_colour((255, 0, 16))
    '#ff0010'
    """
    return '#{:02x}{:02x}{:02x}'.format(*colour)


@lru_cache(maxsize=32)
def load_font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The DejaVu Sans that comes with matplotlib: the same letters on every machine.

    Args:
        size: height of the font in pixels.
        bold: the bold face.
    """
    from matplotlib import get_data_path

    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(f'{get_data_path()}/fonts/ttf/{name}', size)
