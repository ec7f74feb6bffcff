from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from lavida_mm.datasets.distractors import draw_absent, draw_nearest


@settings(deadline=None)
@given(data=st.data(), size=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_absent_places_once_each(data, size, seed):
    present = np.array(sorted(data.draw(st.sets(st.integers(0, size - 1), max_size=size))), dtype=np.int64)
    number = data.draw(st.integers(0, size - len(present)))
    places = draw_absent(size, present, number, np.random.default_rng(seed))
    assert len(set(places.tolist())) == len(places) == number
    assert not set(places.tolist()) & set(present.tolist()) and set(places.tolist()) <= set(range(size))


@pytest.mark.parametrize('present', [[], [0], [2, 3], [0, 1, 5], [1, 6]])
def test_every_choice_of_absent_words_is_as_likely(present):
    """Against all ordered pairs of absent places, listed by hand."""
    rng = np.random.default_rng(0)
    pairs = list(permutations([place for place in range(7) if place not in present], 2))
    counts = Counter(tuple(draw_absent(7, np.array(present, dtype=np.int64), 2, rng).tolist()) for _ in range(8000))
    assert set(counts) == set(pairs)
    assert chisquare([counts[pair] for pair in pairs]).pvalue > 0.001


def test_all_absent_words_of_a_large_vocabulary_can_come():
    rng, present = np.random.default_rng(1), np.arange(5, 200_000, 7)
    places = np.concatenate([draw_absent(200_000, present, 29, rng) for _ in range(400)])
    assert not np.isin(places, present).any()
    assert chisquare(np.histogram(places, bins=10, range=(0, 200_000))[0]).pvalue > 0.001


def test_nearest_words_are_drawn_alike():
    similarity = np.array([0.9, 0.1, 0.8, 0.7, 0.6, 0.5], dtype=np.float32)
    rng = np.random.default_rng(0)
    counts = Counter(
        place for _ in range(3000) for place in draw_nearest(similarity.copy(), np.array([0]), 2, 3, rng).tolist()
    )
    assert set(counts) == {2, 3, 4} and chisquare(list(counts.values())).pvalue > 0.001


@pytest.mark.parametrize(('number', 'pool', 'expected'), [(4, 2, {2, 3, 4, 5}), (5, 99, {1, 2, 3, 4, 5})])
def test_pool_is_widened_for_the_number_and_ends_with_the_words(number, pool, expected):
    similarity = np.array([0.9, 0.1, 0.8, 0.7, 0.6, 0.5], dtype=np.float32)
    places = draw_nearest(similarity, np.array([0]), number, pool, np.random.default_rng(0))
    assert set(places.tolist()) == expected
