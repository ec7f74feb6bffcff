"""Words that a prompt names beside its targets: drawn among those that are absent, without a look at all others."""

import numpy as np

__all__ = ['draw_absent', 'draw_nearest']


def draw_absent(size: int, present: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Places of absent words, uniform over all choices without repetition.

    The draw is one among the absent words' ranks; each rank is then moved up by the present places before it.

    Args:
        size: number of words.
        present: ascending places of the present ones, each once.
        number: of places to draw, at most ``size - len(present)``.
        rng: source of randomness.

    Returns:
        places, int64 (number,), in no order.
    """
    ranks = rng.choice(size - len(present), number, replace=False)  # takes O(number) time, whatever the size
    before = present - np.arange(len(present))  # absent words in front of each present one
    return ranks + np.searchsorted(before, ranks, side='right')


def draw_nearest(
    similarity: np.ndarray, present: np.ndarray, number: int, pool: int, rng: np.random.Generator
) -> np.ndarray:
    """Places of absent words, uniform over the most similar ones.

    Args:
        similarity: of each word, float (V,). Changed: what is present becomes -inf.
        present: places of the present ones.
        number: of places to draw, at most ``V - len(present)``.
        pool: how many of the most similar to draw among, if not ``number`` or all that are absent.
        rng: source of randomness.

    Returns:
        places, int64 (number,), in no order.
    """
    similarity[present] = -np.inf
    among = min(max(pool, number), len(similarity) - len(present))
    nearest = np.sort(np.argpartition(-similarity, among - 1)[:among])
    return rng.choice(nearest, number, replace=False)
