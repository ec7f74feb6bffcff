"""An object that was cut out of a picture."""

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ['Cutout', 'cut_out', 'scale_cutout']


@dataclass(frozen=True, eq=False)
class Cutout:
    """Pixels of one object in its box.

    Attributes:
        pixels: uint8 (h, w, 3), RGB.
        mask: which of them are the object, bool (h, w).
        words: how it may be called.
    """

    pixels: np.ndarray
    mask: np.ndarray
    words: tuple[str, ...]


def cut_out(frames: np.ndarray, masks: np.ndarray, words: tuple[str, ...]) -> Cutout:
    """Cut an object out of the frame that shows most of it.

    Args:
        frames: uint8 (T, H, W, 3).
        masks: the object's, bool (T, H, W), with at least one pixel.
        words: how it may be called.
    """
    best = int(masks.sum(axis=(1, 2)).argmax())
    rows, columns = np.flatnonzero(masks[best].any(axis=1)), np.flatnonzero(masks[best].any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Cutout(frames[best][box].copy(), masks[best][box].copy(), words)


def scale_cutout(cutout: Cutout, side: float, flip: bool) -> tuple[np.ndarray, np.ndarray]:
    """Bring an object to a size.

    Args:
        cutout: the object.
        side: its longer side, in pixels.
        flip: whether left and right change places.

    Returns:
        pixels, uint8 (h, w, 3), and mask, bool (h, w); both sides are at least 1.
    """
    height, width = cutout.mask.shape
    factor = side / max(height, width)
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    weights = cv2.resize(cutout.mask.astype(np.float32), size, interpolation=smooth)  # (h, w)
    # Only the object's own pixels may mix, so that no rim of its old background comes along.
    inside = cutout.pixels.astype(np.float32) * cutout.mask[..., None]
    pixels = cv2.resize(inside, size, interpolation=smooth) / np.maximum(weights, 1e-6)[..., None]
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    mask = weights >= 0.5
    return (pixels[:, ::-1], mask[:, ::-1]) if flip else (pixels, mask)
