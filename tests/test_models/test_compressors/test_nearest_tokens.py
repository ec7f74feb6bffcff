"""The nearest tokens against float64 differences of all pairs, on inputs where float32 products tell nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavida_mm.models.compressors import nearest_tokens as module
from lavida_mm.models.compressors import pairwise_products
from lavida_mm.models.compressors.nearest_tokens import NearestTokens, first_possible, rank_distances
from lavida_mm.models.compressors.pairwise_products import StoredProducts
from tests.test_models.test_compressors.oracle import KINDS, make_tokens

SMALL = dict(SPARE_CANDIDATES=2, CROWD_ROWS=5, CROWD_COLUMNS=3, PAIR_ELEMENTS=20)
SMALL_PRODUCTS = dict(STRIP=16, BLOCK=5, CHUNK_ELEMENTS=150, WIDE_CHUNK_ELEMENTS=90)


def brute_force(tokens: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Squared distances (B, M), infinite between a token and itself."""
    exact = tokens.double()
    apart = (exact[rows][:, None] - exact[columns][None]).square().sum(dim=2)
    return apart.masked_fill(rows[:, None] == columns[None], np.inf)


def check_nearest(tokens: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, count: int) -> None:
    apart = brute_force(tokens, rows, columns)
    expected = apart.sort(dim=1, stable=True)
    for tolerance in (0.0, 2.0**-14, np.inf):
        found, distances = NearestTokens(tokens).nearest(rows, columns, count, tolerance)
        places = torch.searchsorted(columns, found)
        wanted = apart.gather(1, places)
        # The sets are the nearest ones whatever the tolerance; equal distances may be rounded differently.
        torch.testing.assert_close(wanted.sort(dim=1).values, expected.values[:, :count], rtol=1e-12, atol=0)
        if tolerance < 1:
            torch.testing.assert_close(distances, wanted, rtol=max(1e-12, tolerance), atol=0)
        if tolerance == 0:
            clear = (expected.values.diff(dim=1) > 1e-10 * expected.values[:, :-1]).all(dim=1)
            assert torch.equal(columns[expected.indices[clear, :count]], found[clear])


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 10_000),
    num_tokens=st.integers(2, 50),
    channels=st.integers(1, 20),
    count=st.integers(1, 9),
    stored=st.booleans(),
    small=st.booleans(),
)
def test_nearest_are_those_of_all_pairs(kind, seed, num_tokens, channels, count, stored, small):
    rng = np.random.default_rng(seed)
    tokens = torch.from_numpy(np.unique(make_tokens(kind, rng, num_tokens, channels), axis=0))
    every = torch.arange(len(tokens))
    is_column = torch.from_numpy(rng.random(len(tokens)) < 0.5)
    with pytest.MonkeyPatch.context() as patch:
        if small:
            for name, value in SMALL.items():
                patch.setattr(module, name, value)
            for name, value in SMALL_PRODUCTS.items():
                patch.setattr(pairwise_products, name, value)
        patch.setattr(pairwise_products, 'MAX_STORED_TOKENS', 8192 if stored else 0)
        if len(tokens) > 1:
            check_nearest(tokens, every, every, min(count, len(tokens) - 1))
        if is_column.any() and not is_column.all():
            columns, rows = every[is_column], every[~is_column]
            check_nearest(tokens, rows, columns, min(count, len(columns)))


def test_equally_near_tokens_go_to_the_lowest_index():
    tokens = torch.tensor([[0.0, 0], [3, 4], [-5, 0], [4, 3], [0, 5], [5, 0], [9, 9], [-4, -3]])
    found, distances = NearestTokens(tokens).nearest(torch.tensor([0]), torch.arange(8), 4)
    assert found.tolist() == [[1, 2, 3, 4]] and distances.tolist() == [[25] * 4]


def test_more_equals_than_candidates_go_to_the_lowest_index():
    tokens = torch.eye(60)
    found, _ = NearestTokens(tokens).nearest(torch.arange(60), torch.arange(60), 3)
    assert found[0].tolist() == [1, 2, 3] and found[1].tolist() == [0, 2, 3] and found[59].tolist() == [0, 1, 2]


def test_tight_groups_seen_from_afar_are_told_apart():
    """Settled around one token for all, groups of a millionth of their distance were guessed by index."""
    rng = np.random.default_rng(0)
    groups = 3 * rng.normal(size=(4, 16))
    tokens = (groups[rng.integers(0, 4, 80)] + 1e-6 * rng.normal(size=(80, 16))).astype(np.float32)
    every = torch.arange(80)
    check_nearest(torch.from_numpy(tokens), every, every, 9)


def test_products_of_less_than_float32_change_nothing(monkeypatch):
    """As with TF32 or bfloat16 products, which a user may switch on for speed."""
    tokens = torch.from_numpy(make_tokens('clustered', np.random.default_rng(1), 60, 24))
    every = torch.arange(60)
    exact = NearestTokens(tokens)
    precise = exact.nearest(every, every, 5)
    original = StoredProducts.__init__

    def multiply_roughly(self, tokens):
        original(self, tokens)
        self.strips = [strip.bfloat16().float() for strip in self.strips]
        self.known = self.known.bfloat16().float()

    monkeypatch.setattr(StoredProducts, '__init__', multiply_roughly)
    rough = NearestTokens(tokens)
    assert rough.errors[0] > 10 * exact.errors[0]
    for one, other in zip(precise, rough.nearest(every, every, 5), strict=True):
        assert torch.equal(one, other)


def test_rank_keeps_the_order_of_what_float64_does_not_tell():
    distances = torch.tensor([[2.0, 1 + 2.0**-50, 1, np.inf, 0]], dtype=torch.float64)
    assert rank_distances(distances).tolist() == [[4, 1, 2, 0, 3]]


def test_certain_places_come_before_possible_ones():
    certain = torch.tensor([[False, False, False, True, False]])
    possible = torch.tensor([[False, True, True, True, True]])
    assert sorted(first_possible(certain, possible, 3)[0].tolist()) == [1, 2, 3]
