"""A small residual convolutional image encoder, for models that train on two cores."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from lavida_mm.registry import MODELS

__all__ = ['ConvImageEncoder']

# With fewer channels, torch 2.11's channels-last convolutions write beyond their buffers on the CPU (with 8, the heap
# is corrupted).
CHANNEL_BLOCK = 16


class _ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; the first may halve the resolution."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm1(self.conv1(x)).relu_()
        return (self.norm2(self.conv2(out)) + self.shortcut(x)).relu_()


@MODELS.register_module()
class ConvImageEncoder(BaseModule):
    """Residual convolutions down to an eighth of the resolution (the tiny segmenter's encoder).

    A stem and one stage per width, each stage halving the resolution but the first, which works at the stem's half.
    With the defaults a feature sees a field of 95 x 95 pixels around it and the encoder has 0.39 M parameters.
    Batch normalisation: batch statistics while training, running ones at test, so that a frame's features do not
    depend on its neighbours there.

    Args:
        widths: channels of the stages, multiples of 16; stage i works at 1 / 2**(i + 1) of the resolution.
        depths: residual blocks of each stage.
        out_channels: channels of the features.
        norm_eval: keep the running statistics while training too; for fine-tuning with small batches.
        init_cfg: mmengine's initialisation config, e.g. weights of the pretraining stand-in.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (16, 48, 96),
        depths: Sequence[int] = (1, 1, 2),
        out_channels: int = 64,
        norm_eval: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(widths) != len(depths) or not widths:
            raise ValueError(
                f'widths and depths must have one entry per stage, got {tuple(widths)} and {tuple(depths)}'
            )
        if min(*widths, *depths, out_channels) < 1:
            raise ValueError(
                f'widths, depths and out_channels must be at least 1, got {tuple(widths)}, {tuple(depths)} and '
                f'{out_channels}'
            )
        if any(width % CHANNEL_BLOCK for width in widths):
            raise ValueError(f'widths must be multiples of {CHANNEL_BLOCK}, got {tuple(widths)}')
        self.stride = 2 ** len(widths)
        self.out_channels = out_channels
        self.norm_eval = norm_eval
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(True)
        )
        blocks: list[nn.Module] = []
        channels = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                blocks.append(_ResidualBlock(channels, width, stride=2 if stage and not block else 1))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.out = nn.Conv2d(channels, out_channels, 3, padding=1)

    def train(self, mode: bool = True) -> 'ConvImageEncoder':
        """Switch to training mode; batch normalisation stays as it is with ``norm_eval``."""
        super().train(mode)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (F, 3, H, W) -> features (F, out_channels, H / stride, W / stride)."""
        images = images.contiguous(memory_format=torch.channels_last)  # a third faster on the CPU
        return self.out(self.blocks(self.stem(images)))
