"""Token compressors: visual tokens (L, C) in, merged tokens (R, C) and their places (R,) out."""

from lavida_mm.models.compressors.reverse_attn_compressor import ReverseAttnCompressor, reverse_attn_merge

__all__ = ['ReverseAttnCompressor', 'reverse_attn_merge']
