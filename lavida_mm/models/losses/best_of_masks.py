"""Only the best of the masks that are decoded for a frame learns."""

from torch import Tensor

__all__ = ['best_of_masks']


def best_of_masks(cost: Tensor, *losses: Tensor) -> tuple[Tensor, ...]:
    """Losses of each frame's cheapest mask; gradients reach no other mask, and do not know of the choice.

    Args:
        cost: what makes a mask good, (F, M); of equal ones the first is taken.
        losses: losses of each mask, (F, M) each.

    Returns:
        The losses of the chosen masks, (F,) each.
    """
    best = cost.detach().argmin(dim=1, keepdim=True)  # (F, 1)
    return tuple(loss.gather(1, best)[:, 0] for loss in losses)
