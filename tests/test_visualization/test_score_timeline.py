"""The score plot: it is drawn at the right place, in any length, without a display."""

import numpy as np
import pytest
from PIL import Image

from lavida_mm.visualization import draw_score_timeline
from lavida_mm.visualization.palette import ALARM
from lavida_mm.visualization.score_timeline import thin_curve


def draw(tmp_path, scores, **settings):
    path = tmp_path / 'plot.png'
    draw_score_timeline(path, np.asarray(scores), threshold=0.5, **settings)
    with Image.open(path) as picture:
        assert picture.format == 'PNG'
        return np.asarray(picture.convert('RGB')).astype(int)


def columns_of(picture, colour, tolerance=12):
    """Columns in which at least three pixels have the colour, as shares of the picture's width."""
    close = (np.abs(picture - np.array(colour)) <= tolerance).all(-1).sum(0) >= 3
    return np.flatnonzero(close) / picture.shape[1]


@pytest.mark.parametrize('fps', [0, 12.5])
def test_ground_truth_is_shaded_where_it_lies(tmp_path, fps):
    scores = np.zeros(100)
    plain = draw(tmp_path, scores, fps=fps)
    early = draw(tmp_path, scores, fps=fps, ground_truth=[(0, 50)])
    late = draw(tmp_path, scores, fps=fps, ground_truth=[(50, 100)])
    rows = slice(plain.shape[0] // 3, plain.shape[0] // 2)  # between legend and curve
    for picture, half in ((early, slice(0, 2)), (late, slice(2, 4))):
        quarters = np.array_split((picture[rows] != plain[rows]).any((0, 2)), 4)
        touched = [bool(quarter.mean() > 0.3) for quarter in quarters]
        expected = [False] * 4
        expected[half] = [True, True]
        assert touched == expected


def test_events_are_bars_of_their_length(tmp_path):
    columns = columns_of(draw(tmp_path, np.zeros(100), events=[(40, 60)]), ALARM)
    columns = columns[(columns > 0.2) & (columns < 0.8)]
    assert columns.max() - columns.min() == pytest.approx(0.2 * 0.92, abs=0.02)


def test_a_frame_at_the_threshold_is_filled(tmp_path):
    below, at = draw(tmp_path, [0, 0.49, 0]), draw(tmp_path, [0, 0.5, 0])
    middle = (int(0.7 * below.shape[0]), below.shape[1] // 2)
    assert np.subtract(*at[middle][[0, 2]]) > np.subtract(*below[middle][[0, 2]]) + 20, 'redder'


def test_one_frame_long_title_strange_letters(tmp_path):
    draw(tmp_path, [0.7], title='監視カメラ $x_1 ' * 20, ground_truth=[], events=[(0, 1)])


def test_a_short_curve_is_kept_whole():
    frames, scores = thin_curve(np.array([0.1, 0.9]))
    assert frames.tolist() == [0, 1] and scores.tolist() == [0.1, 0.9]


def test_a_long_curve_keeps_its_peaks():
    scores = np.random.default_rng(0).random(123_457) * 0.5
    scores[[7, 60_000, 123_456]] = 1.0
    frames, kept = thin_curve(scores)
    assert len(frames) <= 4000 and (np.diff(frames) > 0).all()
    np.testing.assert_array_equal(kept, scores[frames])
    assert {7, 60_000, 123_456} <= set(frames.tolist())
    assert kept.min() == scores.min()
