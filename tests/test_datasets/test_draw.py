import random
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from lavida_mm.datasets.draw import BLOCK, check_shares, derive_seed, mixture_stream, seeded

SIZES, SHARES = [4, 3], [0.5, 0.5]


def states():
    return random.getstate(), np.random.get_state()[1:3], torch.get_rng_state()


def draw_each():
    return random.random(), np.random.random(), float(torch.rand(()))


def test_generators_are_as_they_were_after_a_seeded_block():
    before = states()
    with seeded(7):
        first = draw_each()
    with pytest.raises(ZeroDivisionError), seeded(8):
        draw_each()[0] / 0
    after = states()
    assert before[0] == after[0] and torch.equal(before[2], after[2])
    assert np.array_equal(before[1][0], after[1][0]) and before[1][1] == after[1][1]
    with seeded(7):
        assert draw_each() == first
    with seeded(8):
        assert not set(first) & set(draw_each())


def test_every_item_of_a_source_comes_before_any_twice_with_a_seed_of_its_pass():
    stream = list(islice(mixture_stream(SIZES, SHARES, seed=5), 2 * BLOCK))
    for low, high in ((0, 4), (4, 7)):
        own = [draw for draw in stream if low <= draw.item < high]
        size = high - low
        for number, start in enumerate(range(0, len(own) - size, size)):
            turn = own[start : start + size]
            assert sorted(draw.item for draw in turn) == list(range(low, high))
            assert all(draw.seed == derive_seed(5, number, draw.item) for draw in turn)
    assert len({draw.seed for draw in stream}) > 2 * BLOCK - 3  # 32 bits: hardly two alike


def test_sampled_shares_match_the_mixture():
    draws = islice(mixture_stream([10, 1000, 7, 5], [0.5, 0.3, 0.2, 0], seed=0), 20_000)
    counts = Counter(np.searchsorted([10, 1010, 1017], [draw.item for draw in draws], side='right').tolist())
    assert counts[3] == 0
    assert chisquare([counts[0], counts[1], counts[2]], [10_000, 6_000, 4_000]).pvalue > 0.001


@settings(max_examples=40, deadline=None)
@given(start=st.integers(0, BLOCK + 50), step=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_a_part_of_the_stream_is_what_the_whole_has_there(start, step, seed):
    whole = list(islice(mixture_stream([9, 5], [0.25, 0.75], seed), start + 10 * step))
    assert list(islice(mixture_stream([9, 5], [0.25, 0.75], seed, start=start, step=step), 10)) == whole[start::step]


@pytest.mark.parametrize(
    ('sizes', 'shares', 'message'),
    [
        ([3, 3], [1], 'shares must be one per source, got 1 for 2 sources'),
        ([3, 3], [2, -1], 'shares must be 0 or more'),
        ([3, 3], [0, 0], r'shares must sum to 1, got \[0, 0\], which sum to 0'),
        ([3, 3], [0.5, 0.4], r'shares must sum to 1, got \[0.5, 0.4\], which sum to 0.9'),
        ([3, 3], [0.5, 0.50001], 'which sum to 1.00001'),
        ([3, 0], [0.5, 0.5], r'shares\[1\] must be 0 for an empty source'),
        ([3], [float('nan')], 'shares must be 0 or more'),
    ],
)
def test_bad_shares(sizes, shares, message):
    with pytest.raises(ValueError, match=message):
        check_shares(shares, sizes)


def test_shares_of_thirds_need_not_be_exact():
    assert check_shares([0.3333333] * 3, [1, 1, 1]).sum() == pytest.approx(1, abs=1e-15)
