"""Is what the prompt names in the frame?"""

from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from lavida_mm.models.losses.focal_loss import check_focal
from lavida_mm.models.losses.precision import at_least_float32
from lavida_mm.registry import MODELS
from lavida_mm.utils.checks import check_number

__all__ = ['ObjectScoreLoss', 'object_score_loss']

NO_ALPHA = -1.0  # torchvision's way to say that both classes weigh 1


def object_score_loss(logits: Tensor, targets: Tensor, gamma: float = 0.0, alpha: float | None = None) -> Tensor:
    """Binary cross entropy of each object-present logit, or its focal form, in float32.

    Args:
        logits: any shape.
        targets: in [0, 1], of the same shape.
        gamma: how strongly well-classified frames are muted; 0 mutes none.
        alpha: weight of frames with the object, the others weigh ``1 - alpha``; None: all weigh 1.

    Returns:
        One value per logit.
    """
    logits = at_least_float32(logits)
    targets = targets.to(logits)
    if gamma == 0 and alpha is None:
        return F.binary_cross_entropy_with_logits(logits, targets, reduction='none')
    weight = NO_ALPHA if alpha is None else alpha
    return sigmoid_focal_loss(logits, targets, alpha=weight, gamma=gamma, reduction='none')


@MODELS.register_module()
class ObjectScoreLoss(BaseModule):
    """Weighted binary cross entropy of each object-present logit (docs/method.md, Losses), or its focal form.

    Args:
        gamma: focusing exponent, 0 (the paper's cross entropy) or at least 1.
        alpha: weight of frames with the object, in (0, 1), the others weigh ``1 - alpha``; None: all weigh 1.
        loss_weight: factor on the loss.
    """

    def __init__(self, *, gamma: float = 0.0, alpha: float | None = None, loss_weight: float = 2.0) -> None:
        super().__init__()
        check_focal(gamma, alpha)
        self.gamma = gamma
        self.alpha = alpha
        check_number('loss_weight', loss_weight, least=0)
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each logit: logits and targets in [0, 1] of one shape in, the same shape out."""
        return self.loss_weight * object_score_loss(logits, targets, self.gamma, self.alpha)
