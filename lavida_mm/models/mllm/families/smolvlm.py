"""SmolVLM and SmolVLM2."""

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

__all__ = ['SmolVLMFamily']


@MLLM_FAMILIES.register_module(name='smolvlm')
class SmolVLMFamily(MLLMFamily):
    """SmolVLM (Marafioti et al. 2025): each frame, and each image, is one square with its time in the prompt."""

    language_model = 'model.text_model'
    vision_tower = ('model.vision_model', 'model.connector')

    def frame_tokens(self) -> int:
        """Tokens of one square after pixel shuffling."""
        vision = self.config.vision_config
        return (vision.image_size // vision.patch_size) ** 2 // self.config.scale_factor**2

    def prepare(self, processor: Any, frames: Tensor, budget: tuple[int, int]) -> VisualInput:
        """The processor brings every frame to the size of a square."""
        is_video = len(frames) > 1
        if is_video:
            seen, text = see_video(processor, frames, do_pad=False)
        else:
            seen = processor.image_processor(
                [[frames[0]]], do_image_splitting=False, do_pad=False, return_row_col_info=True, return_tensors='pt'
            )
            text = processor.replace_image_token(seen, 0)
        pixels = seen['pixel_values'][0]  # (T, 3, side, side)
        return VisualInput(pixels, text, self.config.image_token_id, len(pixels) * self.frame_tokens(), is_video)

    def embed(self, model: Any, samples: list[VisualInput], kept: list[Tensor] | None = None) -> list[VisualTokens]:
        """All frames of all samples in one batch."""
        return flatten_frames(model.model.get_image_features(stack_pixels(samples)[None]).pooler_output, samples)
