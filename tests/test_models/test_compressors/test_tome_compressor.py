"""Bipartite soft matching against loops that follow the paper's description."""

import numpy as np
import pytest
import torch

from lavida_mm.models.compressors import ToMeCompressor
from lavida_mm.models.compressors import tome_compressor as module
from tests.test_models.test_compressors.oracle import clustered, count_kept


def merge_slowly(tokens: np.ndarray, kept: int) -> tuple[np.ndarray, list[int]]:
    """Merged tokens and their places: sets A and B in turn, an edge from each of A, the best edges, weighted means."""
    groups = [dict(place=place, size=1, value=value) for place, value in enumerate(tokens.astype(np.float64))]
    while len(groups) > kept:
        a_side, b_side = groups[::2], groups[1::2]
        edges = []
        for number, a in enumerate(a_side):
            cosines = [
                a['value'] @ b['value'] / np.linalg.norm(a['value']) / np.linalg.norm(b['value']) for b in b_side
            ]
            best = int(np.argmax(cosines))
            edges.append((-cosines[best], number, best))
        gone = set()
        sums = [b['size'] * b['value'] for b in b_side]
        for _, number, best in sorted(edges)[: min(len(groups) - kept, len(groups) // 2)]:
            sums[best] = sums[best] + a_side[number]['size'] * a_side[number]['value']
            b_side[best]['size'] += a_side[number]['size']
            gone.add(a_side[number]['place'])
        for b, total in zip(b_side, sums, strict=True):
            b['value'] = total / b['size']
        groups = [group for group in groups if group['place'] not in gone]
    return np.array([group['value'] for group in groups]), [group['place'] for group in groups]


@pytest.mark.parametrize('num_tokens', [2, 3, 7, 30])
@pytest.mark.parametrize('keep_ratio', [0.05, 0.2, 0.4, 0.5, 0.9])
def test_agrees_with_loops(num_tokens, keep_ratio):
    tokens = clustered(num_tokens, num_tokens, 8)
    merge = ToMeCompressor(keep_ratio=keep_ratio)([torch.from_numpy(tokens)])[0]
    merged, places = merge_slowly(tokens, count_kept(num_tokens, keep_ratio))
    assert merge.indices.tolist() == places
    np.testing.assert_allclose(merge.apply(torch.from_numpy(tokens)).numpy(), merged, rtol=1e-5, atol=1e-5)


def test_merged_tokens_are_plain_means_of_all_their_members():
    tokens = torch.from_numpy(clustered(0, 30, 8))
    merge = ToMeCompressor(keep_ratio=0.1)([tokens])[0]
    for number, value in enumerate(merge.apply(tokens)):
        torch.testing.assert_close(value, tokens[merge.clusters == number].mean(dim=0))


def test_most_similar_pairs_merge_first():
    tokens = torch.tensor([[1.0, 0], [1, 0.01], [0, 1], [0.5, 1]])
    merge = ToMeCompressor(keep_ratio=0.75)([tokens])[0]
    assert merge.indices.tolist() == [1, 2, 3] and merge.clusters.tolist() == [0, 0, 1, 2]


def test_zeros_and_copies():
    tokens = torch.zeros(8, 3)
    merge = ToMeCompressor(keep_ratio=0.3)([tokens])[0]
    assert len(merge.indices) == 2 and torch.equal(merge.apply(tokens), torch.zeros(2, 3))


def test_chunks_change_nothing(monkeypatch):
    tokens = torch.from_numpy(clustered(1, 31, 8))
    whole = ToMeCompressor(keep_ratio=0.2)([tokens])[0]
    monkeypatch.setattr(module, 'CHUNK_ELEMENTS', 40)
    parts = ToMeCompressor(keep_ratio=0.2)([tokens])[0]
    assert torch.equal(parts.clusters, whole.clusters) and torch.equal(parts.indices, whole.indices)
