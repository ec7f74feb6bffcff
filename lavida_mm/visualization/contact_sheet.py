"""A training sample on one picture: its frames, the mask, the words of the prompt and which of them is the target."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from lavida_mm.visualization.overlay import overlay_mask
from lavida_mm.visualization.palette import ALARM, MUTED, PANEL, PAPER, QUIET, Colour, load_font

__all__ = ['draw_contact_sheet', 'wrap_words']

FRAME_HEIGHT = 192
GAP = 6  # pixels between frames
EDGE = 5  # of the line under a frame, in the colour of its label
LETTERS = 16
LINE = 24  # height of a line of text
MIN_WIDTH = 640
MAX_COLUMNS = 8


def draw_contact_sheet(
    frames: np.ndarray,
    masks: np.ndarray,
    *,
    categories: Sequence[str],
    targets: Sequence[bool],
    title: str = '',
) -> np.ndarray:
    """Frames side by side with the mask over them; below them the words of the prompt, the targets in colour.

    The line under a frame tells its label: whether its mask has a pixel.

    Args:
        frames: RGB, uint8 (T, H, W, 3).
        masks: pixels of the anomaly, bool (T, H, W).
        categories: the n words of the prompt.
        targets: which of them are targets, (n,).
        title: a line above.

    Returns:
        uint8 picture, (H', W', 3).

    Raises:
        ValueError: the numbers of frames and masks, or of words and targets, differ.
    """
    if len(frames) != len(masks):
        raise ValueError(f'masks must be one per frame, got {len(masks)} for {len(frames)} frames')
    if len(categories) != len(targets):
        raise ValueError(f'targets must be one per word, got {len(targets)} for {len(categories)} words')
    cells = [_draw_cell(frame, mask) for frame, mask in zip(frames, masks, strict=True)]
    rows = [cells[start : start + MAX_COLUMNS] for start in range(0, len(cells), MAX_COLUMNS)]
    cell_height, cell_width = cells[0].shape[:2]
    width = max(MIN_WIDTH, GAP + max(map(len, rows)) * (cell_width + GAP))
    font = load_font(LETTERS)
    lines = wrap_words(categories, width - 2 * GAP, font.getlength)
    pictures = LINE + GAP + len(rows) * (cell_height + GAP)
    sheet = np.full((pictures + (len(lines) + 1) * LINE, width, 3), PANEL, dtype=np.uint8)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            top, left = LINE + GAP + row * (cell_height + GAP), GAP + column * (cell_width + GAP)
            sheet[top : top + cell_height, left : left + cell_width] = cell
    image = Image.fromarray(sheet)
    draw = ImageDraw.Draw(image)
    draw.text((GAP, LINE / 2 + GAP / 2), title, fill=PAPER, font=font, anchor='lm')
    chosen = {number for number, target in enumerate(targets) if target}
    for place, line in enumerate(lines):
        left = float(GAP)
        for number in line:
            colour = ALARM if number in chosen else MUTED
            text = categories[number] + ('' if number == len(categories) - 1 else ',  ')
            face = load_font(LETTERS, bold=number in chosen)
            draw.text((left, pictures + (place + 0.5) * LINE), text, fill=colour, font=face, anchor='lm')
            left += face.getlength(text)
    return np.asarray(image)


def wrap_words(words: Sequence[str], width: float, measure) -> list[list[int]]:
    """Lay words into lines.

    Args:
        words: the words.
        width: of a line.
        measure: gives the width of a text.

    Returns:
        the numbers of the words of each line; a word that is too long has a line of its own.

    >>> wrap_words(['red star', 'ring', 'cross'], 18, len)
    [[0, 1], [2]]
    """
    lines: list[list[int]] = []
    used = 0.0
    for number, word in enumerate(words):
        needed = measure(word + ',  ')
        if not lines or used + needed > width:
            lines.append([])
            used = 0.0
        lines[-1].append(number)
        used += needed
    return lines


def _draw_cell(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """One frame at the sheet's height with its mask, and a line under it."""
    height, width = frame.shape[:2]
    shown_width = max(1, round(width * FRAME_HEIGHT / height))
    shrinks = height > FRAME_HEIGHT
    shown = cv2.resize(
        np.ascontiguousarray(frame), (shown_width, FRAME_HEIGHT),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC,
    )  # fmt: skip
    anomalous = bool(mask.any())
    if anomalous:
        shown = overlay_mask(shown, mask.astype(np.float32))
    colour: Colour = ALARM if anomalous else QUIET
    return np.concatenate([shown, np.full((EDGE, shown_width, 3), colour, dtype=np.uint8)])
