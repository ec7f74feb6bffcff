"""From what the MLLM and the words say to prompts of the mask decoder."""

from dataclasses import dataclass

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from lavida_mm.models.projectors.two_way_qformer import MaskedAttention, TwoWayQFormer
from lavida_mm.registry import MODELS

__all__ = ['MultiScaleSemanticProjector', 'ProjectorOutput']

PADDED_LOGIT = -1e4  # similarity of words that a sample does not have: never the maximum, and finite
DENSE_HIDDEN = 16


@dataclass
class ProjectorOutput:
    """Prompts for F frames.

    Attributes:
        sparse: prompt tokens, (F, P, C).
        dense: what the prompt adds to each cell of the features, (F, C, h, w), or None.
        categories: embedding of each named word, zero where a sample has fewer words, (F, n, C).
        similarity: pixel-text logits, very low where a sample has fewer words, (F, n, h, w), or None.
    """

    sparse: Tensor
    dense: Tensor | None
    categories: Tensor
    similarity: Tensor | None


class _DensePrompt(nn.Sequential):
    """A small convolution over the best word's similarity; zero at the start, so that it changes nothing."""

    def __init__(self, channels: int) -> None:
        last = nn.Conv2d(DENSE_HIDDEN, channels, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        super().__init__(nn.Conv2d(2, DENSE_HIDDEN, 3, padding=1), nn.GELU(), last)

    def forward(self, logits: Tensor) -> Tensor:
        """Similarity logits (F, 1, h, w) -> dense prompt (F, C, h, w)."""
        return super().forward(torch.cat([logits.sigmoid(), 0.1 * logits], dim=1))


@MODELS.register_module()
class MultiScaleSemanticProjector(BaseModule):
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
        self.similarity: nn.Module | None = None
        self.dense_prompt: nn.Module | None = None
        if similarity is not None:
            self.similarity = MODELS.build(similarity)
            self.dense_prompt = _DensePrompt(visual_channels)

    def forward(
        self,
        seg_states: Tensor,
        text: Tensor,
        text_mask: Tensor,
        features: Tensor,
        position: Tensor,
        clip_index: Tensor,
    ) -> ProjectorOutput:
        """Prompts of every frame.

        Args:
            seg_states: hidden states at ``<SEG>``, (B, D).
            text: text features of the named words, padded to the longest list, (B, n, Ct).
            text_mask: True at real words, bool (B, n).
            features: the segmenter's features of all frames, (F, C, h, w).
            position: their position encoding, (1, C, h, w).
            clip_index: the sample that each frame belongs to, int64 (F,).

        Raises:
            ValueError: sizes do not match, or a sample has no word.
            FloatingPointError: an input holds NaN or infinity.
        """
        self._check(seg_states, text, text_mask, features, clip_index)
        mask = text_mask[clip_index]  # (F, n)
        frame_text = text[clip_index]  # (F, n, Ct)
        words = self._see(self.text_proj(text)[clip_index], features + position.to(features.dtype))
        seg = self.seg_proj(seg_states)[clip_index, None].to(words.dtype)  # (F, 1, hidden)

        sequence = torch.cat([seg, words], dim=1)  # (F, 1 + n, hidden)
        sequence_mask = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
        queries, sequence = self.qformer(sequence, sequence_mask)
        sparse = self.prompt_out(queries.flatten(1))[:, None]  # (F, 1, C)
        categories = self.category_out(sequence[:, 1:]).masked_fill(~mask[..., None], 0)  # (F, n, C)
        if self.similarity is None or self.dense_prompt is None:
            return ProjectorOutput(sparse, None, categories, None)
        similarity = self.similarity(features, frame_text)
        similarity = similarity.masked_fill(~mask[..., None, None], PADDED_LOGIT)  # (F, n, h, w)
        dense = self.dense_prompt(similarity.amax(dim=1, keepdim=True))
        return ProjectorOutput(sparse, dense, categories, similarity)

    def _see(self, words: Tensor, features: Tensor) -> Tensor:
        """T': words (F, n, hidden) after they have looked at their frame's features (F, C, h, w)."""
        pixels = self.visual_proj(features.flatten(2).transpose(1, 2))  # (F, h * w, hidden)
        return self.text_out(self.text_norm(words + self.cross_attn(words, pixels, pixels)))

    @staticmethod
    def _check(seg_states: Tensor, text: Tensor, text_mask: Tensor, features: Tensor, clip_index: Tensor) -> None:
        if len(seg_states) != len(text) or text.shape[:2] != text_mask.shape:
            raise ValueError(
                f'seg_states (B, D), text (B, n, Ct) and text_mask (B, n) must agree, got {tuple(seg_states.shape)}, '
                f'{tuple(text.shape)} and {tuple(text_mask.shape)}'
            )
        if clip_index.shape != features.shape[:1]:
            raise ValueError(
                f'clip_index must have one entry per frame of the features ({len(features)}), '
                f'got {tuple(clip_index.shape)}'
            )
        if text.is_meta:
            return
        if text.shape[1] == 0 or not text_mask.any(dim=1).all():
            raise ValueError('categories: every sample must name at least one word')
        for part, values in (('mllm: its <SEG> states', seg_states), ('text_encoder: its features', text)):
            if not torch.isfinite(values).all():
                raise FloatingPointError(f'{part} hold NaN or infinity')
