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
from lavida_mm.models.losses import CategoryLoss, DiceLoss, FocalLoss, MaskIoULoss, ObjectScoreLoss
from lavida_mm.models.mask_heads import SAM, SAM2, AnomalyMaskHead, ConvImageEncoder
from lavida_mm.models.mllm import MLLMBackbone
from lavida_mm.models.pretrain import MLLMPretrainer, PixelTextPretrainer
from lavida_mm.models.projectors import MLPProjector, MultiScaleSemanticProjector, PixelTextSimilarity, QFormerProjector
from lavida_mm.models.text_encoders import CLIPTextEncoder, MLLMTextEncoder, SigLIP2TextEncoder

__all__ = [
    'LAVIDA',
    'SAM',
    'SAM2',
    'AnomalyMaskHead',
    'AvgPoolCompressor',
    'CLIPTextEncoder',
    'CategoryLoss',
    'ConvImageEncoder',
    'DiceLoss',
    'FocalLoss',
    'MLLMBackbone',
    'MLLMPretrainer',
    'MLLMTextEncoder',
    'MLPProjector',
    'MaskIoULoss',
    'MultiScaleSemanticProjector',
    'NoCompressor',
    'ObjectScoreLoss',
    'PixelTextPretrainer',
    'PixelTextSimilarity',
    'QFormerProjector',
    'RandomCompressor',
    'ReverseAttnCompressor',
    'SigLIP2TextEncoder',
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
