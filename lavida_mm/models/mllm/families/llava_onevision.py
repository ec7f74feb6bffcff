"""LLaVA-OneVision."""

import math
from typing import Any

import torch
from torch import Tensor

from lavida_mm.models.mllm.families.base_family import (
    MLLMFamily,
    VisualInput,
    VisualTokens,
    flatten_frames,
    see_video,
    stack_pixels,
)
from lavida_mm.registry import MLLM_FAMILIES

__all__ = ['LlavaOnevisionFamily']


@MLLM_FAMILIES.register_module(name='llava_onevision')
class LlavaOnevisionFamily(MLLMFamily):
    """LLaVA-OneVision (Li et al. 2024): the tokens of a frame are pooled two by two.

    A single image is shown as a video of one frame, so that training on images meets what is seen at test.
    """

    vision_tower = ('model.vision_tower', 'model.multi_modal_projector')

    def frame_tokens(self) -> int:
        """Tokens of one frame after the pooling."""
        vision = self.config.vision_config
        return math.ceil(vision.image_size // vision.patch_size / 2) ** 2

    def prepare(self, processor: Any, frames: Tensor, budget: tuple[int, int]) -> VisualInput:
        """The processor brings every frame to one size."""
        seen, text = see_video(processor, frames)
        pixels = seen['pixel_values_videos'][0]
        return VisualInput(pixels, text, self.config.video_token_id, len(pixels) * self.frame_tokens(), True)

    def embed(self, model: Any, samples: list[VisualInput], kept: list[Tensor] | None = None) -> list[VisualTokens]:
        """All frames of all samples as one video; no frame looks at another."""
        features = model.model.get_video_features(stack_pixels(samples)[None]).pooler_output  # (1, frames * tokens, C)
        return flatten_frames(features, samples)

    def embed_text(self, model: Any, ids: Tensor, is_visual: Tensor) -> Tensor:
        """The placeholder behind the last visual token stands for the learned end of a clip."""
        is_end = (ids == self.config.video_token_id) & ~is_visual
        embeddings = super().embed_text(model, ids, is_visual)
        return torch.where(is_end[..., None], model.model.image_newline.to(embeddings.dtype), embeddings)
