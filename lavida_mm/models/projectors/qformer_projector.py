"""Learned queries that read the MLLM's state and the frame, without the words."""

import torch
from torch import Tensor, nn

from lavida_mm.models.projectors.projector import Projector, ProjectorInput
from lavida_mm.models.projectors.two_way_qformer import TwoWayQFormer
from lavida_mm.registry import MODELS

__all__ = ['QFormerProjector']


@MODELS.register_module()
class QFormerProjector(Projector):
    """Learned queries read the ``<SEG>`` state and the segmenter's features of their frame, and become its prompt.

    One of the two that the paper compares its projector with. The features are our reading of it: with the state as
    the only thing to attend to, attention has no choice and the queries are an MLP in disguise. What
    ``MultiScaleSemanticProjector`` has beyond this one is the category text.

    Args:
        seg_channels: channels D of the ``<SEG>`` state.
        visual_channels: channels C of the segmenter's features, and of the prompts.
        hidden: channels of the projector.
        num_queries: learned queries.
        depth: two-way blocks.
        num_heads: heads of the two-way blocks.
        mlp_channels: hidden channels of their MLP.
        cross_downsample: inner downsampling of the attention between queries and sequence.
        similarity: config of a pixel-text similarity (``PixelTextSimilarity``) whose map becomes a dense prompt, or
            None, as in the paper.
    """

    def __init__(
        self,
        *,
        seg_channels: int,
        visual_channels: int,
        hidden: int = 768,
        num_queries: int = 48,
        depth: int = 5,
        num_heads: int = 12,
        mlp_channels: int = 2048,
        cross_downsample: int = 2,
        similarity: dict | None = None,
    ) -> None:
        super().__init__()
        self.seg_proj = nn.Linear(seg_channels, hidden)
        self.visual_proj = nn.Linear(visual_channels, hidden)
        self.qformer = TwoWayQFormer(
            channels=hidden,
            num_queries=num_queries,
            depth=depth,
            num_heads=num_heads,
            mlp_channels=mlp_channels,
            downsample=cross_downsample,
        )
        self.prompt_out = nn.Linear(num_queries * hidden, visual_channels)
        self.add_similarity(similarity, visual_channels)

    def make_prompts(self, inputs: ProjectorInput) -> tuple[Tensor, None]:
        """One prompt per frame, (F, 1, C); no embeddings."""
        features = inputs.features + inputs.position.to(inputs.features.dtype)
        pixels = self.visual_proj(features.flatten(2).transpose(1, 2))  # (F, h * w, hidden)
        seg = self.seg_proj(inputs.seg_states)[inputs.clip_index, None].to(pixels.dtype)  # (F, 1, hidden)
        queries, _ = self.qformer(torch.cat([seg, pixels], dim=1))  # (F, Q, hidden)
        return self.prompt_out(queries.flatten(1))[:, None], None
