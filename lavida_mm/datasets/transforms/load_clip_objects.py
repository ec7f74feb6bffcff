"""Decodes the objects' masks for the frames of a drawn clip, and for no other."""

import numpy as np
from mmcv.transforms import BaseTransform

from lavida_mm.datasets.masks import decode_mask
from lavida_mm.registry import TRANSFORMS

__all__ = ['LoadClipObjects']


@TRANSFORMS.register_module()
class LoadClipObjects(BaseTransform):
    """Masks and words of the objects that are visible in the clip.

    Required keys: objects, list of dict(words, masks: frame number -> COCO segmentation, annotation_ids);
    frame_inds (T,), ori_shape (H, W), ann_file.

    Removed keys: objects.

    Added keys: object_masks, bool (N, T, H, W); object_words, list[N] of list[str].

    Raises:
        DataError: a mask cannot be decoded.
    """

    def transform(self, results: dict) -> dict:
        inds = [int(index) for index in results['frame_inds']]
        height, width = results['ori_shape']
        seen, words = [], []
        for target in results.pop('objects'):
            masks = np.zeros((len(inds), height, width), dtype=bool)
            for place, index in enumerate(inds):
                if index in target['masks']:
                    where = f'{results["ann_file"]}: annotation {target["annotation_ids"][index]!r}'
                    masks[place] = decode_mask(target['masks'][index], height, width, where)
            if masks.any():
                seen.append(masks)
                words.append(target['words'])
        results['object_masks'] = np.stack(seen) if seen else np.zeros((0, len(inds), height, width), dtype=bool)
        results['object_words'] = words
        return results
