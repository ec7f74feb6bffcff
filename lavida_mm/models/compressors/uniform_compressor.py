"""The baseline that keeps evenly spaced tokens."""

import torch
from torch import Tensor

from lavida_mm.models.compressors.token_compressor import TokenCompressor, TokenMerge
from lavida_mm.registry import MODELS

__all__ = ['UniformCompressor']


@MODELS.register_module()
class UniformCompressor(TokenCompressor):
    """Keeps the token in the middle of each of R equal stretches of the sample and drops the others.

    Args:
        keep_ratio: share of the tokens that remain, in (0, 1].
    """

    def __init__(self, *, keep_ratio: float = 0.5, init_cfg: dict | None = None) -> None:
        super().__init__(keep_ratio=keep_ratio, init_cfg=init_cfg)

    def plan(self, tokens: Tensor) -> TokenMerge:
        """Token floor((i + 1/2) L / R) for each i in 0..R-1."""
        num_tokens = len(tokens)
        num_kept = self.count_kept(num_tokens)
        numbers = torch.arange(num_kept, device=tokens.device)
        return TokenMerge((2 * numbers + 1) * num_tokens // (2 * num_kept))
