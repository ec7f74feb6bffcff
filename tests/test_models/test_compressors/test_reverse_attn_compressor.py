"""Reverse-attention compression against a slow float64 oracle, scikit-learn's densities and its own invariants."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.neighbors import LocalOutlierFactor

from lavida_mm.models.compressors import ReverseAttnCompressor, reverse_attn_merge
from lavida_mm.models.compressors import reverse_attn_compressor as module
from lavida_mm.registry import MODELS


def oracle_densities(tokens: np.ndarray, k: int) -> np.ndarray:
    """lrd(p) of docs/method.md, token by token."""
    num_tokens, channels = tokens.shape
    distance = lambda p, o: math.sqrt(sum((tokens[p] - tokens[o]) ** 2)) / math.sqrt(channels)  # noqa: E731
    near = []
    for p in range(num_tokens):
        others = sorted((distance(p, o), o) for o in range(num_tokens) if o != p)
        near.append(others[:k])
    kd = [near[o][-1][0] for o in range(num_tokens)]
    return np.array([k / (sum(max(kd[o], d) for d, o in near[p]) + 1e-10) for p in range(num_tokens)])


def oracle_centres(tokens: np.ndarray, keep_ratio: float, k: int) -> list[int]:
    densities = oracle_densities(tokens, k)
    kept = max(1, math.floor(keep_ratio * len(tokens)))
    return sorted(sorted(range(len(tokens)), key=lambda p: (-densities[p], p))[:kept])


def oracle_merge(tokens: np.ndarray, centres: list[int]) -> tuple[np.ndarray, dict[int, list[int]]]:
    """Clusters and merged tokens for given centres; a centre belongs to its own cluster."""
    channels = tokens.shape[1]
    members = {c: [c] for c in centres}
    for p in range(len(tokens)):
        if p not in members:
            members[min(centres, key=lambda c: (np.linalg.norm(tokens[p] - tokens[c]), c))].append(p)
    merged = []
    for c in centres:
        logits = np.array([-(tokens[c] @ tokens[j]) / math.sqrt(channels) for j in members[c]])
        weights = np.exp(logits - logits.max())
        merged.append((weights / weights.sum()) @ tokens[members[c]])
    return np.array(merged), members


def clustered(seed: int, num_tokens: int, channels: int) -> np.ndarray:
    """Tight and loose groups with outliers, as static background and moving things give."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, channels)) * 3
    spread = np.array([0.05, 0.3, 1.0, 2.0])
    group = rng.integers(0, 4, num_tokens)
    return centres[group] + rng.normal(size=(num_tokens, channels)) * spread[group][:, None]


@pytest.mark.parametrize('keep_ratio', [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize('k', [1, 3, 8])
def test_agrees_with_the_oracle(keep_ratio, k):
    tokens = clustered(0, 40, 12).astype(np.float32)
    merged, indices = reverse_attn_merge(torch.from_numpy(tokens), keep_ratio, k)
    exact = tokens.astype(np.float64)
    centres = oracle_centres(exact, keep_ratio, k)
    assert indices.tolist() == centres
    np.testing.assert_allclose(merged.numpy(), oracle_merge(exact, centres)[0], rtol=1e-5, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), num_tokens=st.integers(3, 30), ratio=st.floats(0.05, 1.0), k=st.integers(1, 10))
def test_agrees_with_the_oracle_wherever_the_cut_is_clear(seed, num_tokens, ratio, k):
    tokens = clustered(seed, num_tokens, 6).astype(np.float32)
    exact, used = tokens.astype(np.float64), min(k, num_tokens - 1)
    ranked = np.sort(oracle_densities(exact, used))[::-1]
    kept = max(1, math.floor(ratio * num_tokens))
    assume(kept == num_tokens or ranked[kept - 1] > ranked[kept] * (1 + 1e-4))
    merged, indices = reverse_attn_merge(torch.from_numpy(tokens), ratio, k)
    assert len(indices) == kept
    assert indices.tolist() == sorted(set(indices.tolist()))
    centres = oracle_centres(exact, ratio, used)
    assert indices.tolist() == centres
    squared = ((exact[:, None] - exact[centres]) ** 2).sum(axis=2)  # (L, R)
    nearest = np.sort(squared, axis=1)[:, :2]
    gap = np.diff(nearest, axis=1)[np.setdiff1d(np.arange(num_tokens), centres)]
    assume((gap > 1e-5 * (exact**2).sum(axis=1).max()).all())  # float32 tells the nearest of two centres
    np.testing.assert_allclose(merged.numpy(), oracle_merge(exact, centres)[0], rtol=1e-4, atol=1e-5)


def test_ties_go_to_the_lowest_index():
    # Corners and middles of a grid of whole numbers: many equal distances, all exact in float32.
    tokens = np.array([[x, y] for x in range(5) for y in range(5)], dtype=np.float32)
    for k in (1, 2, 3, 5):
        merged, indices = reverse_attn_merge(torch.from_numpy(tokens), 0.4, k)
        centres = oracle_centres(tokens.astype(np.float64), 0.4, k)
        assert indices.tolist() == centres
        np.testing.assert_allclose(merged.numpy(), oracle_merge(tokens.astype(np.float64), centres)[0], atol=1e-5)


def test_duplicates_are_merged_as_the_oracle_merges_them():
    rng = np.random.default_rng(1)
    tokens = np.repeat(rng.normal(size=(6, 10)) * 3, [12, 1, 12, 2, 1, 4], axis=0).astype(np.float32)
    tokens = tokens[rng.permutation(len(tokens))]
    merged, indices = reverse_attn_merge(torch.from_numpy(tokens), 0.5, 4)
    centres = indices.tolist()
    assert len(centres) == 16
    np.testing.assert_allclose(merged.numpy(), oracle_merge(tokens.astype(np.float64), centres)[0], atol=1e-5)


def test_densities_are_those_of_scikit_learn():
    tokens = clustered(2, 60, 8).astype(np.float32)
    values = torch.from_numpy(tokens)
    near = module.nearest_neighbors(module.pairwise_square_distances(values), 8)
    ours = module.local_densities(values, near).double().numpy()
    reference = LocalOutlierFactor(n_neighbors=8).fit(tokens.astype(np.float64) / math.sqrt(8))
    np.testing.assert_allclose(ours, reference._lrd, rtol=1e-5)


def test_weights_sum_to_one_and_the_least_similar_member_weighs_most():
    tokens = torch.from_numpy(clustered(3, 50, 6)).float()
    distances = module.pairwise_square_distances(tokens)
    centres = torch.tensor([3, 17, 30])
    clusters = module.assign_clusters(distances, tokens.square().sum(1), centres)
    weights = module.reverse_attention_weights(tokens, centres, clusters)
    for number, centre in enumerate(centres):
        members = (clusters == number).nonzero().flatten()
        torch.testing.assert_close(weights[members].sum(), torch.tensor(1.0))
        products = tokens[members] @ tokens[centre]
        assert weights[members].argmax() == products.argmin()


def test_an_outlier_that_belongs_to_no_group_still_colours_its_centre():
    background = torch.randn(20, 16, generator=torch.Generator().manual_seed(0)) * 0.01 + 2
    outlier = -torch.ones(1, 16)
    merged, indices = reverse_attn_merge(torch.cat([background, outlier]), 0.1, 8)
    assert 20 not in indices.tolist()
    assert (merged - outlier).norm(dim=1).min() < 0.05  # reverse attention hands the cluster to what differs


def test_keep_ratio_one_gives_the_tokens_back():
    tokens = torch.randn(9, 4)
    merged, indices = reverse_attn_merge(tokens, 1.0, 3)
    assert torch.equal(merged, tokens) and indices.tolist() == list(range(9))


def test_centres_alone_in_their_clusters_keep_their_tokens():
    tokens = torch.tensor([[0.0, 0], [0.1, 0], [50, 0], [50.1, 0], [0, 9], [0.0, 9.3]])
    merged, indices = reverse_attn_merge(tokens, 0.9, 1)
    assert indices.tolist() == [0, 1, 2, 3, 4]  # 4 and 5 are the sparsest; of the two equals, the first stays
    assert torch.equal(merged[:4], tokens[:4])
    assert 9 < merged[4, 1] < 9.3


@pytest.mark.parametrize('num_tokens', [1, 2, 3])
@pytest.mark.parametrize('keep_ratio', [0.01, 0.5, 1.0])
def test_few_tokens(num_tokens, keep_ratio):
    tokens = torch.randn(num_tokens, 5)
    merged, indices = reverse_attn_merge(tokens, keep_ratio, 8)
    kept = max(1, int(keep_ratio * num_tokens))
    assert merged.shape == (kept, 5) and indices.shape == (kept,)
    assert merged.isfinite().all()


def test_one_token_returns_itself():
    tokens = torch.randn(1, 5)
    merged, indices = reverse_attn_merge(tokens)
    assert torch.equal(merged, tokens) and indices.tolist() == [0]


def test_identical_tokens_stay_what_they_are():
    tokens = torch.full((10, 6), 1.5)
    merged, indices = reverse_attn_merge(tokens, 0.5, 3)
    assert indices.tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(merged, tokens[:5])


def test_gradients_reach_every_token_and_are_those_of_the_merge():
    tokens = torch.from_numpy(clustered(4, 14, 5)).float().requires_grad_()
    merged, indices = reverse_attn_merge(tokens, 0.3, 3)
    merged.square().sum().backward()
    assert (tokens.grad.abs().sum(1) > 0).all()
    # Finite differences of the oracle with the clusters held fixed, on a few entries.
    base = tokens.detach().double().numpy()
    for p, c in ((0, 0), (5, 2), (13, 4)):
        step = np.zeros_like(base)
        step[p, c] = 1e-5
        up, down = (np.square(oracle_merge(base + s, indices.tolist())[0]).sum() for s in (step, -step))
        assert tokens.grad[p, c].item() == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-3)


def test_order_of_the_tokens_does_not_matter():
    tokens = torch.from_numpy(clustered(5, 30, 6)).float()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    merged, indices = reverse_attn_merge(tokens, 0.5, 4)
    shuffled, places = reverse_attn_merge(tokens[order], 0.5, 4)
    back = order[places]
    assert sorted(back.tolist()) == indices.tolist()
    torch.testing.assert_close(shuffled[back.argsort()], merged, rtol=1e-5, atol=1e-5)


def test_bfloat16_is_computed_in_float32_and_autocast_does_not_change_it():
    tokens = torch.from_numpy(clustered(6, 40, 16)).bfloat16()
    merged, indices = reverse_attn_merge(tokens, 0.5, 4)
    exact, same = reverse_attn_merge(tokens.float(), 0.5, 4)
    assert merged.dtype == torch.bfloat16 and torch.equal(indices, same)
    torch.testing.assert_close(merged.float(), exact, rtol=1e-2, atol=1e-2)
    with torch.autocast('cpu', torch.bfloat16):
        cast, places = reverse_attn_merge(tokens.float(), 0.5, 4)
    assert torch.equal(cast, exact) and torch.equal(places, same)


def test_neighbours_far_from_the_origin_keep_their_digits():
    # One Gram product loses the digits of distances when the norms are large; the densities must not.
    tokens = (clustered(7, 40, 8) + 300).astype(np.float32)
    values = torch.from_numpy(tokens)
    near = module.nearest_neighbors(module.pairwise_square_distances(values), 39)
    ours = module.local_densities(values, near).double().numpy()
    np.testing.assert_allclose(ours, oracle_densities(tokens.astype(np.float64), 39), rtol=1e-4)


def test_chunks_do_not_change_the_distances(monkeypatch):
    tokens = torch.randn(17, 6)
    near = module.nearest_neighbors(module.pairwise_square_distances(tokens), 4)
    whole = module.distances_to(tokens, near)
    monkeypatch.setattr(module, 'CHUNK_ELEMENTS', 60)
    assert torch.equal(module.distances_to(tokens, near), whole)


@pytest.mark.parametrize('ratio', [0, -0.1, 1.0001, float('nan')])
def test_ratio_out_of_range(ratio):
    with pytest.raises(ValueError, match=r'keep_ratio must be in \(0, 1\]'):
        ReverseAttnCompressor(keep_ratio=ratio)


@pytest.mark.parametrize('k', [0, -3, 2.5, True])
def test_neighbours_out_of_range(k):
    with pytest.raises(ValueError, match='num_neighbors must be an integer >= 1'):
        ReverseAttnCompressor(num_neighbors=k)


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_tokens_that_are_not_finite(bad):
    tokens = torch.zeros(6, 3)
    tokens[4, 1] = bad
    with pytest.raises(ValueError, match='finite, got NaN or infinity in 1 tokens, first 4'):
        reverse_attn_merge(tokens)


@pytest.mark.parametrize('shape', [(0, 4), (4, 0), (2, 3, 4)])
def test_tokens_of_a_wrong_shape(shape):
    with pytest.raises(ValueError, match='tokens must be of shape'):
        reverse_attn_merge(torch.zeros(shape))


def test_built_by_config():
    compressor = MODELS.build(dict(type='ReverseAttnCompressor', keep_ratio=0.25, num_neighbors=2))
    merged, indices = compressor(torch.randn(12, 4))
    assert merged.shape == (3, 4) and len(indices) == 3 and compressor.count_kept(12) == 3
    assert 'keep_ratio=0.25' in repr(compressor)
    with pytest.raises(TypeError, match='keep_rate'):
        MODELS.build(dict(type='ReverseAttnCompressor', keep_rate=0.25))
