"""Which pixels of pasted objects show, and the frames with the objects in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lavida_mm.datasets.pasting.blending import SEAMLESS_BORDER, blend
from lavida_mm.datasets.pasting.cutout import Cutout, scale_cutout
from lavida_mm.datasets.pasting.track import Track

__all__ = ['Paste', 'PlacedObject', 'paste_objects', 'place_objects', 'visible_masks']


@dataclass(frozen=True, eq=False)
class Paste:
    """One object on its way through a clip.

    Attributes:
        cutout: the object.
        track: where it stands in each frame, and how large.
        flip: whether left and right change places.
        behind: numbers of the clip's own objects that hide it.
    """

    cutout: Cutout
    track: Track
    flip: bool
    behind: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class PlacedObject:
    """One object in one frame, cut to the frame.

    Attributes:
        top: first row.
        left: first column.
        pixels: uint8 (h, w, 3).
        mask: bool (h, w), without what the clip's own objects hide.
    """

    top: int
    left: int
    pixels: np.ndarray
    mask: np.ndarray

    @property
    def box(self) -> tuple[slice, slice]:
        return _box(self.top, self.left, self.mask.shape)


def place_objects(pastes: Sequence[Paste], foreground: np.ndarray) -> list[list[PlacedObject | None]]:
    """Bring each object to its size and place in each frame.

    Args:
        pastes: K objects.
        foreground: masks of the clip's own objects, bool (N, T, H, W).

    Returns:
        K lists of T objects, None where the frame shows none of it.
    """
    return [_place(paste, foreground) for paste in pastes]


def visible_masks(placed: Sequence[Sequence[PlacedObject | None]], shape: tuple[int, int, int]) -> np.ndarray:
    """Which pixels show which object: bool (K, T, H, W). A later object hides those before it.

    Args:
        placed: K lists of T placed objects, from back to front.
        shape: (T, H, W).
    """
    masks = np.zeros((len(placed), *shape), dtype=bool)
    for number, frames in enumerate(placed):
        for time, thing in enumerate(frames):
            if thing is not None:
                rows, columns = thing.box
                masks[:number, time, rows, columns] &= ~thing.mask
                masks[number, time, rows, columns] = thing.mask
    return masks


def paste_objects(
    frames: np.ndarray,
    pastes: Sequence[Paste],
    placed: Sequence[Sequence[PlacedObject | None]],
    foreground: np.ndarray,
    *,
    margin: int,
    blending: str,
) -> np.ndarray:
    """A copy of the frames with the objects in them, from back to front.

    Args:
        frames: uint8 (T, H, W, 3).
        pastes: K objects.
        placed: where they are, from ``place_objects``.
        foreground: masks of the clip's own objects, bool (N, T, H, W).
        margin: see ``blend``.
        blending: see ``blend``.
    """
    frames = frames.copy()
    for paste, things in zip(pastes, placed, strict=True):
        for time, thing in enumerate(things):
            if thing is not None:
                _blend_window(frames[time], thing, _hiding(paste, foreground, time), margin, blending)
    return frames


def _place(paste: Paste, foreground: np.ndarray) -> list[PlacedObject | None]:
    scaled: dict[float, tuple[np.ndarray, np.ndarray]] = {}
    things: list[PlacedObject | None] = []
    for time, ((x, y), side) in enumerate(zip(paste.track.feet, paste.track.sides, strict=True)):
        if not side:
            things.append(None)
            continue
        if side not in scaled:
            scaled[side] = scale_cutout(paste.cutout, side, paste.flip)
        pixels, mask = scaled[side]
        top, left = round(y) - mask.shape[0], round(x - mask.shape[1] / 2)
        things.append(_cut_to_frame(pixels, mask, top, left, _hiding(paste, foreground, time)))
    return things


def _hiding(paste: Paste, foreground: np.ndarray, time: int) -> np.ndarray:
    """What is in front of an object, bool (H, W)."""
    return np.asarray(foreground[list(paste.behind), time].any(axis=0))


def _cut_to_frame(pixels: np.ndarray, mask: np.ndarray, top: int, left: int, hidden: np.ndarray) -> PlacedObject | None:
    height, width = hidden.shape
    rows = slice(max(-top, 0), min(height - top, mask.shape[0]))
    columns = slice(max(-left, 0), min(width - left, mask.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    pixels, mask = pixels[rows, columns], mask[rows, columns]
    top, left = max(top, 0), max(left, 0)
    mask = mask & ~hidden[_box(top, left, mask.shape)]
    return PlacedObject(top, left, pixels, mask) if mask.any() else None


def _blend_window(frame: np.ndarray, thing: PlacedObject, hidden: np.ndarray, margin: int, blending: str) -> None:
    """Blend on the part of the frame that can change: a large frame costs no more than a small one."""
    reach = margin + SEAMLESS_BORDER
    top, left = max(thing.top - reach, 0), max(thing.left - reach, 0)
    rows, columns = thing.box
    window = np.s_[top : rows.stop + reach, left : columns.stop + reach]
    view = frame[window]
    inner = _box(thing.top - top, thing.left - left, thing.mask.shape)
    pixels, visible = np.zeros_like(view), np.zeros(view.shape[:2], dtype=bool)
    pixels[inner], visible[inner] = thing.pixels, thing.mask
    blend(view, pixels, visible, hidden[window], margin=margin, blending=blending)


def _box(top: int, left: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    return slice(top, top + shape[0]), slice(left, left + shape[1])
