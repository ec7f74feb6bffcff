"""What holds for every compressor: the plan's form, the batch, the errors; and how a plan is applied."""

import math

import numpy as np
import pytest
import torch

from lavida_mm.models import compressors
from lavida_mm.models.compressors import NoCompressor, TokenCompressor, TokenMerge, UniformCompressor
from lavida_mm.registry import MODELS
from tests.test_models.test_compressors.oracle import clustered

NAMES = [
    name
    for name in compressors.__all__
    if name != 'TokenCompressor' and name.endswith('Compressor') and name != 'NoCompressor'
]


def build(name: str, keep_ratio: float = 0.5) -> TokenCompressor:
    return MODELS.build(dict(type=name, keep_ratio=keep_ratio)).eval()


def test_every_compressor_is_covered():
    assert len(NAMES) == 6 and all(issubclass(getattr(compressors, name), TokenCompressor) for name in NAMES)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('keep_ratio', [0.01, 0.2, 0.5, 0.77, 1.0])
@pytest.mark.parametrize('num_tokens', [1, 2, 3, 7, 40])
def test_a_plan_is_well_formed(name, keep_ratio, num_tokens):
    tokens = torch.from_numpy(clustered(0, num_tokens, 6))
    compressor = build(name, keep_ratio)
    merge = compressor([tokens])[0]
    kept = max(1, math.floor(keep_ratio * num_tokens))
    assert compressor.count_kept(num_tokens) == kept == len(merge.indices)
    indices = merge.indices.tolist()
    assert indices == sorted(set(indices)) and indices[0] >= 0 and indices[-1] < num_tokens
    assert (merge.clusters is None) == (merge.weights is None)
    if merge.clusters is not None:
        assert merge.clusters.shape == merge.weights.shape == (num_tokens,)
        assert sorted(set(merge.clusters.tolist())) == list(range(kept))
        assert merge.clusters[merge.indices].tolist() == list(range(kept))  # a token stays in what takes its place
        assert (merge.weights >= 0).all() and merge.weights.dtype == torch.float32
        sums = torch.zeros(kept).index_add(0, merge.clusters, merge.weights)
        torch.testing.assert_close(sums, torch.ones(kept))
    if kept == num_tokens:
        assert torch.equal(merge.apply(tokens), tokens)


@pytest.mark.parametrize('name', [*NAMES, 'NoCompressor'])
def test_samples_of_a_batch_do_not_touch_each_other(name):
    compressor = MODELS.build(dict(type=name)).eval()
    samples = [torch.from_numpy(clustered(seed, length, 6)) for seed, length in enumerate((30, 1, 12))]
    for tokens, merge in zip(samples, compressor(samples), strict=True):
        alone = compressor([tokens])[0]
        assert torch.equal(merge.indices, alone.indices) and torch.equal(merge.apply(tokens), alone.apply(tokens))
    assert compressor([]) == []


@pytest.mark.parametrize('name', NAMES)
def test_gradients_reach_the_tokens(name):
    tokens = torch.from_numpy(clustered(1, 20, 6)).requires_grad_()
    merge = build(name)([tokens])[0]
    merge.apply(tokens).square().sum().backward()
    reached = tokens.grad.abs().sum(dim=1) > 0
    assert reached[merge.indices].all() and (merge.clusters is None or reached.all())


@pytest.mark.parametrize('name', NAMES)
def test_half_precision_tokens(name):
    tokens = torch.from_numpy(clustered(2, 24, 8)).bfloat16()
    merge, exact = build(name)([tokens])[0], build(name)([tokens.float()])[0]
    assert torch.equal(merge.indices, exact.indices)
    merged = merge.apply(tokens)
    assert merged.dtype == torch.bfloat16
    torch.testing.assert_close(merged.float(), exact.apply(tokens.float()), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize('name', [*NAMES, 'NoCompressor'])
def test_what_is_wrong_with_a_sample_is_said_with_its_number(name):
    compressor = MODELS.build(dict(type=name))
    bad = torch.zeros(30, 3)
    bad[17, 1], bad[20, 2] = math.nan, -math.inf
    good = torch.zeros(4, 3)
    expected = r'sample 3 of the batch: tokens must be finite, got NaN or infinity in 2 tokens, first 17'
    with pytest.raises(ValueError, match=expected):
        compressor([good, good, good, bad])
    for shape in ((0, 3), (3, 0), (2, 3, 4)):
        with pytest.raises(ValueError, match=r'sample 1 of the batch: tokens must be of shape \(L, C\)'):
            compressor([good, torch.zeros(shape)])


def test_large_finite_tokens_pass():
    assert len(NoCompressor()([torch.full((4, 100), 3e38)])[0].indices) == 4
    assert len(NoCompressor()([torch.full((4, 100), 60000.0, dtype=torch.float16)])[0].indices) == 4


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('ratio', [0, -0.1, 1.0001, math.nan])
def test_ratio_out_of_range(name, ratio):
    with pytest.raises(ValueError, match=r'keep_ratio must be a number in \(0, 1\], got'):
        getattr(compressors, name)(keep_ratio=ratio)


@pytest.mark.parametrize('name', NAMES)
def test_settings_are_keywords_and_are_printed(name):
    assert 'keep_ratio=0.25' in repr(build(name, 0.25))
    with pytest.raises(TypeError):
        getattr(compressors, name)(0.5)


def test_no_compressor_keeps_everything():
    tokens = torch.randn(5, 3)
    merge = NoCompressor()([tokens])[0]
    assert merge.clusters is None and torch.equal(merge.apply(tokens), tokens)
    assert NoCompressor().count_kept(7) == 7


def test_the_keep_ratio_may_change_later():
    compressor = UniformCompressor(keep_ratio=0.5)
    compressor.keep_ratio = 0.1
    assert len(compressor([torch.zeros(40, 2)])[0].indices) == 4


def test_a_plan_without_clusters_selects():
    features = torch.randn(5, 2)
    assert torch.equal(TokenMerge(torch.tensor([1, 4])).apply(features), features[[1, 4]])


def test_a_plan_with_clusters_merges_any_features():
    clusters, weights = torch.tensor([0, 1, 1, 0]), torch.tensor([0.25, 0.5, 0.5, 0.75])
    merge = TokenMerge(torch.tensor([0, 2]), clusters, weights)
    for width in (1, 3, 50):
        features = torch.randn(4, width)
        expected = [0.25 * features[0] + 0.75 * features[3], 0.5 * features[1] + 0.5 * features[2]]
        torch.testing.assert_close(merge.apply(features), torch.stack(expected))
    with pytest.raises(ValueError, match='the merge is of 4 tokens, got 5 features'):
        merge.apply(torch.zeros(5, 3))


def test_gradients_of_a_merge_reach_features_and_weights():
    weights = torch.tensor([0.25, 1.0, 0.75], dtype=torch.float64, requires_grad=True)
    features = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    clusters = torch.tensor([0, 1, 0])
    assert torch.autograd.gradcheck(lambda w, f: TokenMerge(clusters[:2], clusters, w).apply(f), (weights, features))


def test_merged_bfloat16_features_are_summed_in_float32():
    merge = TokenMerge(torch.tensor([0]), torch.zeros(2000, dtype=torch.long), torch.full((2000,), 1 / 2000))
    features = torch.linspace(1, 3, 2000)[:, None].bfloat16()
    assert merge.apply(features).item() == pytest.approx(np.mean(features.float().numpy()), rel=2**-8)
