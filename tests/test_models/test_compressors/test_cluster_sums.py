"""Sums over clusters against loops, their gradients, and that chunks and types change nothing."""

import pytest
import torch

from lavida_mm.models.compressors import cluster_sums as module
from lavida_mm.models.compressors.cluster_sums import cluster_products, cluster_sums, sum_by_cluster

CLUSTERS = torch.tensor([2, 0, 2, 1, 2, 0, 2])


@pytest.fixture
def numbers():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((7,), (7, 5), (3, 5))]


def test_sums_and_products_are_those_of_a_loop(numbers):
    weights, features, centres = numbers
    sums, products = torch.zeros(3, 5, dtype=torch.float64), []
    for row, cluster in enumerate(CLUSTERS.tolist()):
        sums[cluster] += weights[row] * features[row]
        products.append(centres[cluster] @ features[row])
    torch.testing.assert_close(cluster_sums(weights, features, CLUSTERS, 3), sums)
    torch.testing.assert_close(cluster_products(centres, features, CLUSTERS), torch.stack(products))
    torch.testing.assert_close(sum_by_cluster(weights, CLUSTERS, 4)[2], weights[CLUSTERS == 2].sum())


def test_gradients(numbers):
    weights, features, centres = (number.requires_grad_() for number in numbers)
    assert torch.autograd.gradcheck(lambda w, f: cluster_sums(w, f, CLUSTERS, 3), (weights, features))
    assert torch.autograd.gradcheck(lambda c, f: cluster_products(c, f, CLUSTERS), (centres, features))


@pytest.mark.parametrize('elements', [1, 7, 12])
def test_chunks_change_nothing(numbers, monkeypatch, elements):
    weights, features, centres = (number.requires_grad_() for number in numbers)

    def run():
        sums = cluster_sums(weights, features, CLUSTERS, 3)
        products = cluster_products(centres, features, CLUSTERS)
        return [sums, products, *torch.autograd.grad(sums.square().sum() + products.square().sum(), numbers)]

    whole = run()
    monkeypatch.setattr(module, 'CHUNK_ELEMENTS', elements)
    for one, other in zip(whole, run(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float32])
def test_half_types_are_summed_in_float32(dtype):
    features = torch.ones(3000, 2, dtype=dtype, requires_grad=True)  # in bfloat16, 256 + 1 is 256
    weights = torch.ones(3000, requires_grad=True)
    sums = cluster_sums(weights, features, torch.zeros(3000, dtype=torch.long), 1)
    assert sums.dtype == torch.float32 and sums.tolist() == [[3000, 3000]]
    sums.sum().backward()
    assert features.grad.dtype == dtype and weights.grad.dtype == torch.float32
    products = cluster_products(features[:1], features, torch.zeros(3000, dtype=torch.long))
    assert products.dtype == torch.float64
