"""Reverse-attention compression against a slow float64 oracle and its own invariants."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavida_mm.models.compressors import (
    ReverseAttnCompressor,
    SimilarityMergeCompressor,
    pairwise_products,
    reverse_attn_merge,
)
from lavida_mm.models.compressors.density_clusters import cluster_by_density
from lavida_mm.models.compressors.reverse_attn_compressor import attention_weights
from lavida_mm.registry import MODELS
from tests.test_models.test_compressors import oracle
from tests.test_models.test_compressors.oracle import clustered


def check_merge(tokens: np.ndarray, keep_ratio: float, k: int) -> None:
    """Same centres as the oracle where densities tell them apart; same merged tokens for these centres, always."""
    merged, indices = reverse_attn_merge(torch.from_numpy(tokens), keep_ratio, k)
    exact, centres = tokens.astype(np.float64), indices.tolist()
    kept = oracle.count_kept(len(tokens), keep_ratio)
    assert len(centres) == kept and centres == sorted(set(centres))
    if kept < len(tokens):
        lrd = oracle.densities(exact, min(k, len(tokens) - 1))
        if oracle.cut_is_clear(lrd, kept):
            assert centres == oracle.choose_centres(lrd, kept)
    size = np.abs(exact).max()
    np.testing.assert_allclose(merged.numpy(), oracle.merge(exact, centres), rtol=1e-5, atol=1e-5 * size)


@pytest.mark.parametrize('keep_ratio', [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize('k', [1, 3, 8])
def test_agrees_with_the_oracle(keep_ratio, k):
    check_merge(clustered(0, 40, 12), keep_ratio, k)


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from(oracle.KINDS),
    seed=st.integers(0, 100_000),
    num_tokens=st.integers(1, 45),
    channels=st.integers(1, 24),
    ratio=st.floats(0.02, 1.0),
    k=st.integers(1, 10),
)
def test_agrees_with_the_oracle_on_any_input(kind, seed, num_tokens, channels, ratio, k):
    check_merge(oracle.make_tokens(kind, np.random.default_rng(seed), num_tokens, channels), ratio, k)


def test_the_nearest_of_two_centres_that_float32_products_do_not_tell_apart():
    """Squared distances that differ by a millionth of the norms were mistaken, and the token joined the wrong one."""
    rng = np.random.default_rng(0)
    groups = [100 * rng.normal(size=(1, 16)) + 1e-4 * rng.normal(size=(10, 16)) for _ in range(3)]
    tokens = np.concatenate(groups).astype(np.float32)
    for ratio in (0.2, 0.5, 0.8):
        check_merge(tokens, ratio, 4)


def test_weights_keep_their_digits_where_products_are_large():
    """In float32 the products of tokens far from the origin were wrong by so much that weights were off by 6 %."""
    check_merge(clustered(7, 40, 8) + np.float32(3000), 0.4, 4)


def test_ties_go_to_the_lowest_index():
    tokens = np.array([[x, y] for x in range(5) for y in range(5)], dtype=np.float32)
    for k in (1, 2, 3, 5):
        merged, indices = reverse_attn_merge(torch.from_numpy(tokens), 0.4, k)
        centres = oracle.choose_centres(oracle.densities(tokens.astype(np.float64), k), 10)
        assert indices.tolist() == centres
        np.testing.assert_allclose(merged.numpy(), oracle.merge(tokens.astype(np.float64), centres), atol=1e-5)


@pytest.mark.parametrize('kind', ['random', 'clustered', 'copies', 'tight'])
def test_rows_made_anew_give_what_the_buffer_gives(kind, monkeypatch):
    tokens = torch.from_numpy(oracle.make_tokens(kind, np.random.default_rng(1), 90, 16))
    merged, indices = reverse_attn_merge(tokens, 0.4, 5)
    monkeypatch.setattr(pairwise_products, 'MAX_STORED_TOKENS', 10)
    monkeypatch.setattr(pairwise_products, 'WIDE_CHUNK_ELEMENTS', 700)
    again, places = reverse_attn_merge(tokens, 0.4, 5)
    assert torch.equal(places, indices) and torch.equal(again, merged)


def test_weights_sum_to_one_and_the_least_similar_member_weighs_most():
    tokens = torch.from_numpy(clustered(3, 50, 6))
    plan = ReverseAttnCompressor(keep_ratio=0.1)([tokens])[0]
    for number, centre in enumerate(plan.indices.tolist()):
        members = (plan.clusters == number).nonzero().flatten()
        torch.testing.assert_close(plan.weights[members].sum(), torch.tensor(1.0))
        products = tokens[members] @ tokens[centre]
        assert plan.weights[members].argmax() == products.argmin()


def test_ordinary_attention_is_the_control():
    tokens = torch.from_numpy(clustered(3, 50, 6))
    for control in (ReverseAttnCompressor(keep_ratio=0.2, reverse=False), SimilarityMergeCompressor(keep_ratio=0.2)):
        plan, reverse = control([tokens])[0], ReverseAttnCompressor(keep_ratio=0.2)([tokens])[0]
        assert torch.equal(plan.indices, reverse.indices) and torch.equal(plan.clusters, reverse.clusters)
        expected = oracle.merge(tokens.double().numpy(), plan.indices.tolist(), sign=1)
        np.testing.assert_allclose(plan.apply(tokens).numpy(), expected, rtol=1e-5, atol=1e-5)


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


@pytest.mark.parametrize('num_tokens', [1, 2, 3])
@pytest.mark.parametrize('keep_ratio', [0.01, 0.5, 1.0])
def test_few_tokens(num_tokens, keep_ratio):
    tokens = torch.randn(num_tokens, 5)
    merged, indices = reverse_attn_merge(tokens, keep_ratio, 8)
    kept = max(1, int(keep_ratio * num_tokens))
    assert merged.shape == (kept, 5) and indices.shape == (kept,)
    assert merged.isfinite().all()


def test_more_neighbours_than_tokens_are_all_other_tokens():
    tokens = torch.from_numpy(clustered(8, 12, 4))
    for one, other in zip(reverse_attn_merge(tokens, 0.5, 11), reverse_attn_merge(tokens, 0.5, 500), strict=True):
        assert torch.equal(one, other)


def test_identical_tokens_stay_what_they_are():
    tokens = torch.full((10, 6), 1.5)
    merged, indices = reverse_attn_merge(tokens, 0.5, 3)
    assert indices.tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(merged, tokens[:5])


def test_gradients_reach_every_token_and_are_those_of_the_merge():
    tokens = torch.from_numpy(clustered(4, 14, 5)).requires_grad_()
    merged, indices = reverse_attn_merge(tokens, 0.3, 3)
    merged.square().sum().backward()
    assert (tokens.grad.abs().sum(1) > 0).all()
    # Finite differences of the oracle with the centres held fixed, on a few entries.
    base = tokens.detach().double().numpy()
    for p, c in ((0, 0), (5, 2), (13, 4)):
        step = np.zeros_like(base)
        step[p, c] = 1e-5
        up, down = (np.square(oracle.merge(base + s, indices.tolist())).sum() for s in (step, -step))
        assert tokens.grad[p, c].item() == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize('reverse', [True, False])
def test_gradients_of_weights_and_of_the_whole(reverse):
    tokens = torch.from_numpy(clustered(4, 14, 5)).double().requires_grad_()
    centres, clusters = cluster_by_density(tokens, 4, 3)
    assert torch.autograd.gradcheck(lambda x: attention_weights(x, centres, clusters, reverse), tokens)
    assert torch.autograd.gradcheck(lambda x: reverse_attn_merge(x, 0.3, 3)[0], tokens)


def test_order_of_the_tokens_does_not_matter():
    tokens = torch.from_numpy(clustered(5, 30, 6))
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


def test_gradients_in_bfloat16():
    tokens = torch.from_numpy(clustered(6, 20, 8)).bfloat16().requires_grad_()
    exact = tokens.detach().float().requires_grad_()
    for each in (tokens, exact):
        reverse_attn_merge(each, 0.5, 4)[0].float().square().sum().backward()
    assert tokens.grad.dtype == torch.bfloat16
    torch.testing.assert_close(tokens.grad.float(), exact.grad, rtol=2e-2, atol=2e-2 * exact.grad.abs().max().item())


@pytest.mark.parametrize('k', [0, -3, 2.5, True])
@pytest.mark.parametrize('kind', [ReverseAttnCompressor, SimilarityMergeCompressor])
def test_neighbours_out_of_range(k, kind):
    with pytest.raises(ValueError, match='num_neighbors must be an integer >= 1'):
        kind(num_neighbors=k)
    with pytest.raises(ValueError, match='num_neighbors must be an integer >= 1'):
        reverse_attn_merge(torch.zeros(3, 2), 0.5, k)


def test_wrong_arguments_of_the_function():
    with pytest.raises(ValueError, match=r'keep_ratio must be a number in \(0, 1\], got nan'):
        reverse_attn_merge(torch.zeros(3, 2), math.nan)
    for shape in ((0, 4), (4, 0), (2, 3, 4)):
        with pytest.raises(ValueError, match='tokens must be of shape'):
            reverse_attn_merge(torch.zeros(shape))
    with pytest.raises(ValueError, match='finite, got NaN or infinity in 1 tokens, first 2'):
        reverse_attn_merge(torch.tensor([[0.0], [1], [math.inf]]))


# torch asks tensors that it hands on for their gradient, and hides the warning but where warnings are errors.
@pytest.mark.filterwarnings('ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning')
def test_compiled_is_the_same():
    tokens = torch.from_numpy(clustered(9, 40, 16)).requires_grad_()
    merged, indices = reverse_attn_merge(tokens, 0.5, 4)
    compiled, places = torch.compile(reverse_attn_merge, backend='aot_eager')(tokens, 0.5, 4)
    assert torch.equal(compiled, merged) and torch.equal(places, indices)
    gradients = [torch.autograd.grad(each.square().sum(), tokens)[0] for each in (merged, compiled)]
    assert torch.equal(*gradients)


def test_built_by_config():
    compressor = MODELS.build(dict(type='ReverseAttnCompressor', keep_ratio=0.25, num_neighbors=2))
    assert len(compressor([torch.randn(12, 4)])[0].indices) == 3 and compressor.count_kept(12) == 3
    assert 'keep_ratio=0.25, num_neighbors=2, reverse=True' in repr(compressor)
    with pytest.raises(TypeError, match='keep_rate'):
        MODELS.build(dict(type='ReverseAttnCompressor', keep_rate=0.25))
