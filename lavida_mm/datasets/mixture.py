"""A mixture of sources, each with its share of the samples."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from mmengine.dataset import BaseDataset, ConcatDataset

from lavida_mm.registry import DATASETS

__all__ = ['SourceMixture', 'check_shares', 'mixture_stream']


def check_shares(shares: Sequence[float], sizes: Sequence[int]) -> np.ndarray:
    """Shares as probabilities, float64 (number of sources,).

    Raises:
        ValueError: their number is not that of the sources, one is negative, all are 0, or an empty source has one.
    """
    if len(shares) != len(sizes):
        raise ValueError(f'shares must be one per source, got {len(shares)} for {len(sizes)} sources')
    figures = np.asarray(shares, dtype=np.float64)
    if not np.isfinite(figures).all() or (figures < 0).any() or not figures.sum():
        raise ValueError(f'shares must be 0 or more and not all 0, got {list(shares)}')
    for place, (share, size) in enumerate(zip(figures, sizes, strict=True)):
        if share and not size:
            raise ValueError(f'shares[{place}] must be 0 for an empty source, got {share}')
    return figures / figures.sum()


def mixture_stream(sizes: Sequence[int], shares: Sequence[float], seed: int) -> Iterator[int]:
    """Endless indices into the concatenated sources.

    Each step draws a source by its share and takes that source's next item; a source is shuffled anew whenever all
    its items were taken.

    Args:
        sizes: number of items of each source.
        shares: share of each source, to any sum.
        seed: equal seeds give equal streams.
    """
    chances = check_shares(shares, sizes)
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    queues: list[list[int]] = [[] for _ in sizes]
    while True:
        source = int(rng.choice(len(sizes), p=chances))
        if not queues[source]:
            queues[source] = rng.permutation(sizes[source]).tolist()
        yield int(starts[source]) + queues[source].pop()


@DATASETS.register_module()
class SourceMixture(ConcatDataset):
    """Sources by name, so that a config adds, changes or drops one without writing the others again.

    ``WeightedSourceSampler`` takes its shares from here. A source whose share is 0 is not built, so its files need
    not be there.

    Args:
        sources: name -> config of the source; the name becomes the source's, where it has none of its own.
        shares: name -> share of the samples, to any sum (docs/method.md, section 1, lists the paper's).
        shared_steps: name -> transform that follows each source's own pipeline, in this order: the sampler and the
            packing, which all sources share, so that a config swaps the sampler in one place.

    Raises:
        ValueError: a source has no share, a share no source, or all are 0.
    """

    def __init__(
        self,
        *,
        sources: Mapping[str, dict | BaseDataset],
        shares: Mapping[str, float],
        shared_steps: Mapping[str, dict] | None = None,
    ):
        if set(sources) != set(shares):
            odd = sorted(set(sources) ^ set(shares))
            raise ValueError(f'shares must name each source and nothing else, got a difference in {odd}')
        check_shares(list(shares.values()), [1] * len(shares))
        self.names = [name for name in sources if shares[name] > 0]
        self.shares = [float(shares[name]) for name in self.names]
        steps = list((shared_steps or {}).values())
        super().__init__([_build(name, sources[name], steps) for name in self.names])


def _build(name: str, source: dict | BaseDataset, steps: Sequence[dict]) -> BaseDataset:
    if not isinstance(source, dict):
        return source
    return DATASETS.build({'name': name, **source, 'pipeline': [*source.get('pipeline', ()), *steps]})
