"""What a frame's score is made of where it is made of words: how far each is seen, and how far it is true."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['both_logit', 'category_logits', 'rescale', 'seen_logits']

COSINE_SCALE = 10.0
PADDED = -1e4  # logits that low belong to words that a sample does not have


def category_logits(sparse: Tensor, categories: Tensor | None, similarity: Tensor | None) -> Tensor | None:
    """How strongly each named word is found in each frame.

    With a pixel-text similarity map it is the map's maximum over the frame. Without one it is the scaled cosine
    between the frame's prompt and the word's embedding; this has a meaning only if ``loss_category`` trains it.

    Args:
        sparse: prompts, (F, P, C).
        categories: embeddings of the words, (F, n, C), or None.
        similarity: similarity logits, (F, n, h, w), or None.

    Returns:
        Logits, float32 (F, n); None where there are neither, since nothing tells the words apart.
    """
    if similarity is not None:
        return seen_logits(similarity)
    if categories is None:
        return None
    prompt = sparse.float().mean(dim=1, keepdim=True)  # (F, 1, C)
    return COSINE_SCALE * F.cosine_similarity(prompt, categories.float(), dim=2)


def seen_logits(similarity: Tensor) -> Tensor:
    """How strongly each word is seen anywhere in each frame, float32 (F, n), from its similarity map (F, n, h, w)."""
    return similarity.float().flatten(2).amax(dim=2)


def rescale(logits: Tensor, scale: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    """``scale * logits + bias``, but what is padded stays so, whatever the scale."""
    return (scale * logits + bias).masked_fill(logits <= PADDED, PADDED)


def both_logit(one: Tensor, other: Tensor) -> Tensor:
    """Logit of two independent events together, from their logits: that of the product of the probabilities."""
    return -torch.logsumexp(torch.stack([-one, -other, -one - other]), dim=0)
