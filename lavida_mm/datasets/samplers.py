"""Which items a rank gets, and in which order: in training by share, in tests by video."""

from collections.abc import Iterator, Sequence

from mmengine.dataset import ConcatDataset
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from lavida_mm.datasets.draw import Draw, check_shares, mixture_stream
from lavida_mm.datasets.video_anomaly_dataset import VideoAnomalyDataset
from lavida_mm.registry import DATA_SAMPLERS

__all__ = ['VideoSampler', 'WeightedSourceSampler', 'assign_videos']


@DATA_SAMPLERS.register_module()
class WeightedSourceSampler(Sampler):
    """Endless sampler over a mixture of sources, each with its share.

    All ranks draw the same stream and take turns, so that no item of one pass goes to two ranks. What it gives is a
    ``Draw``: the item and the seed with which its sample is made, whichever worker or rank makes it.

    Args:
        dataset: ``SourceMixture``.
        shares: share of each source, in sum 1; None takes the mixture's own.
        seed: of the stream; None draws one and shares it between ranks.

    Raises:
        ValueError: the dataset is no mixture, or the shares break a rule.
    """

    def __init__(self, *, dataset: ConcatDataset, shares: Sequence[float] | None = None, seed: int | None = None):
        shares = getattr(dataset, 'shares', None) if shares is None else shares
        if shares is None or not hasattr(dataset, 'datasets'):
            raise ValueError(f'dataset must be a SourceMixture, got {type(dataset).__name__}')
        self.rank, self.world_size = get_dist_info()
        self.sizes = [len(source) for source in dataset.datasets]
        self.shares = list(shares)
        check_shares(self.shares, self.sizes)
        self.seed = sync_random_seed() if seed is None else seed
        self.skipped = 0

    def skip(self, number: int) -> None:
        """Leave out the first draws of this rank, those of the part of a training that is done; nothing is loaded.

        Args:
            number: of draws; takes effect when iteration begins anew.
        """
        self.skipped = number

    def __iter__(self) -> Iterator[Draw]:
        start = self.rank + self.skipped * self.world_size
        return mixture_stream(self.sizes, self.shares, self.seed, start=start, step=self.world_size)

    def __len__(self) -> int:
        """Items of all sources; the stream itself has no end."""
        return sum(self.sizes)

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: the stream goes on and does not begin again with an epoch."""


def assign_videos(num_windows: Sequence[int], world_size: int) -> list[list[int]]:
    """Whole videos for each rank: the longest first, each to the rank that has the least so far.

    Args:
        num_windows: windows of each video.
        world_size: number of ranks.

    Returns:
        ascending video numbers of each rank.
    """
    loads = [0] * world_size
    videos: list[list[int]] = [[] for _ in range(world_size)]
    for video in sorted(range(len(num_windows)), key=lambda video: (-num_windows[video], video)):
        rank = loads.index(min(loads))
        loads[rank] += num_windows[video]
        videos[rank].append(video)
    return [sorted(each) for each in videos]


@DATA_SAMPLERS.register_module()
class VideoSampler(Sampler):
    """Gives each rank whole videos, window after window; every window goes to one rank, once.

    Nothing is padded and nothing doubled, so that figures do not depend on the number of ranks. Ranks can get
    different numbers of windows.

    Args:
        dataset: ``VideoAnomalyDataset``.
        seed: not used; runners hand it to every sampler.
    """

    def __init__(self, *, dataset: VideoAnomalyDataset, seed: int | None = None):
        rank, world_size = get_dist_info()
        starts = dataset.window_starts
        own = assign_videos(dataset.num_windows, world_size)[rank]
        self.indices = [starts[video] + place for video in own for place in range(dataset.num_windows[video])]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
