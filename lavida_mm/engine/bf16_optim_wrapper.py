"""Mixed precision without loss scaling, on any device."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from lavida_mm.registry import OPTIM_WRAPPERS

__all__ = ['BF16OptimWrapper']


@OPTIM_WRAPPERS.register_module()
class BF16OptimWrapper(OptimWrapper):
    """OptimWrapper whose forward pass runs under bfloat16 autocast.

    bfloat16 has the range of float32, so the loss needs no scaling; mmengine's ``AmpOptimWrapper`` scales it and
    refuses to run without a GPU. Takes the arguments of ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Forward pass of a training step.

        Args:
            model: the model that is trained.
        """
        with super().optim_context(model), torch.autocast(get_device(), dtype=torch.bfloat16):
            yield
