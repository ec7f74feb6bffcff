"""How well each pixel of the segmenter's features matches each named word."""

import math

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from lavida_mm.registry import MODELS
from lavida_mm.utils.checks import check_number

__all__ = ['PixelTextSimilarity', 'cosine_map']


def cosine_map(features: Tensor, text: Tensor) -> Tensor:
    """Cosine of every pixel with every word, in float32.

    Args:
        features: pixel embeddings, (F, E, h, w).
        text: word embeddings, (F, n, E).

    Returns:
        Cosines in [-1, 1], (F, n, h, w).
    """
    features = F.normalize(features.float(), dim=1)
    text = F.normalize(text.float(), dim=2)
    with torch.autocast(features.device.type, enabled=False):
        return (text @ features.flatten(2)).unflatten(2, features.shape[-2:])


@MODELS.register_module()
class PixelTextSimilarity(BaseModule):
    """Similarity logits of pixels and words: learned scale x cosine + learned bias.

    Pixels and words are projected to one space first. An addition of ours to the paper: a tiny model that trains
    from scratch finds named things through it, and a pretraining stand-in trains it by itself.

    Args:
        visual_channels: channels C of the features.
        text_channels: channels of the words' text features.
        embed_channels: channels E of the space both are projected to.
        init_scale: scale at the start, above 0.
        init_bias: bias at the start; below 0, since most pixels match no word.
        init_cfg: mmengine's initialisation config, e.g. weights of the pretraining stand-in.
    """

    def __init__(
        self,
        *,
        visual_channels: int,
        text_channels: int,
        embed_channels: int,
        init_scale: float = 10.0,
        init_bias: float = -5.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_number('init_scale', init_scale, above=0)
        check_number('init_bias', init_bias)
        self.visual_proj = nn.Conv2d(visual_channels, embed_channels, 1)
        self.text_proj = nn.Linear(text_channels, embed_channels)
        self.log_scale = nn.Parameter(torch.tensor(math.log(init_scale)))
        self.bias = nn.Parameter(torch.tensor(float(init_bias)))

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """Similarity logits, float32.

        Args:
            features: segmenter's features, (F, C, h, w).
            text: text features of each frame's words, (F, n, Ct).

        Returns:
            Logits, (F, n, h, w).
        """
        cosine = cosine_map(self.visual_proj(features), self.text_proj(text))
        return self.log_scale.exp() * cosine + self.bias
