"""Puts one object into one frame, so that its edge does not give it away."""

import cv2
import numpy as np

__all__ = ['BLENDINGS', 'blend']

BLENDINGS = ('feather', 'seamless')
LEAST_CORE = 0.5  # OpenCV leaves the outermost pixels of a region as they were, which of a thin one are all
SEAMLESS_BORDER = 3


def blend(
    frame: np.ndarray, pixels: np.ndarray, visible: np.ndarray, hidden: np.ndarray, *, margin: int, blending: str
) -> None:
    """Blend an object into a frame, in place.

    Pixels outside of ``visible``, dilated by a square of ``2 * margin + 1`` pixels, and those of ``hidden`` stay as
    they are.

    Args:
        frame: uint8 (H, W, 3), of the size of the other arrays.
        pixels: the object where it stands, uint8 (H, W, 3).
        visible: which pixels of the object show, bool (H, W).
        hidden: what is in front of it, bool (H, W).
        margin: how far the edge reaches out, in pixels; 0 for a hard one.
        blending: ``'feather'`` lets the object's colours fade out across the edge. ``'seamless'`` (Perez et al.,
            Poisson Image Editing, 2003, by OpenCV) bends its colours towards those around it first, unless it is thin.
    """
    if not visible.any():
        return
    weights = visible.astype(np.float32)
    kernel = (2 * margin + 1, 2 * margin + 1)
    spread = cv2.blur(weights, kernel, borderType=cv2.BORDER_CONSTANT)
    alpha = np.maximum(np.minimum(2 * spread, 1), weights)  # opaque inside; half of the kernel is, at a straight edge
    alpha[hidden] = 0
    around = cv2.blur(pixels * weights[..., None], kernel, borderType=cv2.BORDER_CONSTANT)
    around = around / np.maximum(spread, 1e-6)[..., None]
    source = np.where(visible[..., None], pixels, around)  # the object's colours, carried on beyond its edge
    if blending == 'seamless':
        source = _clone(frame, source, alpha > 0)
    touched = (alpha > 1e-4)[..., None]
    mixed = frame + alpha[..., None] * (source - frame.astype(np.float32))
    np.copyto(frame, np.clip(np.rint(mixed), 0, 255).astype(np.uint8), where=touched)


def _clone(frame: np.ndarray, source: np.ndarray, region: np.ndarray) -> np.ndarray:
    """``source`` with its gradients kept and its colours fitted to the frame around ``region``; float32 (H, W, 3)."""
    if cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8)).sum() < LEAST_CORE * region.sum():
        return source
    # The region may touch the frame's edge, where OpenCV would have nothing to fit to.
    sides = [(SEAMLESS_BORDER, SEAMLESS_BORDER)] * 2
    wide_frame = np.pad(frame, [*sides, (0, 0)], mode='edge')
    wide_source = np.pad(np.clip(source, 0, 255).astype(np.uint8), [*sides, (0, 0)], mode='edge')
    wide_region = np.pad(region.astype(np.uint8) * 255, sides)
    left, top, width, height = cv2.boundingRect(wide_region)
    centre = (left + width // 2, top + height // 2)
    cloned = cv2.seamlessClone(wide_source, wide_frame, wide_region, centre, cv2.NORMAL_CLONE)
    inner = np.s_[SEAMLESS_BORDER:-SEAMLESS_BORDER]
    return cloned[inner, inner].astype(np.float32)
