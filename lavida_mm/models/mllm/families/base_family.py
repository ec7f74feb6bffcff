"""What a family of multimodal LLMs has to say about itself; a new one is a subclass (docs/backbones.md)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lavida_mm.models.mllm.visual_tokens import Grid, PatchGrid

__all__ = ['NOMINAL_FPS', 'MLLMFamily', 'VisualInput', 'VisualTokens']

NOMINAL_FPS = 2.0  # at which clips are said to be sampled, where a family writes times into the prompt


@dataclass
class VisualInput:
    """One sample as the vision tower takes it.

    Attributes:
        pixels: prepared by the model's own processor; their layout is the family's.
        text: what the prompt says in place of the chat template's placeholder. It holds the token ``placeholder``
            at least ``num_tokens`` times, and the first of these are the visual tokens, in order.
        placeholder: id of the token that stands for one visual token.
        num_tokens: L, before anything is dropped or merged.
        is_video: whether the prompt speaks of a video and not of an image.
        grid: numbers of patches in time, height and width, for towers that take one packed sequence of patches.
    """

    pixels: Tensor
    text: str
    placeholder: int
    num_tokens: int
    is_video: bool
    grid: Grid | None = None


class VisualTokens(NamedTuple):
    """One sample's visual tokens at the language model's input.

    Attributes:
        tokens: (L, C).
        deepstack: what is added to them after each of the first layers, (L, C) each; empty in most families.
    """

    tokens: Tensor
    deepstack: tuple[Tensor, ...] = ()


class MLLMFamily:
    """The families' common ground: frames of one fixed size, and positions counted along the sequence.

    Args:
        config: of the model, from transformers.

    Attributes:
        language_model: dotted name of the language model inside the model with its head.
        vision_tower: dotted names of what is frozen with the vision tower.
    """

    language_model = 'model.language_model'
    vision_tower: tuple[str, ...] = ('model.vision_tower',)

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def patch_grid(self) -> PatchGrid | None:
        """How the tower cuts a clip, if it takes one packed sequence of patches, of which some can be left out."""
        return None

    def frame_tokens(self) -> int:
        """Visual tokens of one frame, for families that bring every frame to one size."""
        raise NotImplementedError

    def count_tokens(self, num_frames: int, height: int, width: int, budget: tuple[int, int]) -> int:
        """Visual tokens of a clip, from the model's config alone.

        Args:
            num_frames: T that are shown.
            height, width: of the frames as given.
            budget: least and most units of one frame, for families that take frames of any size.
        """
        return num_frames * self.frame_tokens()

    def describe_frames(self) -> str | None:
        """Why pixel budgets have no effect, for the log; None where they do."""
        return f'every frame is brought to one size and has {self.frame_tokens()} visual tokens'

    def prepare(self, processor: Any, frames: Tensor, budget: tuple[int, int]) -> VisualInput:
        """Resize and normalise one sample, and say what the prompt shows for it.

        Args:
            processor: of the model, from transformers.
            frames: uint8 RGB (T, 3, H, W); T = 1 is an image. They stay on their device.
            budget: as in ``count_tokens``.
        """
        raise NotImplementedError

    def embed(self, model: Any, samples: list[VisualInput], kept: list[Tensor] | None = None) -> list[VisualTokens]:
        """Run the vision tower once over all samples.

        Args:
            model: the model with its head.
            samples: B samples.
            kept: per sample, the visual tokens that are computed at all, sorted indices (L',); None: all. Only
                where the family has a ``patch_grid``.
        """
        raise NotImplementedError

    def embed_text(self, model: Any, ids: Tensor, is_visual: Tensor) -> Tensor:
        """Embeddings (B, L, C) of the tokens ``ids`` (B, L); those at ``is_visual`` are replaced later."""
        return model.get_input_embeddings()(ids)

    def positions(self, model: Any, ids: Tensor, mask: Tensor, samples: list[VisualInput]) -> Tensor:
        """Rotary positions of the full sequences, before any token leaves them.

        Args:
            model: the model with its head.
            ids: (B, L), padded.
            mask: 1 for tokens and 0 for padding, (B, L).
            samples: B samples.

        Returns:
            (P, B, L); P is 1, or 3 where time, height and width are counted apart.
        """
        return (mask.cumsum(dim=1) - 1).clamp(min=0)[None]

    def read(
        self,
        language_model: Any,
        embeddings: Tensor,
        mask: Tensor,
        positions: Tensor,
        is_visual: Tensor,
        deepstack: tuple[Tensor, ...],
    ) -> Tensor:
        """Run the language model.

        Args:
            language_model: without its head.
            embeddings: (B, L, C).
            mask: (B, L), 0 where padded; or what is added to the attention, (B, 1, L, L).
            positions: (P, B, L).
            is_visual: bool (B, L).
            deepstack: of all visual tokens in the batch's order, (sum of L_i, C) per layer.

        Returns:
            last hidden states (B, L, D).
        """
        return language_model(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=positions if len(positions) > 1 else positions[0],
            use_cache=False,
            **self.layer_inputs(is_visual, deepstack),
        ).last_hidden_state

    def layer_inputs(self, is_visual: Tensor, deepstack: tuple[Tensor, ...]) -> dict[str, Any]:
        """Further arguments of the language model."""
        return {}

    def tower_parts(self, model: Any) -> list[nn.Module]:
        """The modules of the vision tower."""
        return [model.get_submodule(name) for name in self.vision_tower]


def see_video(processor: Any, frames: Tensor, **options: Any) -> tuple[Any, str]:
    """What a model's own processor makes of a clip, and the text that it puts in the placeholder's place.

    Args:
        processor: of transformers.
        frames: uint8 or float RGB in 0..255, (T, 3, H, W).
        options: of the video processor.
    """
    from transformers.video_utils import VideoMetadata

    count = len(frames)
    metadata = VideoMetadata(
        total_num_frames=count,
        fps=NOMINAL_FPS,
        frames_indices=list(range(count)),
        duration=count / NOMINAL_FPS,
    )
    seen = processor.video_processor(
        [frames],
        video_metadata=[metadata],
        do_sample_frames=False,
        return_metadata=True,
        return_tensors='pt',
        **options,
    )
    return seen, processor.replace_video_token(seen, 0)


def flatten_frames(features: Tensor, samples: list[VisualInput]) -> list[VisualTokens]:
    """Cut features (all frames, tokens of one, C) into the samples' tokens."""
    rows = features.flatten(0, 1)
    return [VisualTokens(part) for part in rows.split([sample.num_tokens for sample in samples])]


def stack_pixels(samples: list[VisualInput]) -> Tensor:
    """The pixels of all samples, one after the other."""
    return torch.cat([sample.pixels for sample in samples])
