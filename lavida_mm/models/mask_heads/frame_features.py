"""What a segmenter sees in the frames of a batch of clips."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ['FrameFeatures']


@dataclass
class FrameFeatures:
    """Features of F frames of one or more clips, clip after clip.

    Attributes:
        deep: the deepest scale, which the projector reads too, (F, C, h, w).
        fine: maps of higher resolution for the mask decoder, the finest first, (F, C_i, h_i, w_i); SAM has none.
        lengths: number of frames of each clip; where left out, all frames are of one clip.
    """

    deep: Tensor
    fine: tuple[Tensor, ...] = ()
    lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.lengths = self.lengths or (len(self.deep),)
        assert sum(self.lengths) == len(self.deep), f'{self.lengths} of {len(self.deep)} frames'

    def __len__(self) -> int:
        """Number of frames F."""
        return len(self.deep)

    @property
    def device(self) -> torch.device:
        """Where the features are."""
        return self.deep.device

    def select(self, frames: Sequence[int]) -> 'FrameFeatures':
        """Some of the frames, in this order, each as a clip of its own."""
        index = list(frames)
        return FrameFeatures(self.deep[index], tuple(scale[index] for scale in self.fine), (1,) * len(index))

    @classmethod
    def join(cls, parts: 'Sequence[FrameFeatures]', lengths: Sequence[int]) -> 'FrameFeatures':
        """All frames of the parts, one part after the other, as clips of the given lengths."""
        deep = torch.cat([part.deep for part in parts])
        fine = tuple(torch.cat(scales) for scales in zip(*(part.fine for part in parts), strict=True))
        return cls(deep, fine, tuple(lengths))
