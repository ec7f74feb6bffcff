"""SAM 2's memory of earlier frames: what is kept of a frame, and how later frames attend to it.

transformers runs its memory inside a session that holds one whole video, without gradients. Here the same modules work
on any number of clips at once, so that they can be trained, and what is kept is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lavida_mm.models.mask_heads.sam2_decoding import Decoded

__all__ = ['FrameMemory', 'MemoryBank', 'attend', 'remember']

NO_OBJECT_LOGIT = -1024.0  # of the mask that is remembered where there is no object
TEMPERATURE = 10000.0  # of the sines that encode a pointer's age


@dataclass(frozen=True)
class FrameMemory:
    """What is kept of one frame.

    Attributes:
        tokens: image and mask, bfloat16 (h * w, 64).
        pointer: what the object's token says, (C,).
        frame: number of the frame in its clip or stream, counted from 0.
    """

    tokens: Tensor
    pointer: Tensor
    frame: int


@dataclass(frozen=True)
class MemoryBank:
    """The last frames of one clip or stream; adding a frame makes a new bank.

    Attributes:
        capacity: how many frames are kept.
        frames: the frames kept, the oldest first.
        num_seen: frames of the clip or stream so far.
    """

    capacity: int
    frames: tuple[FrameMemory, ...] = ()
    num_seen: int = 0

    @property
    def ages(self) -> tuple[int, ...]:
        """How many frames before the next one each kept frame was."""
        return tuple(self.num_seen - memory.frame for memory in self.frames)

    def add(self, tokens: Tensor, pointer: Tensor) -> 'MemoryBank':
        """The bank after one more frame, whose oldest frames are forgotten."""
        frames = (*self.frames, FrameMemory(tokens, pointer, self.num_seen))
        return MemoryBank(self.capacity, frames[-self.capacity :], self.num_seen + 1)

    def detach(self) -> 'MemoryBank':
        """The same without gradients."""
        frames = tuple(FrameMemory(one.tokens.detach(), one.pointer.detach(), one.frame) for one in self.frames)
        return MemoryBank(self.capacity, frames, self.num_seen)


def attend(network: Any, deep: Tensor, banks: Sequence[MemoryBank], span: int) -> Tensor:
    """Features of the next frame of each clip, conditioned on its earlier frames.

    Args:
        network: transformers' ``Sam2VideoModel``.
        deep: deepest features of the frame, (B, C, h, w).
        banks: of each clip; all hold frames of the same ages.
        span: the age of a pointer is encoded as a share of it.

    Returns:
        Features, (B, C, h, w).
    """
    height, width = deep.shape[-2:]
    position = network.vision_encoder.neck.position_encoding(deep.shape, deep.device, deep.dtype)
    memory, place = _memory_tokens(network, banks, (height, width))
    pointers, age = _pointer_tokens(network, banks, span)
    found = network.memory_attention(
        current_vision_features=deep.flatten(2).permute(2, 0, 1),  # (h * w, B, C)
        current_vision_position_embeddings=position.flatten(2).permute(2, 0, 1),
        memory=torch.cat([memory, pointers], dim=1).transpose(0, 1).to(deep.dtype),  # (L, B, 64)
        memory_posision_embeddings=torch.cat([place, age], dim=1).transpose(0, 1).to(deep.dtype),
        num_object_pointer_tokens=pointers.shape[1],
    )
    return found[0].transpose(1, 2).unflatten(2, (height, width))


def _memory_tokens(network: Any, banks: Sequence[MemoryBank], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Tokens of all kept frames and their position encoding, (B, K * h * w, 64) each.

    The first frame of all takes the last place in time, whatever its age.
    """
    tokens = torch.stack([torch.cat([one.tokens for one in bank.frames]) for bank in banks])
    shape = torch.Size((1, network.mem_dim, *grid))
    place = network.memory_encoder.position_encoding(shape, tokens.device, torch.float32)
    place = place.flatten(2).transpose(1, 2)  # (1, h * w, 64)
    temporal = network.memory_temporal_positional_encoding.flatten(1)  # (7, 64)
    bank = banks[0]
    times = [temporal[(0 if one.frame == 0 else age) - 1] for one, age in zip(bank.frames, bank.ages, strict=True)]
    return tokens, torch.cat([place + time for time in times], dim=1).expand(len(banks), -1, -1)


def _pointer_tokens(network: Any, banks: Sequence[MemoryBank], span: int) -> tuple[Tensor, Tensor]:
    """Object pointers of all kept frames, cut into pieces of 64 channels, and their age: (B, K * C / 64, 64) each."""
    pointers = torch.stack([torch.stack([one.pointer for one in bank.frames]) for bank in banks])  # (B, K, C)
    channels = pointers.shape[-1]
    pieces = channels // network.mem_dim
    if network.config.enable_temporal_pos_encoding_for_object_pointers:
        ages = torch.tensor(banks[0].ages, device=pointers.device, dtype=torch.float32) / span
        age = network.temporal_positional_encoding_projection_layer(_sines(ages, channels))  # (K, 64)
    else:
        age = pointers.new_zeros(pointers.shape[1], network.mem_dim)
    age = age.repeat_interleave(pieces, dim=0).expand(len(banks), -1, -1)
    return pointers.reshape(len(banks), -1, network.mem_dim), age


def _sines(values: Tensor, channels: int) -> Tensor:
    """Sines, then cosines, of values (K,) at falling frequencies, (K, channels)."""
    half = torch.arange(channels // 2, device=values.device, dtype=torch.float32)
    angles = values[:, None] / TEMPERATURE ** (2 * (half // 2) / (channels // 2))
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def remember(network: Any, deep: Tensor, decoded: Decoded, first: bool) -> tuple[Tensor, Tensor]:
    """What to keep of frames: the mask of best predicted IoU among three, on the frame, and its token's pointer.

    Args:
        network: transformers' ``Sam2VideoModel``.
        deep: deepest features as they were encoded, (B, C, h, w).
        decoded: masks of the same frames.
        first: they are the first of their clips: their masks are remembered as 0 and 1 (not while training).

    Returns:
        Tokens, bfloat16 (B, h * w, 64), and pointers, (B, C).
    """
    best = decoded.ious[:, 1:].argmax(dim=1) + 1
    clips = torch.arange(len(deep), device=deep.device)
    present = decoded.object_logits > 0  # (B,)
    mask = decoded.masks[clips, best].float().where(present[:, None, None], NO_OBJECT_LOGIT)[:, None]
    mask = F.interpolate(mask, size=(network.image_size, network.image_size), mode='bilinear', align_corners=False)
    side = deep.shape[-1] * network.config.mask_downsampler_total_stride
    if mask.shape[-1] != side:
        mask = F.interpolate(mask, size=(side, side), mode='bilinear', align_corners=False, antialias=True)
    mask = (mask > 0).float() if first and not network.training else mask.sigmoid()
    config = network.config
    mask = mask * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
    memory, _ = network.memory_encoder(deep, mask)  # (B, 64, h, w)

    absent = (~present).to(memory.dtype)[:, None]  # (B, 1)
    if network.occlusion_spatial_embedding_parameter is not None:
        memory = memory + (absent * network.occlusion_spatial_embedding_parameter)[..., None, None]
    pointer = network.object_pointer_proj(decoded.tokens[clips, best])  # (B, C)
    pointer = (1 - absent) * pointer + absent * network.no_object_pointer
    return memory.to(torch.bfloat16).flatten(2).transpose(1, 2), pointer  # transformers keeps bfloat16 as well
