"""From the segmenter's masks of a frame to one map of probabilities."""

import torch
from torch import Tensor

__all__ = ['GATES', 'MASK_CHOICES', 'gate_masks', 'select_masks']

GATES = ('hard', 'soft', 'none')
MASK_CHOICES = ('best_iou', 'single')


def select_masks(masks: Tensor, ious: Tensor, choice: str) -> Tensor:
    """One mask per frame.

    Args:
        masks: mask logits, the single mask first, (F, 4, H, W).
        ious: predicted IoUs, (F, 4).
        choice: ``single`` takes the first mask, ``best_iou`` that of highest predicted IoU among the others.

    Returns:
        Mask logits, (F, H, W).
    """
    if choice == 'single':
        return masks[:, 0]
    best = ious[:, 1:].argmax(dim=1) + 1  # (F,)
    return masks[torch.arange(len(masks), device=masks.device), best]


def gate_masks(mask_logits: Tensor, object_logits: Tensor, gate: str) -> Tensor:
    """Probability of each pixel, given whether the frame holds the object at all.

    Args:
        mask_logits: (T, H, W).
        object_logits: (T,).
        gate: ``hard`` empties the masks of frames whose object logit is not above 0, as the authors do with logits of
            -1024; ``soft`` multiplies the pixels' probabilities by the frame's; ``none`` leaves them alone.

    Returns:
        Probabilities, float32 (T, H, W).
    """
    probabilities = mask_logits.float().sigmoid()
    object_logits = object_logits.float()[:, None, None]
    if gate == 'hard':
        return probabilities.masked_fill_(object_logits <= 0, 0.0)
    return probabilities.mul_(object_logits.sigmoid()) if gate == 'soft' else probabilities
