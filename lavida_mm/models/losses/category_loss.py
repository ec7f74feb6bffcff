"""Which of the named words was it?"""

import torch
from mmengine.model import BaseModule
from torch import Tensor

from lavida_mm.models.losses.precision import at_least_float32
from lavida_mm.registry import MODELS
from lavida_mm.utils.checks import check_number

__all__ = ['CategoryLoss', 'category_loss']


def category_loss(logits: Tensor, targets: Tensor, named: Tensor) -> Tensor:
    """Cross entropy of "a true word", against all words that the prompt names, in float32.

    The softmax over a frame's words gives each a probability; the loss is minus the logarithm of what the true words
    have together. Several words can be true of a clip, and not all of them need show in each of its frames, so any of
    them may take the whole probability. With a single true word this is the usual cross entropy.

    Args:
        logits: one per frame and word, (F, n).
        targets: true words, bool (F, n); a frame without any has loss 0.
        named: words that the frame's prompt names, bool (F, n); the others fill the row up and count nowhere.

    Returns:
        One value per frame, (F,).
    """
    logits = at_least_float32(logits)
    targets = targets & named
    some = targets.any(dim=1)
    targets = torch.where(some[:, None], targets, named)  # both sums below are equal then: no loss and no gradient
    total = logits.masked_fill(~named, -torch.inf).logsumexp(dim=1)
    true = logits.masked_fill(~targets, -torch.inf).logsumexp(dim=1)
    return total - true


@MODELS.register_module()
class CategoryLoss(BaseModule):
    """Weighted cross entropy of the words' logits in each frame (docs/method.md, Losses).

    Args:
        loss_weight: factor on the loss.
    """

    def __init__(self, *, loss_weight: float = 1.0) -> None:
        super().__init__()
        check_number('loss_weight', loss_weight, least=0)
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, targets: Tensor, named: Tensor) -> Tensor:
        """Loss of each frame: logits, true words and named words (F, n) in, (F,) out."""
        return self.loss_weight * category_loss(logits, targets, named)
