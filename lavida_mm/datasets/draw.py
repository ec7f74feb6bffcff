"""What a mixture draws, in which order, and with which seed each sample is made."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch

__all__ = ['Draw', 'check_shares', 'derive_seed', 'mixture_stream', 'seeded']

SHARES_TOLERANCE = 1e-6  # how far the sum of shares may be from 1
BLOCK = 1024  # sources are drawn in blocks, which takes a tenth of the time


class Draw(NamedTuple):
    """One sample to make.

    Attributes:
        item: its place in the concatenated sources.
        seed: of all that is drawn while the sample is made. Whoever makes it, it comes out the same.
    """

    item: int
    seed: int


def derive_seed(*parts: int) -> int:
    """A seed of 32 bits that depends on every part: 0 or more each, in their order."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators of Python, NumPy and torch (CPU) for the block, and put them back afterwards.

    Transforms of others draw from these. Generators that a transform keeps for itself are not reached.

    Args:
        seed: 0 to 2**32 - 1.
    """
    python, numpy, torch_cpu = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach for the GPUs as well
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.default_generator.set_state(torch_cpu)


def check_shares(shares: Sequence[float], sizes: Sequence[int]) -> np.ndarray:
    """Shares as probabilities, float64 (number of sources,).

    Raises:
        ValueError: their number is not that of the sources, one is negative, they do not sum to 1, or an empty source
            has one.
    """
    if len(shares) != len(sizes):
        raise ValueError(f'shares must be one per source, got {len(shares)} for {len(sizes)} sources')
    figures = np.asarray(shares, dtype=np.float64)
    if not np.isfinite(figures).all() or (figures < 0).any():
        raise ValueError(f'shares must be 0 or more, got {list(shares)}')
    if abs(figures.sum() - 1) > SHARES_TOLERANCE:
        raise ValueError(f'shares must sum to 1, got {list(shares)}, which sum to {figures.sum():.8g}')
    for place, (share, size) in enumerate(zip(figures, sizes, strict=True)):
        if share and not size:
            raise ValueError(f'shares[{place}] must be 0 for an empty source, got {share}')
    return figures / figures.sum()


def mixture_stream(
    sizes: Sequence[int], shares: Sequence[float], seed: int, start: int = 0, step: int = 1
) -> Iterator[Draw]:
    """Endless draws from the concatenated sources.

    Each step draws a source by its share and takes that source's next item; a source is shuffled anew whenever all
    its items were taken, which begins its next pass. The seed of a draw depends on the stream's seed, the pass of the
    source and the item, and on nothing else.

    Args:
        sizes: number of items of each source.
        shares: share of each source; they sum to 1.
        seed: equal seeds give equal streams.
        start: how many draws to leave out at first; they cost next to nothing.
        step: take every step-th draw from there.
    """
    chances = check_shares(shares, sizes)
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    orders = [np.empty(0, dtype=np.int64) for _ in sizes]
    taken = [0] * len(sizes)
    passes = [-1] * len(sizes)
    place = 0
    while True:
        for source in rng.choice(len(sizes), size=BLOCK, p=chances).tolist():
            if taken[source] == len(orders[source]):
                orders[source] = np.random.default_rng(derive_seed(seed, source, passes[source] + 1)).permutation(
                    sizes[source]
                )
                taken[source] = 0
                passes[source] += 1
            if place >= start and (place - start) % step == 0:
                item = int(starts[source] + orders[source][taken[source]])
                yield Draw(item, derive_seed(seed, passes[source], item))
            taken[source] += 1
            place += 1
