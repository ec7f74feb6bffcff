"""Annotated frames: the mask over the picture, the score and the words in a panel below it."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from lavida_mm.visualization.palette import ALARM, MUTED, PANEL, PAPER, QUIET, TRACK, Colour, load_font

__all__ = ['FrameAnnotator', 'display_size', 'format_time', 'overlay_mask']

MIN_SHORT_SIDE = 384  # smaller frames are enlarged, so that masks and letters can be read
MAX_LONG_SIDE = 3840  # enlarging stops here; larger frames keep their size
MASK_LEVEL = 0.5  # a pixel belongs to the mask from this probability on
PANEL_SHARE = 0.17  # height of the panel, of the frame's shorter side
MIN_PANEL = 64
MIN_WIDTH = 256  # narrower frames get bars at both sides: the panel needs the room


def display_size(height: int, width: int) -> tuple[int, int]:
    """Size at which a frame is shown: the shorter side at least 384 pixels, both sides even.

    Args:
        height, width: size of the frame.

    Returns:
        Height and width, never smaller than the frame's.

    >>> display_size(96, 96)
    (384, 384)
    >>> display_size(433, 769)
    (434, 770)
    """
    scale = max(1.0, min(MIN_SHORT_SIDE / min(height, width), MAX_LONG_SIDE / max(height, width)))
    return _even(round(height * scale)), _even(round(width * scale))


def overlay_mask(
    frame: np.ndarray, mask: np.ndarray, *, colour: Colour = ALARM, opacity: float = 0.4, level: float = MASK_LEVEL
) -> np.ndarray:
    """Tint the pixels of a mask and draw its outline.

    Args:
        frame: RGB picture, uint8 (H, W, 3).
        mask: probability of each pixel, or a boolean mask, of any size; it is resized to the frame, (h, w).
        colour: RGB colour of tint and outline.
        opacity: share of the colour inside the mask.
        level: a pixel belongs to the mask from this probability on.

    Returns:
        A new picture, uint8 (H, W, 3).
    """
    height, width = frame.shape[:2]
    smooth = cv2.resize(np.asarray(mask, dtype=np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    inside = smooth >= level  # (H, W)
    shown = frame.copy()
    if not inside.any():
        return shown
    tint = np.array(colour, dtype=np.float32)
    shown[inside] = np.rint((1 - opacity) * frame[inside] + opacity * tint).astype(np.uint8)
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(min(height, width) / 250))
    cv2.drawContours(shown, outlines, -1, PAPER, thickness + 2, cv2.LINE_AA)  # a rim that shows on any colour
    cv2.drawContours(shown, outlines, -1, colour, thickness, cv2.LINE_AA)
    return shown


class FrameAnnotator:
    """Draws annotated frames of one video, all of one size.

    Args:
        height, width: size of the video's frames.
        categories: the words that were looked for.
        threshold: frame score from which a frame counts as anomalous.
        fps: frames per second; 0 where unknown, then frames are numbered and not timed.
    """

    def __init__(self, *, height: int, width: int, categories: Sequence[str], threshold: float, fps: float) -> None:
        self.frame_size = display_size(height, width)
        self.threshold = threshold
        self.fps = fps
        shown_height, shown_width = self.frame_size
        self.panel_height = _even(max(MIN_PANEL, round(PANEL_SHARE * min(self.frame_size))))
        self.size = (shown_height + self.panel_height, max(shown_width, MIN_WIDTH))
        self._left = (self.size[1] - shown_width) // 2
        self._panel = self._draw_panel(categories)

    def draw(self, frame: np.ndarray, mask: np.ndarray | None, score: float, frame_ind: int) -> np.ndarray:
        """Draw one frame.

        Args:
            frame: RGB picture, uint8 (H, W, 3).
            mask: probability of each pixel, (H, W); None draws none.
            score: the frame's score, in [0, 1].
            frame_ind: its number in the video, from 0.

        Returns:
            uint8 picture of size ``self.size``, (H', W', 3).
        """
        height, width = self.frame_size
        colour = ALARM if score >= self.threshold else QUIET
        shown = _enlarge(frame, height, width)
        if mask is not None:
            shown = overlay_mask(shown, mask, colour=colour)
        canvas = np.empty((*self.size, 3), dtype=np.uint8)
        canvas[:height] = PANEL
        canvas[:height, self._left : self._left + width] = shown
        canvas[height:] = self._panel
        self._draw_score(canvas[height:], score, frame_ind, colour)
        return canvas

    def _draw_panel(self, categories: Sequence[str]) -> np.ndarray:
        """What stays the same from frame to frame: the words and the empty score bar, (panel height, W', 3)."""
        picture = Image.new('RGB', (self.size[1], self.panel_height), PANEL)
        draw = ImageDraw.Draw(picture)
        draw.rectangle(self._bar, fill=TRACK)
        font = load_font(self._letters)
        text = _fit_words(categories, lambda line: font.getlength(line) <= self.size[1] - 2 * self._pad)
        draw.text((self._pad, 0.74 * self.panel_height), text, fill=MUTED, font=font, anchor='lm')
        return np.asarray(picture)

    def _draw_score(self, panel: np.ndarray, score: float, frame_ind: int, colour: Colour) -> None:
        """Draw bar, threshold, figure and time into a panel, in place."""
        left, top, right, bottom = self._bar
        picture = Image.fromarray(panel)
        draw = ImageDraw.Draw(picture)
        filled = left + round(float(np.clip(score, 0, 1)) * (right - left))
        if filled > left:
            draw.rectangle((left, top, filled, bottom), fill=colour)
        tick = left + round(self.threshold * (right - left))
        draw.line((tick, top - 3, tick, bottom + 3), fill=PAPER, width=2)
        middle = (top + bottom) / 2
        time = format_time(frame_ind / self.fps) if self.fps > 0 else f'#{frame_ind}'
        draw.text((self._pad, middle), time, fill=PAPER, font=load_font(self._letters), anchor='lm')
        number = load_font(self._letters, bold=True)
        draw.text((self.size[1] - self._pad, middle), f'{score:.2f}', fill=colour, font=number, anchor='rm')
        panel[:] = np.asarray(picture)

    @property
    def _pad(self) -> int:
        return max(8, self.panel_height // 6)

    @property
    def _letters(self) -> int:
        return max(12, round(0.23 * self.panel_height))

    @property
    def _bar(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the score bar in the panel."""
        middle, half = round(0.34 * self.panel_height), max(4, self.panel_height // 12)
        time_room = round(load_font(self._letters).getlength('00:00:00.0'))
        score_room = round(load_font(self._letters, bold=True).getlength('0.00'))
        left, right = 2 * self._pad + time_room, self.size[1] - 2 * self._pad - score_room
        return left, middle - half, right, middle + half


def format_time(seconds: float) -> str:
    """Write a time as minutes and seconds, with hours where there are any.

    >>> format_time(75.24)
    '01:15.2'
    >>> format_time(3600)
    '1:00:00.0'
    """
    tenths = int(seconds * 10 + 1e-6)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f'{minutes:02d}:{tenths // 10:02d}.{tenths % 10}'
    return f'{hours}:{clock}' if hours else clock


def _even(length: int) -> int:
    return length + length % 2


def _enlarge(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bring a frame to its display size; a frame that lacks one row or column repeats its last."""
    rows, columns = height - frame.shape[0], width - frame.shape[1]
    if rows in (0, 1) and columns in (0, 1):
        return np.pad(frame, ((0, rows), (0, columns), (0, 0)), mode='edge')
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)


def _fit_words(words: Sequence[str], fits: Callable[[str], bool]) -> str:
    """Join as many words as fit in one line and count those left out."""
    for shown in range(len(words), 0, -1):
        left_out = len(words) - shown
        line = ',  '.join(words[:shown]) + (f'  +{left_out}' if left_out else '')
        if fits(line):
            return line
    word = words[0]
    rest = f'  +{len(words) - 1}' if len(words) > 1 else ''
    while word and not fits(f'{word}…{rest}'):
        word = word[:-1]
    return f'{word}…{rest}'
