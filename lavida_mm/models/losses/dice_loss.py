"""Dice loss of each mask."""

from mmengine.model import BaseModule
from torch import Tensor

from lavida_mm.models.losses.precision import at_least_float32
from lavida_mm.registry import MODELS
from lavida_mm.utils.checks import check_number

__all__ = ['DiceLoss', 'dice_loss']


def dice_loss(logits: Tensor, targets: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice coefficient of each mask, in float32.

    Args:
        logits: mask logits, (..., H, W).
        targets: share of each pixel that the object covers, in [0, 1], broadcastable to ``logits``.
        smooth: added to numerator and denominator (in pixels), so that two empty masks agree.

    Returns:
        One value in [0, 1] per mask, (...).
    """
    probabilities = at_least_float32(logits).sigmoid()
    targets = targets.to(probabilities).expand_as(probabilities)
    overlap = (probabilities * targets).sum(dim=(-2, -1))
    total = probabilities.sum(dim=(-2, -1)) + targets.sum(dim=(-2, -1))
    return 1 - (2 * overlap + smooth) / (total + smooth)


@MODELS.register_module()
class DiceLoss(BaseModule):
    """Weighted Dice loss of each mask (docs/method.md, Losses).

    Args:
        smooth: pixels added to numerator and denominator, above 0.
        loss_weight: factor on the loss.
    """

    def __init__(self, *, smooth: float = 1.0, loss_weight: float = 2.0) -> None:
        super().__init__()
        check_number('smooth', smooth, above=0)
        self.smooth = smooth
        check_number('loss_weight', loss_weight, least=0)
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each mask: logits and targets (..., H, W) in, (...) out."""
        return self.loss_weight * dice_loss(logits, targets, self.smooth)
