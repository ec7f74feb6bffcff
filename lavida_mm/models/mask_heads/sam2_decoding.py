"""SAM 2's mask decoder with all of its outputs: pure functions over transformers' modules."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ['Decoded', 'decode_frames', 'stabilise']

FIRST_MASK = 2  # the tokens are: object score, IoU, the masks, the prompts


class Decoded(NamedTuple):
    """What the mask decoder says of F frames.

    Attributes:
        masks: mask logits, the single mask first, (F, 4, 4h, 4w).
        ious: predicted IoU of each mask, (F, 4).
        object_logits: (F,).
        tokens: the token of each mask, from which object pointers are made, (F, 4, C).
    """

    masks: Tensor
    ious: Tensor
    object_logits: Tensor
    tokens: Tensor


def decode_frames(
    decoder: Any, image: Tensor, fine: tuple[Tensor, ...], position: Tensor, sparse: Tensor, dense: Tensor
) -> Decoded:
    """Decode every frame with its own prompts.

    transformers' own forward hands out either the single mask or the other three.

    Args:
        decoder: transformers' ``Sam2VideoMaskDecoder``.
        image: deepest features, conditioned on memory or on its absence, (F, C, h, w).
        fine: features for the two steps of upscaling, (F, C / 8, 4h, 4w) and (F, C / 4, 2h, 2w).
        position: position encoding of the deepest features, (1, C, h, w).
        sparse: prompt tokens, (F, P, C).
        dense: dense prompt, (F or 1, C, h, w).
    """
    frames, channels, height, width = image.shape
    own = torch.cat([decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(frames, -1, -1), sparse.to(own.dtype)], dim=1)  # (F, 2 + 4 + P, C)
    tokens, image = decoder.transformer(
        point_embeddings=tokens[:, None],
        image_embeddings=image + dense,
        image_positional_embeddings=position,
        attention_similarity=None,
    )
    tokens = tokens[:, 0]
    image = image[:, 0].transpose(1, 2).reshape(frames, channels, height, width)
    finest, finer = fine
    image = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(image) + finer))
    image = decoder.activation(decoder.upscale_conv2(image) + finest)  # (F, C / 8, 4h, 4w)

    mask_tokens = tokens[:, FIRST_MASK : FIRST_MASK + decoder.num_mask_tokens]  # (F, 4, C)
    kernels = torch.stack(
        [mlp(token) for mlp, token in zip(decoder.output_hypernetworks_mlps, mask_tokens.unbind(1), strict=True)], dim=1
    )  # (F, 4, C / 8)
    masks = (kernels @ image.flatten(2)).unflatten(2, image.shape[-2:])  # (F, 4, 4h, 4w)
    ious = decoder.iou_prediction_head(tokens[:, 1])
    object_logits = decoder.pred_obj_score_head(tokens[:, 0]).squeeze(-1)
    if decoder.dynamic_multimask_via_stability and not decoder.training:
        delta, least = decoder.dynamic_multimask_stability_delta, decoder.dynamic_multimask_stability_thresh
        masks, ious = stabilise(masks, ious, delta, least)
    return Decoded(masks, ious, object_logits, mask_tokens)


def stabilise(masks: Tensor, ious: Tensor, delta: float, least: float) -> tuple[Tensor, Tensor]:
    """Put the best of the three masks in the place of a single mask whose area depends on the threshold, as SAM 2 does.

    Args:
        masks: mask logits, the single mask first, (F, 4, H, W).
        ious: predicted IoUs, (F, 4).
        delta: the thresholds that are compared are plus and minus this logit.
        least: share of the larger area that the smaller one must be.

    Returns:
        Masks and IoUs of the same shapes; the last three are untouched.
    """
    single = masks[:, 0].flatten(1)
    smaller, larger = (single > delta).sum(dim=1), (single > -delta).sum(dim=1)  # (F,)
    stable = (larger == 0) | (smaller / larger.clamp(min=1) >= least)
    first = torch.where(stable, 0, ious[:, 1:].argmax(dim=1) + 1)
    frames = torch.arange(len(masks), device=masks.device)
    masks = torch.cat([masks[frames, first][:, None], masks[:, 1:]], dim=1)
    return masks, torch.cat([ious[frames, first][:, None], ious[:, 1:]], dim=1)
