"""Annotated frames: what is tinted, what is left alone, and that any size works."""

import numpy as np
import pytest

from lavida_mm.visualization import FrameAnnotator, display_size, format_time, overlay_mask
from lavida_mm.visualization.palette import ALARM, QUIET


def grey(height, width, value=100):
    return np.full((height, width, 3), value, np.uint8)


def square_mask():
    mask = np.zeros((300, 400), np.float16)
    mask[100:200, 150:250] = 0.9
    return mask


def test_only_the_mask_and_its_outline_change():
    frame = grey(300, 400)
    shown = overlay_mask(frame, square_mask(), opacity=0.5)
    changed = (shown != frame).any(-1)
    near = np.pad(np.ones((110, 110), bool), ((95, 95), (145, 145)))
    assert changed[100:200, 150:250].all() and not changed[~near].any()
    inside = shown[110:190, 160:240]
    np.testing.assert_array_equal(inside, np.broadcast_to(np.rint(0.5 * 100 + 0.5 * np.array(ALARM)), inside.shape))
    assert (frame == 100).all(), 'the frame that was handed in stays as it was'


@pytest.mark.parametrize('value', [0, 255])
def test_the_outline_shows_on_any_ground(value):
    shown = overlay_mask(grey(300, 400, value), square_mask(), opacity=0.2)
    along = shown[150, 140:160].astype(int)  # across the left edge of the mask
    assert (np.abs(along - np.array(ALARM)).max(-1) < 40).any()
    alarm_on_alarm = overlay_mask(np.full((300, 400, 3), ALARM, np.uint8), square_mask())
    assert (np.abs(alarm_on_alarm.astype(int) - np.array(ALARM)).max(-1) > 60).sum() > 300, 'a rim of another colour'


@pytest.mark.parametrize('mask', [np.zeros((8, 8)), np.full((8, 8), 0.49), np.zeros((8, 8), bool)])
def test_no_mask_no_change(mask):
    np.testing.assert_array_equal(overlay_mask(grey(30, 40), mask), grey(30, 40))


def test_a_small_mask_is_stretched_over_the_frame():
    mask = np.zeros((4, 4), bool)
    mask[:, 2:] = True
    changed = (overlay_mask(grey(80, 80), mask) != 100).any(-1)
    assert changed[:, 45:].all() and not changed[:, :35].any()


@pytest.mark.parametrize(
    ('size', 'shown'),
    [
        ((96, 96), (384, 384)),
        ((432, 768), (432, 768)),
        ((431, 767), (432, 768)),
        ((97, 51), (730, 384)),
        ((1, 1), (384, 384)),
    ],
)
def test_display_size(size, shown):
    assert display_size(*size) == shown


def test_a_ribbon_is_not_blown_up_without_bound():
    assert max(display_size(2, 4000)) == 4000
    assert max(display_size(2, 1000)) == 3840


@pytest.mark.parametrize('size', [(96, 96), (1, 1), (431, 767), (384, 6), (2, 300), (500, 401)])
def test_every_size_gives_even_frames(size):
    annotator = FrameAnnotator(height=size[0], width=size[1], categories=['red star'], threshold=0.5, fps=8)
    shown = annotator.draw(grey(*size), np.ones(size, np.float16), 0.7, 3)
    assert shown.shape == (*annotator.size, 3) and shown.dtype == np.uint8
    assert annotator.size[0] % 2 == annotator.size[1] % 2 == 0


def test_a_large_frame_is_shown_pixel_by_pixel():
    frame = np.random.default_rng(0).integers(0, 256, (401, 501, 3), dtype=np.uint8)
    annotator = FrameAnnotator(height=401, width=501, categories=['a'], threshold=0.5, fps=8)
    np.testing.assert_array_equal(annotator.draw(frame, None, 0.2, 0)[:401, :501], frame)


def bar_length(annotator, score):
    """Pixels of the score bar that are filled, counted in the picture."""
    shown = annotator.draw(grey(96, 96), None, score, 0)
    left, top, right, bottom = annotator._bar
    row = shown[annotator.frame_size[0] + (top + bottom) // 2, left : right + 1].tolist()
    colour = ALARM if score >= annotator.threshold else QUIET
    return sum(pixel == list(colour) for pixel in row) / len(row)


def test_the_bar_grows_with_the_score_and_changes_colour_at_the_threshold():
    annotator = FrameAnnotator(height=96, width=96, categories=['a'], threshold=0.5, fps=8)
    assert bar_length(annotator, 0.0) == 0
    for score in (0.25, 0.49, 0.75, 1.0):
        assert bar_length(annotator, score) == pytest.approx(score, abs=0.02)


@pytest.mark.parametrize('fps', [0, 8])
def test_words_that_do_not_fit_are_counted(fps):
    many = FrameAnnotator(height=96, width=96, categories=['w' * 300, *map(str, range(99))], threshold=0.5, fps=fps)
    assert many.draw(grey(96, 96), None, 0.0, 10**9).shape == (*many.size, 3)


def test_time_has_hours_where_there_are_any():
    times = [format_time(seconds) for seconds in (0, 59.99, 60, 3725.5)]
    assert times == ['00:00.0', '00:59.9', '01:00.0', '1:02:05.5']
