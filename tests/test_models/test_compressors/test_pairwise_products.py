"""Products of pairs, stored or made anew, against one product of all, for any rows and columns."""

import pytest
import torch

from lavida_mm.models.compressors import pairwise_products as module
from lavida_mm.models.compressors.pairwise_products import MadeProducts, StoredProducts, multiply_pairs


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    for name, value in dict(STRIP=16, BLOCK=5, CHUNK_ELEMENTS=150, WIDE_CHUNK_ELEMENTS=90).items():
        monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize('kind', [StoredProducts, MadeProducts])
@pytest.mark.parametrize('num_tokens', [1, 15, 16, 17, 50])
def test_products_are_those_of_all_pairs(kind, num_tokens):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(num_tokens, 6, generator=generator) + 3
    centred = tokens.double() - tokens.double().mean(dim=0)
    expected = centred @ centred.T
    products = kind(tokens)
    torch.testing.assert_close(products.squares.double(), expected.diagonal(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        products.known.double(), expected.diagonal()[: len(products.known)], rtol=1e-5, atol=1e-5
    )
    every, some = torch.arange(num_tokens), torch.randperm(num_tokens, generator=generator)
    for rows in (every, some[: num_tokens // 2 + 1].sort().values, every[num_tokens // 2 :]):
        for columns in (every, some[num_tokens // 2 :].sort().values, every[: num_tokens // 3 + 1]):
            covered = []
            for part, block in products.parts(rows, columns):
                torch.testing.assert_close(block.double(), expected[rows[part]][:, columns], rtol=1e-5, atol=1e-5)
                block.zero_()  # what is handed out is not what is stored
                covered += range(part.start, part.stop)
            assert covered == list(range(len(rows)))


@pytest.mark.parametrize('size', [1e-30, 1e-3, 1.0, 1e30, 3e38])
def test_tokens_of_any_size_have_finite_products(size):
    tokens = size * torch.linspace(-1, 1, 12).view(4, 3)
    products = multiply_pairs(tokens)
    assert products.squares.isfinite().all() and (products.squares > 0).all()
    assert (products.tokens is tokens) == (1e-9 < size < 1e15)


def test_many_tokens_are_not_stored(monkeypatch):
    monkeypatch.setattr(module, 'MAX_STORED_TOKENS', 9)
    assert isinstance(multiply_pairs(torch.randn(9, 2)), StoredProducts)
    assert isinstance(multiply_pairs(torch.randn(10, 2)), MadeProducts)
