"""Packs an image with all its objects and their words: the input of the pixel-text pretraining stand-in."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from lavida_mm.registry import TRANSFORMS
from lavida_mm.structures import VADDataSample

__all__ = ['PackRegionWords']


@TRANSFORMS.register_module()
class PackRegionWords(BaseTransform):
    """Pack frames and objects for ``PixelTextPretrainer``.

    Required keys: frames (T, H, W, 3), object_masks (N, T, H, W), object_words, video_id, source.

    Added keys: inputs, uint8 (T, 3, H, W); data_samples with ``gt_object_masks``, bool (N, T, H, W), and the
    meta information ``object_words``.
    """

    def transform(self, results: dict) -> dict:
        frames = np.ascontiguousarray(results['frames'].transpose(0, 3, 1, 2))
        sample = VADDataSample(
            metainfo=dict(video_id=results['video_id'], source=results['source'], object_words=results['object_words'])
        )
        sample.gt_object_masks = torch.from_numpy(np.ascontiguousarray(results['object_masks']))
        return dict(inputs=torch.from_numpy(frames), data_samples=sample)
