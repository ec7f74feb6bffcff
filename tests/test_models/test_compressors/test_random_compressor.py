"""Tokens by chance: anew in training, always the same at test."""

import pytest
import torch

from lavida_mm.models.compressors import RandomCompressor


def draw(compressor: RandomCompressor, num_tokens: int = 40) -> list[int]:
    return compressor([torch.randn(num_tokens, 2)])[0].indices.tolist()


def test_at_test_the_draw_depends_on_seed_and_length_alone():
    compressor = RandomCompressor(keep_ratio=0.25, seed=3).eval()
    first = draw(compressor)
    draw(compressor, 17)
    assert draw(compressor) == first == draw(RandomCompressor(keep_ratio=0.25, seed=3).eval())
    assert first != draw(RandomCompressor(keep_ratio=0.25, seed=4).eval())
    assert [place for place in first if place < 39] != draw(compressor, 39)
    state = torch.get_rng_state()
    compressor([torch.zeros(9, 1)])
    assert torch.equal(torch.get_rng_state(), state)


def test_in_training_every_draw_is_new_and_follows_the_global_seed():
    compressor = RandomCompressor(keep_ratio=0.25)
    torch.manual_seed(0)
    draws = [draw(compressor) for _ in range(3)]
    assert draws[0] != draws[1] != draws[2]
    torch.manual_seed(0)
    assert draws == [draw(compressor) for _ in range(3)]


def test_all_places_are_equally_likely():
    compressor = RandomCompressor(keep_ratio=0.5)
    torch.manual_seed(0)
    counts = torch.zeros(10)
    for _ in range(2000):
        counts[compressor([torch.zeros(10, 1)])[0].indices] += 1
    assert ((counts - 1000).abs() < 100).all()  # four standard deviations are 89


@pytest.mark.parametrize('seed', [-1, 1.5, True, 2**31])
def test_seed_out_of_range(seed):
    with pytest.raises(ValueError, match=r'seed must be an integer in \[0, 2147483647\]'):
        RandomCompressor(seed=seed)
