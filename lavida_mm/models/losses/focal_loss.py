"""Focal loss of each mask."""

from mmengine.model import BaseModule
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from lavida_mm.models.losses.precision import at_least_float32
from lavida_mm.registry import MODELS
from lavida_mm.utils.checks import check_number

__all__ = ['FocalLoss', 'check_focal', 'focal_loss']


def check_focal(gamma: float, alpha: float | None) -> None:
    """Check the two values of a focal loss.

    Raises:
        ValueError: one breaks its rule. With ``gamma`` between 0 and 1, the slope of ``x ** gamma`` is infinite at 0,
            and pixels that are surely right would turn gradients into NaN.
    """
    if gamma != 0 and not gamma >= 1:
        raise ValueError(f'gamma must be 0 or at least 1, got {gamma}')
    if alpha is not None and not 0 < alpha < 1:
        raise ValueError(f'alpha must be in (0, 1), got {alpha}')


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
    logits = at_least_float32(logits)
    targets = targets.to(logits).expand_as(logits)
    return sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma, reduction='none').mean(dim=(-2, -1))


@MODELS.register_module()
class FocalLoss(BaseModule):
    """Weighted focal loss of each mask (docs/method.md, Losses).

    Args:
        alpha: weight of the object's pixels, in (0, 1).
        gamma: focusing exponent, 0 or at least 1.
        loss_weight: factor on the loss.
    """

    def __init__(self, *, alpha: float = 0.25, gamma: float = 2.0, loss_weight: float = 20.0) -> None:
        super().__init__()
        check_focal(gamma, alpha)
        self.alpha = alpha
        self.gamma = gamma
        check_number('loss_weight', loss_weight, least=0)
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each mask: logits and targets (..., H, W) in, (...) out."""
        return self.loss_weight * focal_loss(logits, targets, self.alpha, self.gamma)
