"""From the best word's similarity map to a prompt of every cell."""

import torch
from torch import Tensor, nn

__all__ = ['DensePrompt']

HIDDEN = 16


class DensePrompt(nn.Sequential):
    """A small convolution over the best word's similarity; zero at the start, so that it changes nothing.

    Args:
        channels: channels C of the prompt.
    """

    def __init__(self, channels: int) -> None:
        last = nn.Conv2d(HIDDEN, channels, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        super().__init__(nn.Conv2d(2, HIDDEN, 3, padding=1), nn.GELU(), last)

    def forward(self, logits: Tensor) -> Tensor:
        """Similarity logits (F, 1, h, w) -> dense prompt (F, C, h, w)."""
        return super().forward(torch.cat([logits.sigmoid(), 0.1 * logits], dim=1))
