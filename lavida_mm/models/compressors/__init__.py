"""What makes visual tokens fewer: compressors after the vision tower, a filter before it."""

from lavida_mm.models.compressors.avg_pool_compressor import AvgPoolCompressor
from lavida_mm.models.compressors.no_compressor import NoCompressor
from lavida_mm.models.compressors.random_compressor import RandomCompressor
from lavida_mm.models.compressors.reverse_attn_compressor import ReverseAttnCompressor, reverse_attn_merge
from lavida_mm.models.compressors.similarity_merge_compressor import SimilarityMergeCompressor
from lavida_mm.models.compressors.static_token_filter import StaticTokenFilter, changed_units
from lavida_mm.models.compressors.token_compressor import TokenCompressor, TokenMerge
from lavida_mm.models.compressors.tome_compressor import ToMeCompressor
from lavida_mm.models.compressors.uniform_compressor import UniformCompressor

__all__ = [
    'AvgPoolCompressor',
    'NoCompressor',
    'RandomCompressor',
    'ReverseAttnCompressor',
    'SimilarityMergeCompressor',
    'StaticTokenFilter',
    'ToMeCompressor',
    'TokenCompressor',
    'TokenMerge',
    'UniformCompressor',
    'changed_units',
    'reverse_attn_merge',
]
