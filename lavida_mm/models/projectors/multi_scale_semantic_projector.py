"""From what the MLLM and the words say to prompts of the mask decoder."""

import torch
from torch import Tensor, nn

from lavida_mm.models.projectors.projector import Projector, ProjectorInput
from lavida_mm.models.projectors.two_way_qformer import MaskedAttention, TwoWayQFormer
from lavida_mm.registry import MODELS

__all__ = ['MultiScaleSemanticProjector']


@MODELS.register_module()
class MultiScaleSemanticProjector(Projector):
    """Unites the ``<SEG>`` state with the words' features, seen against each frame (docs/method.md, section 4).

    Words attend to the segmenter's features, frame by frame. The projected ``<SEG>`` state and these words form a
    sequence that learned queries read and write; the queries become one prompt per frame, the words' entries one
    embedding per word.

    Args:
        seg_channels: channels D of the ``<SEG>`` state.
        text_channels: channels Ct of the words' text features.
        visual_channels: channels C of the segmenter's features, and of the prompts.
        hidden: channels of the projector.
        num_queries: learned queries.
        depth: two-way blocks.
        num_heads: heads of the two-way blocks.
        mlp_channels: hidden channels of their MLP.
        cross_heads: heads of the words' attention to the features.
        cross_downsample: inner downsampling of all attention across.
        similarity: config of a pixel-text similarity (``PixelTextSimilarity``) whose map becomes a dense prompt, or
            None, as in the paper.
    """

    def __init__(
        self,
        *,
        seg_channels: int,
        text_channels: int,
        visual_channels: int,
        hidden: int = 768,
        num_queries: int = 48,
        depth: int = 5,
        num_heads: int = 12,
        mlp_channels: int = 2048,
        cross_heads: int = 8,
        cross_downsample: int = 2,
        similarity: dict | None = None,
    ) -> None:
        super().__init__()
        self.seg_proj = nn.Linear(seg_channels, hidden)
        self.text_proj = nn.Linear(text_channels, hidden)
        self.visual_proj = nn.Linear(visual_channels, hidden)
        self.cross_attn = MaskedAttention(channels=hidden, num_heads=cross_heads, downsample=cross_downsample)
        self.text_norm = nn.LayerNorm(hidden)
        self.text_out = nn.Linear(hidden, hidden)
        self.qformer = TwoWayQFormer(
            channels=hidden,
            num_queries=num_queries,
            depth=depth,
            num_heads=num_heads,
            mlp_channels=mlp_channels,
            downsample=cross_downsample,
        )
        self.prompt_out = nn.Linear(num_queries * hidden, visual_channels)
        self.category_out = nn.Linear(hidden, visual_channels)
        self.add_similarity(similarity, visual_channels)

    def make_prompts(self, inputs: ProjectorInput) -> tuple[Tensor, Tensor]:
        """One prompt per frame (F, 1, C), and the words' embeddings (F, n, C)."""
        seg_states, text, text_mask, features, position, clip_index = inputs
        mask = text_mask[clip_index]  # (F, n)
        words = self._see(self.text_proj(text)[clip_index], features + position.to(features.dtype))
        seg = self.seg_proj(seg_states)[clip_index, None].to(words.dtype)  # (F, 1, hidden)

        sequence = torch.cat([seg, words], dim=1)  # (F, 1 + n, hidden)
        sequence_mask = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
        queries, sequence = self.qformer(sequence, sequence_mask)
        sparse = self.prompt_out(queries.flatten(1))[:, None]  # (F, 1, C)
        return sparse, self.category_out(sequence[:, 1:]).masked_fill(~mask[..., None], 0)

    def _see(self, words: Tensor, features: Tensor) -> Tensor:
        """T': words (F, n, hidden) after they have looked at their frame's features (F, C, h, w)."""
        pixels = self.visual_proj(features.flatten(2).transpose(1, 2))  # (F, h * w, hidden)
        return self.text_out(self.text_norm(words + self.cross_attn(words, pixels, pixels)))
