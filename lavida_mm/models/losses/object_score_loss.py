"""Is what the prompt names in the frame?"""

from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F

from lavida_mm.registry import MODELS

__all__ = ['ObjectScoreLoss']


@MODELS.register_module()
class ObjectScoreLoss(BaseModule):
    """Weighted binary cross entropy of each object-present logit, in float32 (docs/method.md, Losses).

    Args:
        loss_weight: factor on the loss.
    """

    def __init__(self, *, loss_weight: float = 2.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each logit: logits and targets in {0, 1} of one shape in, the same shape out."""
        logits = logits.float()
        return self.loss_weight * F.binary_cross_entropy_with_logits(logits, targets.to(logits), reduction='none')
