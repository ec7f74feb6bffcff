"""Segmenters and the head that owns one."""

from lavida_mm.models.mask_heads.anomaly_mask_head import AnomalyMaskHead
from lavida_mm.models.mask_heads.conv_image_encoder import ConvImageEncoder
from lavida_mm.models.mask_heads.frame_features import FrameFeatures
from lavida_mm.models.mask_heads.object_mask_decoder import ObjectMaskDecoder
from lavida_mm.models.mask_heads.sam import SAM
from lavida_mm.models.mask_heads.sam2 import SAM2
from lavida_mm.models.mask_heads.sam2_memory import MemoryBank
from lavida_mm.models.mask_heads.segmenter import Segmenter, SegmenterOutput

__all__ = [
    'SAM',
    'SAM2',
    'AnomalyMaskHead',
    'ConvImageEncoder',
    'FrameFeatures',
    'MemoryBank',
    'ObjectMaskDecoder',
    'Segmenter',
    'SegmenterOutput',
]
