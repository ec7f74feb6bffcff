"""In which precision losses are computed."""

import torch
from torch import Tensor

__all__ = ['at_least_float32']


def at_least_float32(values: Tensor) -> Tensor:
    """The values in float32, or as they are where they are more precise.

    Half precision would lose what losses are made of: bfloat16 has 8 bits, and a sum over a mask's pixels needs more.

    >>> at_least_float32(torch.ones(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
