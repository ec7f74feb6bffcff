"""The contract of all segmenters: frames to features, features and prompts to masks."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lavida_mm.models.mask_heads.frame_features import FrameFeatures

__all__ = ['Segmenter', 'SegmenterOutput', 'Shortcut', 'check_prompts', 'without_autocast']


@dataclass
class Shortcut:
    """Logits that are added to what a segmenter decodes, before it remembers anything of it.

    Attributes:
        masks: added to every mask, at any resolution, (F, 1, h, w).
        objects: added to the object logits, (F,).
        object_weight: of the segmenter's own object logits in the sum.
    """

    masks: Tensor
    objects: Tensor
    object_weight: float = 1.0

    def select(self, frames: Sequence[int]) -> 'Shortcut':
        """That of some of the frames, in this order."""
        return Shortcut(self.masks[list(frames)], self.objects[list(frames)], self.object_weight)

    def add(self, masks: Tensor, object_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Masks (F, M, H, W) and object logits (F,) with what is added."""
        added = F.interpolate(self.masks, size=masks.shape[-2:], mode='bilinear', align_corners=False)
        return masks + added, self.object_weight * object_logits + self.objects


@dataclass
class SegmenterOutput:
    """What a segmenter decodes from the features and prompts of F frames.

    Attributes:
        masks: mask logits, the single mask first and the three of the multi-mask output after it, (F, 4, 4h, 4w).
        ious: predicted IoU of each mask, (F, 4).
        object_logits: logit of "what the prompt names is in this frame", (F,).
        memory: what each clip has left in a segmenter with memory, to be handed in with its next frames; None
            without memory.
    """

    masks: Tensor
    ious: Tensor
    object_logits: Tensor
    memory: tuple[Any, ...] | None = None

    @classmethod
    def join(cls, parts: 'Sequence[SegmenterOutput]') -> 'SegmenterOutput':
        """All frames of the parts, one part after the other, without their memories."""
        masks, ious, object_logits = zip(*((part.masks, part.ious, part.object_logits) for part in parts), strict=True)
        return cls(torch.cat(masks), torch.cat(ious), torch.cat(object_logits))


class Segmenter(Protocol):
    """What ``AnomalyMaskHead`` asks of a segmenter; ``SAM`` and ``SAM2`` are two.

    One with memory has ``memory``, how many frames it looks back (0: none now), and ``new_memory()``, the memory of a
    clip or stream that begins.

    Attributes:
        embed_dim: channels C of the deepest features, and of prompts.
        mask_size: side of the decoded masks.
    """

    embed_dim: int

    @property
    def mask_size(self) -> int: ...

    def encode(self, clips: Sequence[Tensor]) -> FrameFeatures:
        """Features of RGB clips in [0, 255], (T_i, 3, H_i, W_i)."""

    def decode(
        self,
        features: FrameFeatures,
        sparse: Tensor,
        dense: Tensor | None = None,
        memory: Sequence[Any] | None = None,
        shortcut: Shortcut | None = None,
    ) -> SegmenterOutput:
        """Masks from prompt tokens (F, P, C), a dense prompt (F or 1, C, h, w) and each clip's memory."""

    def position_encoding(self) -> Tensor:
        """Position encoding of the deepest features, (1, C, h, w)."""

    def default_dense(self) -> Tensor:
        """The dense prompt that stands for "no mask is given", (1, C, 1, 1)."""

    def fit_masks(self, masks: Tensor, size: int | None = None) -> Tensor:
        """Masks of the frames (T, H, W) where the segmenter sees them, (T, size, size)."""

    def restore(self, mask_logits: Tensor, size: tuple[int, int], output_size: tuple[int, int] | None = None) -> Tensor:
        """Mask logits (T, h', w') back on frames of ``size``, (T, *output_size)."""


def check_prompts(features: FrameFeatures, sparse: Tensor, dense: Tensor | None) -> None:
    """Raise ValueError where prompts do not match the features."""
    frames, channels = features.deep.shape[:2]
    if sparse.ndim != 3 or sparse.shape[0] != frames or sparse.shape[2] != channels:
        raise ValueError(
            f'sparse prompts must have shape (F, P, C) = ({frames}, P, {channels}), got {tuple(sparse.shape)}'
        )
    if dense is not None and (dense.ndim != 4 or dense.shape[0] not in (1, frames) or dense.shape[1] != channels):
        raise ValueError(
            f'dense prompts must have shape (F, C, h, w) = {tuple(features.deep.shape)}, got {tuple(dense.shape)}'
        )


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Keeps float32 what must not be rounded, such as frequencies; on the ``meta`` device there is nothing to keep."""
    return torch.autocast('cpu' if device.type == 'meta' else device.type, enabled=False)
