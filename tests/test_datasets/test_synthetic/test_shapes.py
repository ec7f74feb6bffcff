from dataclasses import replace

import cv2
import numpy as np
import pytest

from lavida_mm.datasets.synthetic.scene import Casting, draw_scene
from lavida_mm.datasets.synthetic.shapes import draw_background, draw_outline, render_frame, render_masks, render_scene

# Area of the shape over radius squared, by hand.
AREAS = {
    'square': 2.0,
    'triangle': 3 * np.sqrt(3) / 4 * 1.08**2,
    'star': 5 * 1.1 * 0.46 * np.sin(np.pi / 5),
    'ring': 20 * np.sin(2 * np.pi / 40) * (0.98**2 - 0.5**2),
    'cross': 4 * (0.98 * 2 * 0.3) - 4 * 0.3**2,
}


def scene_of(*cast, seed=0, frames=6):
    return draw_scene(np.random.default_rng(seed), [Casting(*words, (0, frames), top) for words, top in cast], frames)


def alone(shape, radius=16.0, place=(48.0, 48.0)):
    scene = scene_of((('red', shape), False), frames=1)
    thing = scene.objects[0]
    look = replace(thing.appearance, tilt=0.0, wobble=0.0)
    return replace(scene, objects=(replace(thing, radius=radius, track=(place,), appearance=look),))


@pytest.mark.parametrize('shape', AREAS)
def test_area_of_a_mask_is_that_of_its_shape(shape):
    mask = render_masks(alone(shape))[0, 0]
    assert mask.sum() == pytest.approx(AREAS[shape] * 16**2, rel=0.13)  # outlines have a width


def test_masks_are_centred():
    for shape in ('square', 'ring', 'cross'):
        rows, columns = np.nonzero(render_masks(alone(shape, place=(30.0, 60.0)))[0, 0])
        assert (columns.mean(), rows.mean()) == pytest.approx((30, 60), abs=0.6)


def test_only_the_ring_has_a_hole_in_its_middle():
    holes = {shape: not render_masks(alone(shape))[0, 0, 48, 48] for shape in AREAS}
    assert [shape for shape, hole in holes.items() if hole] == ['ring']


def test_objects_leave_the_frame_without_a_trace():
    assert not render_masks(alone('square', place=(-30.0, 48.0))).any()
    half = render_masks(alone('square', place=(-0.5, 48.0)))[0, 0].sum()
    assert half == pytest.approx(16**2, rel=0.1)


@pytest.mark.parametrize('seed', range(4))
def test_masks_are_the_pixels_that_differ_from_the_empty_scene(seed):
    scene = scene_of((('red', 'star'), False), (('cyan', 'ring'), False), (('white', 'cross'), False), seed=seed)
    frames, masks = render_scene(scene)
    for frame in range(scene.num_frames):
        empty, none = render_frame(replace(scene, objects=()), frame)
        assert none.shape == (0, 96, 96)
        changed = np.abs(frames[frame].astype(int) - empty.astype(int)).max(-1)
        shown = masks[:, frame].any(0)
        assert (changed[shown] > 15).mean() > 0.98
        near = cv2.dilate(shown.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)  # tips cover half pixels
        assert changed[~near].max() == 0


def test_masks_without_colours_are_those_of_the_rendering():
    scene = scene_of((('red', 'star'), False), (('cyan', 'ring'), True), (('white', 'cross'), False), seed=2)
    assert np.array_equal(render_masks(scene), render_scene(scene)[1])


def test_what_is_on_top_hides_what_is_below():
    scene = scene_of((('red', 'square'), False), (('blue', 'square'), True), frames=1)
    objects = [replace(thing, track=((40.0 + 8 * index, 48.0),)) for index, thing in enumerate(scene.objects)]
    below, above = render_masks(replace(scene, objects=tuple(objects)))[:, 0]
    below_alone = render_masks(replace(scene, objects=tuple(objects[:1])))[0, 0]
    assert not (below & above).any()
    assert np.array_equal(below, below_alone & ~above)
    assert 0 < below.sum() < below_alone.sum()


def test_backgrounds_are_dull_and_differ():
    scenes = [scene_of((('red', 'star'), False), seed=seed, frames=1) for seed in range(30)]
    pictures = [draw_background(scene.background, 96) for scene in scenes]
    assert {scene.background.kind for scene in scenes} == {'gradient', 'noise', 'stripes', 'blobs'}
    assert all(np.ptp(picture, axis=-1).mean() < 40 and picture.max() <= 165 for picture in pictures)


def test_unknown_shape_is_named():
    with pytest.raises(ValueError, match="got 'heart'"):
        draw_outline('heart')
