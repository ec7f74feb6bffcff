"""Models: the detector, its parts, and the pretraining stand-in of the tiny one."""

from lavida_mm.models.compressors import (
    AvgPoolCompressor,
    NoCompressor,
    RandomCompressor,
    ReverseAttnCompressor,
    SimilarityMergeCompressor,
    StaticTokenFilter,
    TokenCompressor,
    TokenMerge,
    ToMeCompressor,
    UniformCompressor,
    changed_units,
    reverse_attn_merge,
)
from lavida_mm.models.data_preprocessor import VADDataPreprocessor
from lavida_mm.models.lavida import LAVIDA
from lavida_mm.models.losses import DiceLoss, FocalLoss, MaskIoULoss, ObjectScoreLoss
from lavida_mm.models.mask_heads import SAM, AnomalyMaskHead, ConvImageEncoder
from lavida_mm.models.mllm import MLLMBackbone
from lavida_mm.models.pretrain import PixelTextPretrainer
from lavida_mm.models.projectors import MultiScaleSemanticProjector, PixelTextSimilarity
from lavida_mm.models.text_encoders import CLIPTextEncoder

__all__ = [
    'LAVIDA',
    'SAM',
    'AnomalyMaskHead',
    'AvgPoolCompressor',
    'CLIPTextEncoder',
    'ConvImageEncoder',
    'DiceLoss',
    'FocalLoss',
    'MLLMBackbone',
    'MaskIoULoss',
    'MultiScaleSemanticProjector',
    'NoCompressor',
    'ObjectScoreLoss',
    'PixelTextPretrainer',
    'PixelTextSimilarity',
    'RandomCompressor',
    'ReverseAttnCompressor',
    'SimilarityMergeCompressor',
    'StaticTokenFilter',
    'ToMeCompressor',
    'TokenCompressor',
    'TokenMerge',
    'UniformCompressor',
    'VADDataPreprocessor',
    'changed_units',
    'reverse_attn_merge',
]
