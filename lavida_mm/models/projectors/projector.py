"""The contract of all projectors, and what they share: checks and the optional similarity map."""

from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from lavida_mm.models.projectors.dense_prompt import DensePrompt
from lavida_mm.models.projectors.projector_output import ProjectorOutput
from lavida_mm.registry import MODELS

__all__ = ['Projector', 'ProjectorInput']

PADDED_LOGIT = -1e4  # similarity of words that a sample does not have: never the maximum, and finite


class ProjectorInput(NamedTuple):
    """What a projector may read of B samples with F frames in all.

    Attributes:
        seg_states: hidden states at ``<SEG>``, (B, D).
        text: text features of the named words, padded to the longest list, (B, n, Ct).
        text_mask: True at real words, bool (B, n).
        features: the segmenter's features of all frames, (F, C, h, w).
        position: their position encoding, (1, C, h, w).
        clip_index: the sample that each frame belongs to, int64 (F,).
    """

    seg_states: Tensor
    text: Tensor
    text_mask: Tensor
    features: Tensor
    position: Tensor
    clip_index: Tensor


class Projector(BaseModule):
    """Makes prompts of the mask decoder from the MLLM's state, the words and the segmenter's features.

    A projector implements :meth:`make_prompts`; this class checks the inputs and adds the similarity map.
    """

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.similarity: nn.Module | None = None
        self.dense_prompt: nn.Module | None = None

    def add_similarity(self, config: dict | None, visual_channels: int) -> None:
        """Build the pixel-text similarity whose map becomes a dense prompt.

        Args:
            config: of a ``PixelTextSimilarity``, or None for no map, as in the paper.
            visual_channels: channels of the prompt.
        """
        if config is not None:
            self.similarity = MODELS.build(config)
            self.dense_prompt = DensePrompt(visual_channels)

    def make_prompts(self, inputs: ProjectorInput) -> tuple[Tensor, Tensor | None]:
        """Prompt tokens (F, P, C) of every frame; and embeddings (F, n, C) of the words, padded ones zero, or None."""
        raise NotImplementedError

    def forward(
        self,
        seg_states: Tensor,
        text: Tensor,
        text_mask: Tensor,
        features: Tensor,
        position: Tensor,
        clip_index: Tensor,
    ) -> ProjectorOutput:
        """Prompts of every frame; the arguments are those of :class:`ProjectorInput`.

        Raises:
            ValueError: sizes do not match, or a sample has no word.
            FloatingPointError: an input holds NaN or infinity.
        """
        inputs = ProjectorInput(seg_states, text, text_mask, features, position, clip_index)
        check_inputs(inputs)
        sparse, categories = self.make_prompts(inputs)
        if self.similarity is None or self.dense_prompt is None:
            return ProjectorOutput(sparse, None, categories, None)
        mask = text_mask[clip_index]  # (F, n)
        similarity = self.similarity(features, text[clip_index])  # (F, n, h, w)
        similarity = similarity.masked_fill(~mask[..., None, None], PADDED_LOGIT)
        dense = self.dense_prompt(similarity.amax(dim=1, keepdim=True))
        return ProjectorOutput(sparse, dense, categories, similarity)


def check_inputs(inputs: ProjectorInput) -> None:
    """Raise ValueError where sizes disagree or a sample has no word, FloatingPointError where values are not finite."""
    seg_states, text, text_mask, features, _, clip_index = inputs
    if len(seg_states) != len(text) or text.shape[:2] != text_mask.shape:
        raise ValueError(
            f'seg_states (B, D), text (B, n, Ct) and text_mask (B, n) must agree, got {tuple(seg_states.shape)}, '
            f'{tuple(text.shape)} and {tuple(text_mask.shape)}'
        )
    if clip_index.shape != features.shape[:1]:
        raise ValueError(
            f'clip_index must have one entry per frame of the features ({len(features)}), got {tuple(clip_index.shape)}'
        )
    if text.is_meta:
        return
    if text.shape[1] == 0 or not text_mask.any(dim=1).all():
        raise ValueError('categories: every sample must name at least one word')
    for part, values in (('mllm: its <SEG> states', seg_states), ('text_encoder: its features', text)):
        if not torch.isfinite(values).all():
            raise FloatingPointError(f'{part} hold NaN or infinity')
