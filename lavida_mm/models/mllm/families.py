"""What differs between families of multimodal LLMs, and nothing else.

A family is chosen by the ``model_type`` of the pretrained folder's config.
"""

from typing import Any

import torch
from torch import Tensor

from lavida_mm.models.mllm.visual_tokens import PatchGrid

__all__ = ['FAMILIES', 'QwenVLFamily', 'family_of']

TEXT, IMAGE, VIDEO = 0, 1, 2  # the kinds of tokens by which transformers lays out rotary positions


class QwenVLFamily:
    """Qwen2-VL and Qwen2.5-VL: packed patches in, 3-D rotary positions (time, height, width).

    Attributes:
        language_model: dotted name of the language model inside the model with its head.
        vision_tower: dotted name of the vision tower.
    """

    language_model = 'model.language_model'
    vision_tower = 'model.visual'

    def patch_grid(self, config: Any) -> PatchGrid:
        """How the vision tower cuts a clip."""
        vision = config.vision_config
        return PatchGrid(vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)

    def placeholder(self, config: Any, is_video: bool) -> int:
        """Id of the token that stands for one visual token in the text."""
        return config.video_token_id if is_video else config.image_token_id

    def visual_embeddings(self, model: Any, patches: Tensor, grids: list[tuple[int, int, int]]) -> list[Tensor]:
        """Run the vision tower once over all samples.

        Args:
            model: the model with its head.
            patches: of all samples, one after the other, (sum N, 3 * temporal * patch * patch).
            grids: numbers of patches in time, height and width, per sample.

        Returns:
            visual tokens at the language model's input, (L, C) per sample.
        """
        table = torch.tensor(grids, device=patches.device)  # (B, 3)
        features = model.model.get_video_features(patches, table)
        return list(features.pooler_output)

    def positions(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        grids: list[tuple[int, int, int]],
        is_video: list[bool],
    ) -> Tensor:
        """Rotary positions of the full sequences, before compression.

        Args:
            model: the model with its head.
            input_ids: (B, L), padded.
            attention_mask: (B, L), 0 where padded.
            grids: numbers of patches in time, height and width, per sample.
            is_video: whether the sample is a clip and not an image.

        Returns:
            (3, B, L). In Qwen2.5-VL, which counts time in seconds, one token grid lasts one second.
        """
        config = model.config
        kinds = torch.full_like(input_ids, TEXT)
        kinds[input_ids == config.image_token_id] = IMAGE
        kinds[input_ids == config.video_token_id] = VIDEO
        tables: dict[bool, list[tuple[int, int, int]]] = {True: [], False: []}
        for grid, moving in zip(grids, is_video, strict=True):
            tables[moving].append(grid)
        positions, _ = model.model.get_rope_index(
            input_ids,
            mm_token_type_ids=kinds,
            image_grid_thw=torch.tensor(tables[False], device=input_ids.device) if tables[False] else None,
            video_grid_thw=torch.tensor(tables[True], device=input_ids.device) if tables[True] else None,
            attention_mask=attention_mask,
        )
        return positions


FAMILIES = {'qwen2_vl': QwenVLFamily(), 'qwen2_5_vl': QwenVLFamily()}


def family_of(model_type: str, pretrained: str) -> QwenVLFamily:
    """The family of a ``model_type``.

    Raises:
        ValueError: no family serves it.
    """
    if model_type not in FAMILIES:
        raise ValueError(
            f"MLLMBackbone.pretrained='{pretrained}' is of model_type '{model_type}', which no family serves; "
            f'supported: {", ".join(sorted(FAMILIES))}. A new one is a class like QwenVLFamily, entered in FAMILIES '
            'of lavida_mm/models/mllm/families.py'
        )
    return FAMILIES[model_type]
