"""A detector whose answers can be worked out by hand: red pixels are the anomaly."""

import time
from pathlib import Path

import torch
from mmengine.model import BaseModel
from torch import nn

from lavida_mm.registry import MODELS

__all__ = ['REDNESS', 'RednessDetector']

REDNESS = 200  # of 255: red above, green and blue below the rest of it


@MODELS.register_module()
class RednessDetector(BaseModel):
    """The mask is where pixels are red, the score of a frame the share of them, times a learned gain.

    Args:
        delay: seconds that a window takes, for tests that interrupt.
        sign: a file that appears when the first window is there.
    """

    def __init__(self, *, delay: float = 0.0, sign: str | None = None) -> None:
        super().__init__(dict(type='VADDataPreprocessor'))
        self.gain = nn.Parameter(torch.ones(()))
        self.delay = delay
        self.sign = sign
        self.seen: list[dict] = []

    def forward(self, inputs, data_samples, mode='tensor'):
        assert mode == 'predict'
        if self.sign:
            Path(self.sign).touch()
        time.sleep(self.delay)
        for clip, sample in zip(inputs, data_samples, strict=True):
            self.seen = [*self.seen[-9:], {**sample.metainfo, 'shape': tuple(clip.shape)}]
            red, green, blue = clip.unbind(1)
            masks = (red >= REDNESS) & (green < 256 - REDNESS) & (blue < 256 - REDNESS)  # (T, H, W)
            sample.pred_masks = masks.float()
            sample.pred_frame_scores = (self.gain * masks.float().mean((1, 2))).clamp(0, 1)
        return data_samples
