"""Features of frames that overlapping windows share, computed once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch.nn import functional as F

from lavida_mm.models.mask_heads.frame_features import FrameFeatures
from lavida_mm.structures import VADDataSample

__all__ = ['FeatureCache', 'digest_frames']

WORD = 8  # bytes


def digest_frames(frames: Tensor) -> list[tuple[int, int]]:
    """Two sums over the bytes of each frame, one of them weighted by place.

    They tell frames of two videos apart that bear the same name and number.

    Args:
        frames: (T, 3, H, W), of any type.
    """
    rows = frames.flatten(1).contiguous().view(torch.uint8)  # (T, bytes)
    rows = F.pad(rows, (0, -rows.shape[1] % WORD)).view(torch.int64)  # (T, words)
    weights = 2 * torch.arange(rows.shape[1], device=rows.device) + 1
    sums = torch.stack([rows.sum(dim=1), (rows * weights).sum(dim=1)], dim=1)  # modulo 2**64
    return [(plain, weighted) for plain, weighted in sums.tolist()]


class FeatureCache:
    """The features of the frames that were used last; the one unused for longest is dropped first.

    Args:
        capacity: number of frames kept; 0 for none.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 0:
            raise ValueError(f'feature_cache must be at least 0 frames, got {capacity}')
        self.capacity = capacity
        self._frames: OrderedDict[Hashable, FrameFeatures] = OrderedDict()
        self._video: str | None = None
        self._hits = self._asked = 0

    def __len__(self) -> int:
        return len(self._frames)

    def encode(
        self,
        encode: Callable[[Sequence[Tensor]], FrameFeatures],
        clips: Sequence[Tensor],
        data_samples: Sequence[VADDataSample] | None,
    ) -> FrameFeatures:
        """Features of all frames, each encoded by itself unless it is kept.

        Args:
            encode: makes the features.
            clips: (T_i, 3, H_i, W_i) each.
            data_samples: one per clip, with meta ``video_id``, ``frame_inds`` and ``source``; None: all are encoded.
        """
        parts: list[FrameFeatures] = []
        for number, clip in enumerate(clips):
            frames = [clip[frame : frame + 1] for frame in range(len(clip))]
            if data_samples is None or not self.capacity or clip.is_meta:
                parts += [encode([frame]) for frame in frames]
                continue
            self._enter(data_samples[number])
            for key, frame in zip(self._keys(clip, data_samples[number]), frames, strict=True):
                parts.append(self._get(key) or self._put(key, encode([frame])))
            self._leave(data_samples[number])
        return FrameFeatures.join(parts, [len(clip) for clip in clips])

    def _enter(self, sample: VADDataSample) -> None:
        """Where another video begins, log the reuse in the last one."""
        video = str(sample.get('video_id', '?'))
        if video != self._video:
            self.report()
            self._video = video

    def _leave(self, sample: VADDataSample) -> None:
        """Where a video ends, log the reuse in it."""
        if 'num_frames' in sample and int(sample.frame_inds[-1]) + 1 >= sample.num_frames:
            self.report()

    def _keys(self, clip: Tensor, sample: VADDataSample) -> list[Hashable]:
        """What each frame of a clip is known by: its name and its content, and the precision of its features."""
        common = (self._video, sample.get('source', None), tuple(clip.shape[1:]), torch.is_autocast_enabled('cuda'))
        numbers = sample.get('frame_inds', range(len(clip)))
        return [
            (*common, torch.is_autocast_enabled('cpu'), int(number), digest)
            for number, digest in zip(numbers, digest_frames(clip), strict=True)
        ]

    def _get(self, key: Hashable) -> FrameFeatures | None:
        self._asked += 1
        if key not in self._frames:
            return None
        self._hits += 1
        self._frames.move_to_end(key)
        return self._frames[key]

    def _put(self, key: Hashable, features: FrameFeatures) -> FrameFeatures:
        self._frames[key] = features
        while len(self._frames) > self.capacity:
            self._frames.popitem(last=False)
        return features

    def report(self) -> None:
        """Log which share of the frames asked for since the last report was there, if any."""
        if self._hits:
            share = self._hits / self._asked
            print_log(
                f'{self._video}: features of {self._hits} of {self._asked} frames reused ({share:.0%})',
                logger='current',
            )
        self._hits = self._asked = 0

    def clear(self) -> None:
        """Forget all frames."""
        self.report()
        self._frames.clear()
