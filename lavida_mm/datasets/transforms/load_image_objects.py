"""Brings what mmdet loaded from an image to the form that all sources share."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from lavida_mm.registry import TRANSFORMS
from lavida_mm.utils.errors import DataError

__all__ = ['LoadImageObjects']


@TRANSFORMS.register_module()
class LoadImageObjects(BaseTransform):
    """An image as a clip of one frame; objects without a visible pixel are left out.

    Required keys: img (H, W, 3) BGR, gt_masks (mmdet's BitmapMasks of N objects), instances with ``words``,
    img_path, height, width.

    Removed keys: img, gt_masks, instances, and mmdet's boxes and labels.

    Added keys: frames, uint8 (1, H, W, 3) RGB; frame_inds (1,); object_masks, bool (N, 1, H, W); object_words,
    list[N] of list[str]; ori_shape (H, W).

    Raises:
        DataError: the image is not of the size that the annotation file gives.
    """

    def transform(self, results: dict) -> dict:
        image = results.pop('img')
        height, width = image.shape[:2]
        if (height, width) != (results['height'], results['width']):
            raise DataError(
                f'{results["img_path"]}: is {height} x {width} pixels, '
                f'its annotation says {results["height"]} x {results["width"]}'
            )
        masks = results.pop('gt_masks').masks.astype(bool)  # (N, H, W)
        words = [instance['words'] for instance in results.pop('instances')]
        visible = masks.any(axis=(1, 2))
        for key in ('gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags'):
            results.pop(key, None)
        results['frames'] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[None]
        results['frame_inds'] = np.zeros(1, dtype=np.int64)
        results['object_masks'] = masks[visible][:, None]
        results['object_words'] = [own for own, seen in zip(words, visible, strict=True) if seen]
        results['ori_shape'] = (height, width)
        return results
