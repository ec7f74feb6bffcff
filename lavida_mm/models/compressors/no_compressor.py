"""The baseline that keeps every token."""

import torch
from torch import Tensor

from lavida_mm.models.compressors.token_compressor import TokenCompressor, TokenMerge
from lavida_mm.registry import MODELS

__all__ = ['NoCompressor']


@MODELS.register_module()
class NoCompressor(TokenCompressor):
    """Keeps all tokens as they are."""

    def __init__(self, *, init_cfg: dict | None = None) -> None:
        super().__init__(keep_ratio=1.0, init_cfg=init_cfg)

    def plan(self, tokens: Tensor) -> TokenMerge:
        """Every token in its own place."""
        return TokenMerge(torch.arange(len(tokens), device=tokens.device))
