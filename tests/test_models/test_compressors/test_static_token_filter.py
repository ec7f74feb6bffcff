"""Which units have changed, against loops over patches; when the filter works; what it refuses."""

import math

import numpy as np
import pytest
import torch

from lavida_mm.models.compressors import StaticTokenFilter, changed_units
from lavida_mm.registry import MODELS

GRID, MERGE = (3, 4, 6), 2


def cosine_distance(one: np.ndarray, other: np.ndarray) -> float:
    norms = np.linalg.norm(one), np.linalg.norm(other)
    if not norms[0] and not norms[1]:
        return 0.0
    if not norms[0] or not norms[1]:
        return 1.0
    return 1 - one @ other / norms[0] / norms[1]


def slow_units(patches: np.ndarray, grid: tuple[int, int, int], merge: int, threshold: float) -> list[int]:
    per_grid = grid[1] * grid[2]
    kept = []
    for unit in range(len(patches) // merge**2):
        places = range(unit * merge**2, (unit + 1) * merge**2)
        distances = [cosine_distance(patches[place], patches[place % per_grid]) for place in places]
        if unit < per_grid // merge**2 or np.mean(distances) >= threshold:
            kept.append(unit)
    return kept


def make_patches(seed: int, grid: tuple[int, int, int] = GRID, width: int = 10) -> np.ndarray:
    """Patches that differ from those of the first grid by as much as the unit's number grows."""
    rng = np.random.default_rng(seed)
    per_grid = grid[1] * grid[2]
    first = rng.normal(size=(per_grid, width))
    noise = rng.normal(size=(grid[0], per_grid, width)) * np.geomspace(1e-3, 1, grid[0] * per_grid).reshape(
        grid[0], per_grid, 1
    )
    noise[0] = 0
    return (first + noise).reshape(-1, width)


@pytest.mark.parametrize('threshold', [0, 0.001, 0.01, 0.3, 2])
@pytest.mark.parametrize('merge', [1, 2])
def test_agrees_with_loops(threshold, merge):
    patches = make_patches(0)
    patches[[3, 30, 31]] = 0  # zeros in the first grid, in both, in a later one
    patches[27] = 0
    kept = changed_units(torch.from_numpy(patches).float(), GRID, merge, threshold)
    assert kept.tolist() == slow_units(patches, GRID, merge, threshold)


def test_zeros_are_equal_to_zeros_alone():
    patches = torch.zeros(3, 4)
    patches[2] = 1
    assert changed_units(patches, (3, 1, 1), 1, 0.5).tolist() == [0, 2]
    assert changed_units(patches, (3, 1, 1), 1, 1.5).tolist() == [0]


def test_small_patches_have_a_direction_too():
    patches = torch.tensor([[1e-30, 0], [0, 1e-30], [1e-30, 0]])
    assert changed_units(patches, (3, 1, 1), 1, 0.5).tolist() == [0, 1]


def test_opposite_patches_are_furthest():
    patches = torch.tensor([[1.0, 2], [-1, -2]])
    assert changed_units(patches, (2, 1, 1), 1, 1.99).tolist() == [0, 1]


def test_threshold_zero_keeps_what_did_not_change():
    """Rounding may put the distance of equal patches below zero."""
    patches = torch.randn(1, 500).repeat(40, 1)
    assert changed_units(patches, (40, 1, 1), 1, 0.0).tolist() == list(range(40))


def test_a_still_clip_with_one_moving_object():
    frames = torch.rand(6, 3, 56, 84, generator=torch.Generator().manual_seed(0))[:1].repeat(6, 1, 1, 1)
    frames[4:, :, 28:56, 28:56] = 1 - frames[4:, :, 28:56, 28:56]  # unit (row 1, column 1) of the last of 3 grids
    # (time, frame, colour, unit row, row, y, unit column, column, x), then patches of 14 x 14 pixels in units of 2 x 2
    cut = (frames - 0.5).reshape(3, 2, 3, 2, 2, 14, 3, 2, 14).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    assert changed_units(cut.reshape(72, -1), (3, 4, 6), 2, 0.01).tolist() == [0, 1, 2, 3, 4, 5, 2 * 6 + 4]


def test_half_precision():
    patches = torch.from_numpy(make_patches(1))
    expected = changed_units(patches.bfloat16().float(), GRID, MERGE, 0.05)
    assert torch.equal(changed_units(patches.bfloat16(), GRID, MERGE, 0.05), expected)


def test_when():
    patches = [torch.from_numpy(make_patches(seed)).float() for seed in range(2)]
    always = MODELS.build(dict(type='StaticTokenFilter', threshold=0.01))
    at_test = StaticTokenFilter(threshold=0.01, when='test')
    expected = [changed_units(part, GRID, MERGE, 0.01).tolist() for part in patches]
    assert [units.tolist() for units in always(patches, [GRID] * 2, MERGE)] == expected
    assert [units.tolist() for units in at_test(patches, [GRID] * 2, MERGE)] == [list(range(18))] * 2
    assert [units.tolist() for units in at_test.eval()(patches, [GRID] * 2, MERGE)] == expected
    assert "threshold=0.01, when='test'" in repr(at_test)


@pytest.mark.parametrize('threshold', [-0.1, 2.1, math.nan])
def test_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match=r'threshold must be a number in \[0, 2\], got'):
        StaticTokenFilter(threshold=threshold)


def test_unknown_when():
    with pytest.raises(ValueError, match="when must be one of always, test, got 'train'"):
        StaticTokenFilter(when='train')


@pytest.mark.parametrize(('grid', 'merge'), [((3, 4, 5), 2), ((3, 2, 6), 2), ((3, 4, 6), 3), ((3, 4, 6), 0)])
def test_what_does_not_fit_together(grid, merge):
    with pytest.raises(ValueError, match=r'sample 0 of the batch: a grid of 3 x .* does not fit 72 patches'):
        StaticTokenFilter()([torch.zeros(72, 4)], [grid], merge)
