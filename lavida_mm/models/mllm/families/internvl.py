"""InternVL 3 and 3.5 in transformers' own format (model names that end in -hf)."""

from typing import Any

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

__all__ = ['InternVLFamily']


@MLLM_FAMILIES.register_module(name='internvl')
class InternVLFamily(MLLMFamily):
    """InternVL (Zhu et al. 2025): each frame, and each image, is one tile."""

    vision_tower = ('model.vision_tower', 'model.multi_modal_projector')

    def frame_tokens(self) -> int:
        """Tokens of one tile."""
        return self.config.image_seq_length

    def prepare(self, processor: Any, frames: Tensor, budget: tuple[int, int]) -> VisualInput:
        """The processor brings every frame to the size of a tile."""
        is_video = len(frames) > 1
        if is_video:
            seen, text = see_video(processor, frames)
            pixels = seen['pixel_values_videos'][0]
        else:
            seen = processor.image_processor([frames[0]], crop_to_patches=False, return_tensors='pt')
            pixels, text = seen['pixel_values'], processor.replace_image_token(seen, 0)
        return VisualInput(pixels, text, self.config.image_token_id, len(pixels) * self.frame_tokens(), is_video)

    def embed(self, model: Any, samples: list[VisualInput], kept: list[Tensor] | None = None) -> list[VisualTokens]:
        """All frames of all samples in one batch."""
        return flatten_frames(model.model.get_image_features(stack_pixels(samples)).pooler_output, samples)
