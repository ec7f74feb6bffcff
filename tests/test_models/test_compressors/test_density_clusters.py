"""Densities against scikit-learn and the oracle, copies of tokens, and the choice of the centres."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import LocalOutlierFactor

from lavida_mm.models.compressors import density_clusters as module
from lavida_mm.models.compressors.density_clusters import densest_tokens, distinct_tokens, local_densities
from lavida_mm.models.compressors.nearest_tokens import NearestTokens
from tests.test_models.test_compressors import oracle


def find_densities(tokens: torch.Tensor, k: int) -> np.ndarray:
    """Densities of all tokens from exact distances."""
    firsts, kinds = distinct_tokens(tokens)
    every = torch.arange(len(firsts))
    near, distances = NearestTokens(tokens[firsts]).nearest(every, every, min(k, len(firsts) - 1))
    if len(firsts) < len(tokens):
        near, distances = module.with_copies(near, distances, kinds, k)
    return local_densities(near, distances, tokens.shape[1])[kinds].numpy()


@pytest.mark.parametrize('kind', ['random', 'clustered', 'tight', 'far'])
def test_densities_are_those_of_scikit_learn(kind):
    tokens = oracle.make_tokens(kind, np.random.default_rng(2), 60, 8)
    reference = LocalOutlierFactor(n_neighbors=8, algorithm='kd_tree')  # by differences, as 'brute' does not
    reference.fit(tokens.astype(np.float64) / math.sqrt(8))
    ours = find_densities(torch.from_numpy(tokens), 8)
    ours = 1 / (1 / ours + 7 / 8 * 1e-10)  # it adds 1e-10 to the mean, not to the sum
    np.testing.assert_allclose(ours, reference._lrd, rtol=1e-8)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(['copies', 'lattice', 'random', 'orthogonal']),
    seed=st.integers(0, 10_000),
    num_tokens=st.integers(3, 40),
    channels=st.integers(1, 6),
    k=st.integers(1, 12),
)
def test_densities_of_copies_and_ties_are_those_of_the_oracle(kind, seed, num_tokens, channels, k):
    tokens = oracle.make_tokens(kind, np.random.default_rng(seed), num_tokens, channels)
    k = min(k, num_tokens - 1)
    if len(np.unique(tokens, axis=0)) > 1:
        found = find_densities(torch.from_numpy(tokens), k)
        np.testing.assert_allclose(found, oracle.densities(tokens.astype(np.float64), k), rtol=1e-10)


def test_copies_in_parts_are_the_same(monkeypatch):
    tokens = torch.from_numpy(oracle.make_tokens('copies', np.random.default_rng(3), 40, 6))
    whole = find_densities(tokens, 5)
    monkeypatch.setattr(module, 'CHUNK_ELEMENTS', 8)
    np.testing.assert_array_equal(find_densities(tokens, 5), whole)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_equal_tokens_are_found(dtype):
    tokens = torch.tensor([[1.0, 2], [0, 0], [1, 2], [-0.0, 0], [2, 1], [1, 2]], dtype=dtype)
    firsts, kinds = distinct_tokens(tokens)
    assert firsts.tolist() == [0, 1, 4] and kinds.tolist() == [0, 1, 0, 1, 2, 0]


def test_tokens_with_the_same_code_by_accident_stay_distinct(monkeypatch):
    monkeypatch.setattr(torch, 'randint', lambda *args, **kwargs: torch.zeros(2, dtype=torch.int64))
    firsts, kinds = distinct_tokens(torch.tensor([[1.0, 2], [3, 4], [3, 4], [5, 6]]))
    assert firsts.tolist() == [0, 1, 3] and kinds.tolist() == [0, 1, 1, 2]


def test_densest_tokens_are_sorted_and_ties_go_to_the_lowest_index():
    assert densest_tokens(torch.tensor([1.0, 5, 3, 3, 4, 3]), 4).tolist() == [1, 2, 3, 4]
    nearly = 3 * (1 - 1e-15)
    assert densest_tokens(torch.tensor([1.0, 5, nearly, 3, 3.5], dtype=torch.float64), 3).tolist() == [1, 2, 4]


def test_rough_distances_choose_the_same_centres(monkeypatch):
    """Distances may be rough only where that changes no centre, even if they are much rougher than they are."""
    tokens = torch.from_numpy(oracle.make_tokens('random', np.random.default_rng(4), 200, 64))
    centres = module.cluster_by_density(tokens, 100, 8)[0]
    lrd = oracle.densities(tokens.double().numpy(), 8)
    assert centres.tolist() == oracle.choose_centres(lrd, 100)
    exact, roughened = NearestTokens.nearest, []

    def shake(self, rows, columns, count, tolerance=0.0):
        found, distances = exact(self, rows, columns, count, tolerance)
        if 0 < tolerance < 1:
            generator = torch.Generator().manual_seed(0)
            errors = 2 * torch.rand(distances.shape, generator=generator, dtype=torch.float64) - 1
            distances = distances * (1 + tolerance * errors)
            roughened.append(tolerance)
        return found, distances

    monkeypatch.setattr(NearestTokens, 'nearest', shake)
    monkeypatch.setattr(module, 'ROUGH', 0.05)
    assert torch.equal(module.cluster_by_density(tokens, 100, 8)[0], centres) and roughened == [0.05]
