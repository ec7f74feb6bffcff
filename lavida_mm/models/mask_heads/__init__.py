"""Segmenters and the head that owns one."""

from lavida_mm.models.mask_heads.anomaly_mask_head import AnomalyMaskHead
from lavida_mm.models.mask_heads.conv_image_encoder import ConvImageEncoder
from lavida_mm.models.mask_heads.object_mask_decoder import ObjectMaskDecoder
from lavida_mm.models.mask_heads.sam import SAM, SegmenterOutput

__all__ = ['SAM', 'AnomalyMaskHead', 'ConvImageEncoder', 'ObjectMaskDecoder', 'SegmenterOutput']
