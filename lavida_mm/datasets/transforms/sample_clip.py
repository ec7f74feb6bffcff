"""Draws which frames of a video make the clip."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from lavida_mm.registry import TRANSFORMS

__all__ = ['SampleClip']


@TRANSFORMS.register_module()
class SampleClip(BaseTransform):
    """Draw an interval, then where the clip begins. A video shorter than the clip repeats its last frame.

    Required keys: frame_ids, the numbers of the frames that may be drawn, ascending.

    Added keys: frame_inds, int64 (T,), ascending.

    Args:
        num_frames: T.
        intervals: steps between the frames of a clip, in frames that may be drawn; each is as likely as the others
            among those that fit into the video, and the smallest is taken where none fits.
    """

    def __init__(self, *, num_frames: int, intervals: Sequence[int] = (1,)):
        if num_frames < 1:
            raise ValueError(f'num_frames must be at least 1, got {num_frames}')
        if not intervals or min(intervals) < 1:
            raise ValueError(f'intervals must hold steps of at least 1, got {intervals!r}')
        self.num_frames = num_frames
        self.intervals = tuple(intervals)

    def transform(self, results: dict) -> dict:
        rng = np.random.default_rng(np.random.randint(2**31))
        positions = self._draw(len(results['frame_ids']), rng)
        results['frame_inds'] = np.asarray(results['frame_ids'], dtype=np.int64)[positions]
        return results

    def _draw(self, available: int, rng: np.random.Generator) -> np.ndarray:
        """Positions of the clip among the frames that may be drawn, (T,)."""
        spans = {interval: (self.num_frames - 1) * interval for interval in self.intervals}
        fitting = [interval for interval, span in spans.items() if span < available]
        interval = int(rng.choice(fitting)) if fitting else min(self.intervals)
        start = int(rng.integers(max(available - spans[interval], 1)))
        return np.minimum(start + interval * np.arange(self.num_frames), available - 1)
