import math

import numpy as np
import pytest

from lavida_mm.datasets.pasting.track import TrackOptions, draw_track, move, perspective_factor

SIZE = (60, 100)


def draw(seed: int, times=None, aspect: float = 1.0, **changes):
    options = dict(scale=(0.2, 0.4), horizon=None, speed=(0.0, 0.05), turn=5.0, cut_ratio=0.5)
    times = np.arange(8) if times is None else np.asarray(times)
    return draw_track(times, SIZE, aspect, TrackOptions(**{**options, **changes}), np.random.default_rng(seed))


@pytest.mark.parametrize(
    ('y', 'horizon', 'factor'),
    [(60, 0.25, 1.0), (37.5, 0.25, 0.5), (15, 0.25, 0.0), (3, 0.25, 0.0), (80, 0.25, 1.0), (3, None, 1.0)],
)
def test_size_grows_linearly_from_the_horizon_to_the_lower_edge(y, horizon, factor):
    assert perspective_factor(np.asarray([float(y)]), 60, horizon)[0] == pytest.approx(factor)


def test_way_is_straight_without_a_turn():
    assert np.allclose(move(np.asarray([-2.0, 0.0, 3.0]), 2.0, math.pi / 2, 0.0), [[0, -4], [0, 0], [0, 6]])


def test_way_with_a_turn_is_that_of_many_small_steps():
    fine = np.linspace(0, 7, 70_001)
    heading = 0.3 - 0.2 * fine
    steps = np.stack([np.cos(heading), np.sin(heading)], 1) * 1.5
    middle = (steps[1:] + steps[:-1]) / 2 * (fine[1] - fine[0])
    assert np.allclose(move(np.asarray([7.0]), 1.5, 0.3, -0.2)[0], middle.sum(0), atol=1e-6)


def test_sizes_lie_within_the_scale_and_the_object_is_in_the_frame_once():
    lengths = set()
    for seed in range(200):
        track = draw(seed, aspect=0.5)
        shown = track.sides > 0
        assert ((track.sides[shown] >= 12) & (track.sides[shown] <= 24)).all()
        assert len(np.unique(track.sides[shown])) == 1
        middle = track.feet - [0, 0.25 * track.sides.max()]
        inside = ((middle >= 0) & (middle <= [100, 60])).all(axis=1)
        assert (inside & shown).any()
        shown = np.flatnonzero(shown)
        assert len(shown) == shown[-1] - shown[0] + 1  # one visit
        lengths.add(len(shown))
    assert lengths == set(range(1, 9))


def test_whole_clips_where_nothing_is_cut():
    assert all((draw(seed, cut_ratio=0.0).sides > 0).all() for seed in range(20))


def test_with_a_horizon_size_follows_the_lower_edge():
    for seed in range(100):
        track = draw(seed, horizon=0.3, scale=(0.4, 0.4), cut_ratio=0.0, speed=(0.05, 0.05))
        expected = 24 * np.clip((track.feet[:, 1] - 18) / 42, 0, 1)
        assert np.allclose(track.sides, expected) and track.sides.max() > 0


def test_way_follows_the_numbers_of_the_frames():
    """Every other frame: twice the way. A clip that repeats its last frame: the object stands still there."""
    track = draw(3, times=[0, 2, 4, 5, 5], turn=0.0, speed=(0.05, 0.05), cut_ratio=0.0)
    steps = np.linalg.norm(np.diff(track.feet, axis=0), axis=1)
    assert np.allclose(steps, [6.0, 6.0, 3.0, 0.0])
