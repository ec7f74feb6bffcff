"""Focal loss of each mask."""

from mmengine.model import BaseModule
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from lavida_mm.registry import MODELS

__all__ = ['FocalLoss', 'focal_loss']


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of each mask, averaged over its pixels, in float32.

    Args:
        logits: mask logits, (..., H, W).
        targets: share of each pixel that the object covers, in [0, 1], broadcastable to ``logits``.
        alpha: weight of the object's pixels; the others weigh ``1 - alpha``.
        gamma: how strongly well-classified pixels are muted.

    Returns:
        One value per mask, (...).
    """
    logits = logits.float()
    targets = targets.to(logits).expand_as(logits)
    return sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma, reduction='none').mean(dim=(-2, -1))


@MODELS.register_module()
class FocalLoss(BaseModule):
    """Weighted focal loss of each mask (docs/method.md, Losses).

    Args:
        alpha: weight of the object's pixels, in (0, 1).
        gamma: focusing exponent, at least 0.
        loss_weight: factor on the loss.
    """

    def __init__(self, *, alpha: float = 0.25, gamma: float = 2.0, loss_weight: float = 20.0) -> None:
        super().__init__()
        if not 0 < alpha < 1:
            raise ValueError(f'alpha must be in (0, 1), got {alpha}')
        if gamma < 0:
            raise ValueError(f'gamma must be at least 0, got {gamma}')
        self.alpha = alpha
        self.gamma = gamma
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each mask: logits and targets (..., H, W) in, (...) out."""
        return self.loss_weight * focal_loss(logits, targets, self.alpha, self.gamma)
