"""From frames of any size to the segmenter's square canvas, and back: pure functions.

``pad`` scales the longest side to the canvas and leaves the right or the bottom of it empty, as SAM does; ``squash``
stretches both sides to the canvas, as the authors of LAVIDA do.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

__all__ = ['RESIZE_MODES', 'fit_frames', 'fit_masks', 'fitted_shape', 'restore_masks']

RESIZE_MODES = ('pad', 'squash')


def fitted_shape(shape: Sequence[int], canvas: int, resize: str) -> tuple[int, int]:
    """Height and width that a frame of ``shape`` takes on a canvas of ``canvas`` x ``canvas`` pixels."""
    if resize == 'squash':
        return canvas, canvas
    height, width = shape
    scale = canvas / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def _resample(images: Tensor, shape: Sequence[int]) -> Tensor:
    """Bilinear resampling with antialiasing, only where the size changes: (N, C, H, W) -> (N, C, *shape)."""
    if tuple(images.shape[-2:]) == tuple(shape):
        return images
    return F.interpolate(images, size=tuple(shape), mode='bilinear', align_corners=False, antialias=True)


def _pad(images: Tensor, canvas: int) -> Tensor:
    """Zeros to the right and below until the canvas is full: (N, C, H, W) -> (N, C, canvas, canvas)."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, canvas - width, 0, canvas - height))


def fit_frames(frames: Tensor, canvas: int, resize: str, mean: Tensor, std: Tensor) -> Tensor:
    """Frames resized, normalised and, in this order, padded with zeros.

    Args:
        frames: RGB in [0, 255], (T, 3, H, W).
        canvas: side of the canvas, in pixels.
        resize: ``pad`` or ``squash``.
        mean: per channel, (3, 1, 1).
        std: per channel, (3, 1, 1).

    Returns:
        Normalised frames, (T, 3, canvas, canvas).
    """
    frames = frames.to(mean)
    frames = _resample(frames, fitted_shape(frames.shape[-2:], canvas, resize))
    return _pad((frames - mean) / std, canvas)


def fit_masks(masks: Tensor, canvas: int, resize: str, size: int) -> Tensor:
    """Masks of the frames on the same canvas, then averaged down (or sampled up) to ``size``.

    Args:
        masks: masks at the frames' size, (T, H, W).
        canvas: side of the canvas, in pixels.
        resize: ``pad`` or ``squash``.
        size: side of the result.

    Returns:
        Share of each pixel that the mask covers, in [0, 1], float32 (T, size, size).
    """
    fitted = _resample(masks[:, None].float(), fitted_shape(masks.shape[-2:], canvas, resize))
    fitted = _pad(fitted, canvas)
    if size < canvas:
        fitted = F.interpolate(fitted, size=(size, size), mode='area')
    return _resample(fitted, (size, size))[:, 0].clamp(0, 1)


def restore_masks(
    masks: Tensor, canvas: int, resize: str, shape: Sequence[int], output_shape: Sequence[int] | None = None
) -> Tensor:
    """Mask logits on the canvas, at any resolution, back on the frames: the inverse of :func:`fit_masks`.

    Args:
        masks: mask logits, (T, h, w).
        canvas: side of the canvas, in pixels.
        resize: ``pad`` or ``squash``.
        shape: height and width of the frames that were fitted.
        output_shape: height and width of the result; ``shape`` by default.

    Returns:
        Mask logits, (T, *output_shape).
    """
    output_height, output_width = shape if output_shape is None else output_shape
    target = (output_height, output_width)
    masks = masks[:, None]
    height, width = fitted_shape(shape, canvas, resize)
    if (height, width) != (canvas, canvas):
        if masks.shape[-1] != canvas:
            masks = F.interpolate(masks, size=(canvas, canvas), mode='bilinear', align_corners=False)
        masks = masks[..., :height, :width]
    if tuple(masks.shape[-2:]) != target:
        masks = F.interpolate(masks, size=target, mode='bilinear', align_corners=False)
    return masks[:, 0]
