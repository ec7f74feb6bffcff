from functools import cache

import numpy as np
import pytest

from lavida_mm.datasets.synthetic.scene import MOTIONS, Casting, draw_scene

CAST = [Casting('red', 'star', (0, 24)), Casting(None, 'ring', (5, 17)), Casting('blue', 'square', (10, 24), True)]


@cache
def scenes(number=40):
    return [draw_scene(np.random.default_rng(seed), CAST, 24) for seed in range(number)]


def test_same_seed_same_scene():
    assert draw_scene(np.random.default_rng(4), CAST, 24) == draw_scene(np.random.default_rng(4), CAST, 24)
    assert draw_scene(np.random.default_rng(4), CAST, 24) != draw_scene(np.random.default_rng(5), CAST, 24)


def test_objects_follow_their_casting():
    for scene in scenes(5):
        for thing, role in zip(scene.objects, CAST, strict=True):
            assert (thing.colour, thing.shape, thing.interval) == (role.colour, role.shape, role.interval)
            assert len(thing.track) == role.interval[1] - role.interval[0]
            assert thing.centre(role.interval[0]) == thing.track[0]
            assert thing.centre(role.interval[1]) is None
        assert max(scene.objects, key=lambda thing: thing.depth).shape == 'square'
        assert len({thing.depth for thing in scene.objects}) == 3


def test_sizes_and_angles_keep_to_their_ranges():
    for thing in (thing for scene in scenes() for thing in scene.objects):
        assert 0.13 <= thing.radius / 96 <= 0.19
        assert abs(thing.appearance.tilt) + abs(thing.appearance.wobble) <= 20


def test_objects_stay_inside_except_where_they_come_and_go():
    for scene in scenes():
        whole = np.array(scene.objects[0].track)
        middle = np.array(scene.objects[1].track)[2:-2]
        assert whole.min() > 0 and whole.max() < 96
        assert middle.min() > 0 and middle.max() < 96


@pytest.mark.parametrize('motion', MOTIONS)
def test_motion_is_what_its_name_says(motion):
    tracks = [np.array(s.objects[0].track) for s in scenes() if s.objects[0].motion == motion]
    assert tracks, 'the name must occur'
    for track in tracks:
        steps = np.diff(track, axis=0)
        speed = np.hypot(*steps.T)
        if motion == 'static':
            assert speed.max() == 0
        elif motion == 'linear':
            assert np.allclose(steps, steps[0], atol=0.01)
        elif motion == 'pause':
            assert (speed < 1e-6).sum() >= 1 and speed.max() > 0.3
        elif motion == 'sinusoid':
            assert np.ptp(speed) > 0.05 and not np.allclose(steps, steps[0], atol=0.01)
        else:
            assert speed.max() > 0.3


def test_images_have_one_frame():
    scene = draw_scene(np.random.default_rng(0), [Casting('red', 'star', (0, 1))], 1)
    assert (scene.num_frames, len(scene.lighting), len(scene.objects[0].track)) == (1, 1, 1)
