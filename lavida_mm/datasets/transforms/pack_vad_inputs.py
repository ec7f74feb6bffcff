"""Packs a clip for the model."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from lavida_mm.registry import TRANSFORMS
from lavida_mm.structures import VADDataSample

__all__ = ['PackVADInputs']

META_KEYS = (
    'video_id',
    'frame_inds',
    'num_valid',
    'num_frames',
    'frame_interval',
    'fps',
    'ori_shape',
    'img_shape',
    'categories',
    'source',
    'template',
    'video_labels',
)
DATA_KEYS = ('gt_frame_labels', 'gt_masks', 'gt_category_labels')


@TRANSFORMS.register_module()
class PackVADInputs(BaseTransform):
    """Pack frames, meta information and ground truth. Keys that the results lack are left out.

    Required keys: frames, uint8 (T, H, W, 3) RGB.

    Optional keys: those of ``meta_keys``; gt_frame_labels (T,), gt_masks (T, H, W), gt_category_labels (n,).

    Returns:
        dict with ``inputs``, uint8 (T, 3, H, W) RGB, and ``data_samples``, a ``VADDataSample``.

    Args:
        meta_keys: what goes into the sample's meta information.
    """

    def __init__(self, *, meta_keys: Sequence[str] = META_KEYS):
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        frames = results['frames']
        results['img_shape'] = tuple(frames.shape[1:3])
        sample = VADDataSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        for key in DATA_KEYS:
            if results.get(key) is not None:
                setattr(sample, key, torch.from_numpy(np.ascontiguousarray(results[key])))
        inputs = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
        return dict(inputs=inputs, data_samples=sample)
