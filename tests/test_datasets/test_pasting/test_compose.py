import numpy as np
import pytest

from lavida_mm.datasets.pasting.compose import Paste, paste_objects, place_objects, visible_masks
from lavida_mm.datasets.pasting.cutout import Cutout
from lavida_mm.datasets.pasting.track import Track

NOTHING = np.zeros((0, 2, 12, 16), bool)


def box(feet, sides=(4.0, 4.0), value=200, behind=()) -> Paste:
    cutout = Cutout(np.full((4, 4, 3), value, np.uint8), np.ones((4, 4), bool), ('box',))
    return Paste(cutout, Track(np.asarray(feet, float), np.asarray(sides)), False, behind)


def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 12, 16, 3), dtype=np.uint8)


def masks_of(pastes, foreground=NOTHING):
    return visible_masks(place_objects(pastes, foreground), (2, 12, 16))


def test_a_box_stands_on_its_feet_and_leaves_the_frame():
    masks = masks_of([box([(6, 8), (15, 2)])])
    expected = np.zeros((2, 12, 16), bool)
    expected[0, 4:8, 4:8] = True
    expected[1, 0:2, 13:16] = True
    assert np.array_equal(masks[0], expected)


@pytest.mark.parametrize('feet', [(-9, 8), (30, 8), (6, -1), (6, 40)])
def test_an_object_outside_the_frame_is_none(feet):
    placed = place_objects([box([feet, (6, 8)])], NOTHING)
    assert placed[0][0] is None and placed[0][1] is not None


def test_a_later_object_hides_an_earlier_one():
    masks = masks_of([box([(6, 8), (6, 8)]), box([(8, 8), (8, 8)], sides=(4.0, 0.0))])
    assert masks[0, 0].sum() == 8 and masks[1, 0].sum() == 16 and not (masks[0, 0] & masks[1, 0]).any()
    assert masks[0, 1].sum() == 16 and not masks[1, 1].any()


def test_the_clips_own_objects_hide_what_goes_behind_them():
    foreground = np.zeros((2, 2, 12, 16), bool)
    foreground[0, :, :, :6] = True
    foreground[1, 1] = True
    feet = [(6, 8), (6, 8)]
    assert masks_of([box(feet)], foreground).sum() == 32
    assert masks_of([box(feet, behind=(0,))], foreground).sum((2, 3)).tolist() == [[8, 8]]
    assert masks_of([box(feet, behind=(0, 1))], foreground).sum((2, 3)).tolist() == [[8, 0]]


def test_pixels_are_those_of_the_object_in_front_and_the_given_frames_stay():
    original = frames()
    pastes = [box([(6, 8), (6, 8)], value=10), box([(8, 8), (8, 8)], value=250)]
    placed = place_objects(pastes, NOTHING)
    out = paste_objects(original, pastes, placed, NOTHING, margin=0, blending='feather')
    masks = visible_masks(placed, (2, 12, 16))
    expected = frames()
    expected[masks[0]], expected[masks[1]] = 10, 250
    assert np.array_equal(out, expected) and np.array_equal(original, frames())
