"""Brings frames to a common size."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from lavida_mm.registry import TRANSFORMS

__all__ = ['ResizeFrames', 'target_size']


def target_size(size: tuple[int, int], scale: tuple[int, int], keep_ratio: bool) -> tuple[int, int]:
    """Height and width after resizing.

    Args:
        size: (H, W).
        scale: (H, W) to reach, or to fit into where the ratio is kept.
        keep_ratio: whether H / W stays as it is, up to whole pixels.
    """
    if not keep_ratio:
        return scale
    factor = min(scale[0] / size[0], scale[1] / size[1])
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


@TRANSFORMS.register_module()
class ResizeFrames(BaseTransform):
    """Resize the frames, and the objects' masks with them. Ground truth of benchmarks stays at ``ori_shape``.

    Required keys: frames (T, H, W, 3).

    Modified keys: frames; object_masks (N, T, H, W) where there are any.

    Args:
        scale: (H, W).
        keep_ratio: fit into ``scale`` instead of reaching it.
    """

    def __init__(self, *, scale: Sequence[int], keep_ratio: bool = False):
        if len(scale) != 2 or min(scale) < 1:
            raise ValueError(f'scale must be a height and a width of at least 1, got {scale!r}')
        self.scale = (int(scale[0]), int(scale[1]))
        self.keep_ratio = keep_ratio

    def transform(self, results: dict) -> dict:
        frames = results['frames']
        height, width = target_size(frames.shape[1:3], self.scale, self.keep_ratio)
        if frames.shape[1:3] == (height, width):
            return results
        shrinks = height < frames.shape[1] and width < frames.shape[2]
        smooth = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        results['frames'] = np.stack([cv2.resize(frame, (width, height), interpolation=smooth) for frame in frames])
        masks = results.get('object_masks')
        if masks is not None:
            flat = masks.reshape(-1, *masks.shape[2:]).astype(np.uint8)  # (N * T, H, W)
            resized = [cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) for mask in flat]
            results['object_masks'] = np.asarray(resized, dtype=bool).reshape(*masks.shape[:2], height, width)
        return results
