"""How far the predicted quality of a mask is from its real one."""

import torch
from mmengine.model import BaseModule
from torch import Tensor

from lavida_mm.models.losses.precision import at_least_float32
from lavida_mm.registry import MODELS
from lavida_mm.utils.checks import check_number

__all__ = ['MaskIoULoss', 'mask_iou']


@torch.no_grad()
def mask_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """Intersection over union of each mask with its target; 1 where both are empty.

    Args:
        logits: mask logits, (..., H, W); a pixel belongs to the mask where its logit is above 0.
        targets: share of each pixel that the object covers, broadcastable to ``logits``; the object has the pixels
            above one half.

    Returns:
        One value in [0, 1] per mask, float32 (...).
    """
    predicted = logits > 0
    targets = (targets > 0.5).expand_as(predicted)
    intersection = (predicted & targets).sum(dim=(-2, -1)).float()
    union = (predicted | targets).sum(dim=(-2, -1)).float()
    return torch.where(union > 0, intersection / union.clamp(min=1), torch.ones_like(union))


@MODELS.register_module()
class MaskIoULoss(BaseModule):
    """Weighted L1 distance of the predicted IoU from the IoU that the mask really has (docs/method.md, Losses).

    Args:
        loss_weight: factor on the loss.
    """

    def __init__(self, *, loss_weight: float = 1.0) -> None:
        super().__init__()
        check_number('loss_weight', loss_weight, least=0)
        self.loss_weight = loss_weight

    def forward(self, predicted: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each mask.

        Args:
            predicted: predicted IoU of each mask, (...).
            logits: mask logits, (..., H, W); no gradient flows into them.
            targets: targets, broadcastable to ``logits``.

        Returns:
            One value per mask, (...).
        """
        return self.loss_weight * (at_least_float32(predicted) - mask_iou(logits, targets)).abs()
