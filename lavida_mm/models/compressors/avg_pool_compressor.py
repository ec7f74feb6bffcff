"""The baseline that averages tokens that follow each other."""

import torch
from torch import Tensor

from lavida_mm.models.compressors.token_compressor import TokenCompressor, TokenMerge
from lavida_mm.registry import MODELS

__all__ = ['AvgPoolCompressor']


@MODELS.register_module()
class AvgPoolCompressor(TokenCompressor):
    """Replaces each of R runs of successive tokens, whose lengths differ by one at most, by its mean.

    The mean takes the place of the run's middle token, the first of the two middle ones where the number is even.

    Args:
        keep_ratio: share of the tokens that remain, in (0, 1].
    """

    def __init__(self, *, keep_ratio: float = 0.5, init_cfg: dict | None = None) -> None:
        super().__init__(keep_ratio=keep_ratio, init_cfg=init_cfg)

    def plan(self, tokens: Tensor) -> TokenMerge:
        """Run i begins at token floor(i L / R)."""
        num_tokens = len(tokens)
        num_kept = self.count_kept(num_tokens)
        bounds = torch.arange(num_kept + 1, device=tokens.device) * num_tokens // num_kept  # (R + 1,)
        lengths = bounds.diff()
        numbers = torch.arange(num_kept, device=tokens.device)
        clusters = numbers.repeat_interleave(lengths, output_size=num_tokens)  # (L,)
        return TokenMerge(bounds[:-1] + (lengths - 1) // 2, clusters, 1 / lengths[clusters])
