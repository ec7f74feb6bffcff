"""Means of runs of successive tokens."""

import math

import numpy as np
import pytest
import torch

from lavida_mm.models.compressors import AvgPoolCompressor


@pytest.mark.parametrize('num_tokens', [1, 2, 9, 40])
@pytest.mark.parametrize('keep_ratio', [0.05, 0.3, 0.5, 0.8, 1.0])
def test_means_of_runs(num_tokens, keep_ratio):
    tokens = np.random.default_rng(0).normal(size=(num_tokens, 4)).astype(np.float32)
    merge = AvgPoolCompressor(keep_ratio=keep_ratio)([torch.from_numpy(tokens)])[0]
    kept = max(1, math.floor(keep_ratio * num_tokens))
    means, places = [], []
    for run in range(kept):
        start, stop = run * num_tokens // kept, (run + 1) * num_tokens // kept
        means.append(tokens[start:stop].mean(axis=0))
        places.append((start + stop - 1) // 2)
    assert merge.indices.tolist() == places
    np.testing.assert_allclose(merge.apply(torch.from_numpy(tokens)).numpy(), means, rtol=1e-5, atol=1e-6)
    lengths = merge.clusters.bincount()
    assert lengths.max() - lengths.min() <= 1
