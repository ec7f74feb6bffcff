"""The baseline that keeps tokens drawn by chance."""

import torch
from torch import Tensor

from lavida_mm.models.compressors.token_compressor import TokenCompressor, TokenMerge
from lavida_mm.registry import MODELS

__all__ = ['RandomCompressor']

MAX_SEED = 2**31 - 1
SPREAD = 2654435761  # odd, so that different seeds stay different; large, so that they are not lengths


@MODELS.register_module()
class RandomCompressor(TokenCompressor):
    """Keeps R tokens, all equally likely, and drops the others.

    In training every call draws anew, from torch's global generator. At test the draw depends on nothing but the
    seed and the number of tokens.

    Args:
        keep_ratio: share of the tokens that remain, in (0, 1].
        seed: of the draw at test, at least 0.
    """

    def __init__(self, *, keep_ratio: float = 0.5, seed: int = 0, init_cfg: dict | None = None) -> None:
        super().__init__(keep_ratio=keep_ratio, init_cfg=init_cfg)
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
            raise ValueError(f'seed must be an integer in [0, {MAX_SEED}], got {seed!r}')
        self.seed = seed

    def plan(self, tokens: Tensor) -> TokenMerge:
        """R places by chance."""
        return TokenMerge(self._draw(len(tokens)).to(tokens.device))

    def extra_repr(self) -> str:
        """The settings, for the printed model."""
        return f'{super().extra_repr()}, seed={self.seed}'

    def _draw(self, num_tokens: int) -> Tensor:
        # On the CPU, so that a seed means the same on every device. Its generator reads 32 bits of the seed.
        mixed = (SPREAD * self.seed + num_tokens) % 2**32
        generator = None if self.training else torch.Generator().manual_seed(mixed)
        order = torch.randperm(num_tokens, generator=generator)
        return order[: self.count_kept(num_tokens)].sort().values
