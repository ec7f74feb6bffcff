"""Evenly spaced tokens."""

import math

import pytest
import torch

from lavida_mm.models.compressors import UniformCompressor


@pytest.mark.parametrize('num_tokens', [1, 5, 12, 97])
@pytest.mark.parametrize('keep_ratio', [0.1, 0.34, 0.5, 0.9, 1.0])
def test_places_are_evenly_spaced(num_tokens, keep_ratio):
    merge = UniformCompressor(keep_ratio=keep_ratio)([torch.zeros(num_tokens, 1)])[0]
    kept = max(1, math.floor(keep_ratio * num_tokens))
    assert merge.indices.tolist() == [math.floor((i + 0.5) * num_tokens / kept) for i in range(kept)]
    gaps = merge.indices.diff()
    assert merge.clusters is None and (kept == 1 or gaps.max() - gaps.min() <= 1)
