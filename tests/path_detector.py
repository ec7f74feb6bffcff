"""A detector with the parts of LAVIDA whose score goes one known way: through `<SEG>`, the words, or the order."""

import os
from dataclasses import dataclass

import torch
from mmengine.model import BaseModel
from torch import nn

from lavida_mm.registry import MODELS
from tests.fake_detector import REDNESS

__all__ = ['TRAP', 'PathDetector', 'SegOutput']

TRAP = 'PATH_DETECTOR_TRAP'  # set in the environment, the detector refuses to work


@dataclass
class SegOutput:
    """What the reader hands on: states (B, T), and something that is no state."""

    seg_states: torch.Tensor
    loss: float = 3.0


class RedReader(nn.Module):
    """The state at ``<SEG>`` is the share of red pixels of each frame."""

    def forward(self, clips):
        red = [(clip[:, 0] >= REDNESS) & (clip[:, 1:] < 256 - REDNESS).all(dim=1) for clip in clips]
        return SegOutput(torch.stack([mask.float().mean((1, 2)) for mask in red]))


class WordFeatures(nn.Module):
    """Each word has the feature 1 where it is a colour, else 0.1."""

    def forward(self, words):
        return torch.tensor([[1.0 if word == 'red' else 0.1] for word in words])


@MODELS.register_module()
class PathDetector(BaseModel):
    """Scores a frame by what ``reads`` names.

    Args:
        reads: 'seg', the state; 'words', the words' features; 'order', whether a frame is brighter than the one before.
    """

    def __init__(self, *, reads: str) -> None:
        super().__init__(dict(type='VADDataPreprocessor'))
        self.mllm, self.text_encoder = RedReader(), WordFeatures()
        self.gain = nn.Parameter(torch.ones(()))
        self.reads = reads

    def forward(self, inputs, data_samples, mode='tensor'):
        assert mode == 'predict'
        if os.environ.get(TRAP):
            raise RuntimeError('the trap is set')
        states = self.mllm(inputs).seg_states  # (B, T)
        for clip, sample, state in zip(inputs, data_samples, states, strict=True):
            features = self.text_encoder(sample.categories)
            light = clip.float().mean((1, 2, 3))  # (T,)
            if self.reads == 'seg':
                scores = state
            elif self.reads == 'words':
                scores = features.max() * (0.1 + RedReader()([clip]).seg_states[0])
            else:
                rises = (light.diff() > 2).float()  # (T - 1,)
                scores = torch.cat([rises[:1], rises])
            sample.pred_frame_scores = (self.gain * scores).clamp(0, 1)
        return data_samples
