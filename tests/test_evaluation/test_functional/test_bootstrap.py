"""Bootstrap over videos against one that copies the videos it draws and asks scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from lavida_mm.evaluation.functional.bootstrap import (
    bootstrap_interval,
    draw_videos,
    frame_figure_of_draws,
    pixel_auc_of_draws,
)

THEIRS = {'frame_auc': roc_auc_score, 'average_precision': average_precision_score}


def slow_interval(curves, measure, num_draws, confidence, seed):
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(num_draws):
        drawn = [curves[index] for index in rng.integers(0, len(curves), len(curves))]
        labels = np.concatenate([labels for _, labels in drawn])
        if 0 < labels.sum() < labels.size:
            values.append(THEIRS[measure](labels, np.concatenate([scores for scores, _ in drawn])))
    if not values:
        return None
    share = (1 - confidence) / 2
    return np.quantile(values, share), np.quantile(values, 1 - share), len(values)


@st.composite
def videos(draw):
    """Videos of both classes, of one, and of none; many ties within and across videos."""
    curves = []
    for length in draw(st.lists(st.integers(0, 12), min_size=1, max_size=6)):
        levels = draw(st.sampled_from([1, 3, 100]))
        scores = draw(st.lists(st.integers(0, levels), min_size=length, max_size=length))
        labels = draw(st.lists(st.integers(0, 1), min_size=length, max_size=length))
        curves.append((np.array(scores, dtype=float) / levels, np.array(labels, dtype=int)))
    curves.append((np.array([0.4, 0.6]), np.array([0, 1])))
    return curves


@settings(max_examples=25, deadline=None)
@given(videos(), st.sampled_from(sorted(THEIRS)), st.sampled_from([0.5, 0.95]), st.integers(0, 1000))
def test_equals_the_slow_bootstrap(curves, measure, confidence, seed):
    expected = slow_interval(curves, measure, 15, confidence, seed)
    if expected is None:
        with pytest.raises(ValueError, match='none of 15 draws'):
            bootstrap_interval(curves, measure, num_draws=15, confidence=confidence, seed=seed)
        return
    low, high, num_draws = expected
    got = bootstrap_interval(curves, measure, num_draws=15, confidence=confidence, seed=seed)
    assert (got.low, got.high) == pytest.approx((low, high), abs=1e-12)
    assert (got.num_draws, got.num_undefined, got.confidence) == (num_draws, 15 - num_draws, confidence)
    everything = [np.concatenate(parts) for parts in zip(*curves)]
    assert got.value == pytest.approx(THEIRS[measure](everything[1], everything[0]), abs=1e-12)


def make_curves(num_videos, length, seed):
    rng = np.random.default_rng(seed)
    curves = []
    for _ in range(num_videos):
        labels = np.zeros(length, dtype=int)
        labels[length // 2 :] = rng.random() < 0.5
        curves.append((rng.normal(labels * 1.0 + rng.normal(), 1.0), labels))
    return curves


@pytest.mark.parametrize('measure', sorted(THEIRS))
def test_draws_are_of_videos_and_wider_than_of_frames(measure):
    curves = make_curves(30, 50, 0)
    together = bootstrap_interval(curves, measure, num_draws=300)
    frames = [
        (np.array([score]), np.array([label])) for scores, labels in curves for score, label in zip(scores, labels)
    ]
    apart = bootstrap_interval(frames, measure, num_draws=300)
    assert together.value == apart.value
    assert together.low < together.value < together.high
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_covers_the_truth_about_as_often_as_it_says():
    truth = 0.6915  # two normals of variance 2 around 0 and 1: the standard normal distribution at 1 / 2
    inside = 0
    for seed in range(40):
        interval = bootstrap_interval(make_curves(40, 20, seed), num_draws=200, confidence=0.9)
        inside += interval.low <= truth <= interval.high
    assert 29 <= inside <= 40


def test_equal_seeds_give_equal_intervals():
    curves = make_curves(10, 20, 1)
    first = bootstrap_interval(curves, num_draws=50, seed=3)
    assert bootstrap_interval(curves, num_draws=50, seed=3) == first
    assert bootstrap_interval(curves, num_draws=50, seed=4) != first


def test_scores_that_hold_for_many_frames_change_nothing():
    curves = make_curves(10, 20, 2)
    held = [(np.repeat(scores, 16), np.repeat(labels, 16)) for scores, labels in curves]
    assert bootstrap_interval(held, num_draws=50) == bootstrap_interval(curves, num_draws=50)


@pytest.mark.parametrize(
    ('changes', 'rule'),
    [
        ({'measure': 'ap'}, "measure must be one of frame_auc, average_precision, got 'ap'"),
        ({'num_draws': 0}, 'num_draws must be at least 1, got 0'),
        ({'confidence': 95}, r'confidence must be in \(0, 1\), got 95'),
        ({'curves': []}, 'at least one video'),
        ({'curves': [([0.1, 0.2], [0, 0])]}, 'both classes'),
        ({'curves': [([0.1, 0.2], [1, 1])]}, 'both classes'),
        ({'curves': [([], [])]}, 'both classes'),
        ({'curves': [([0.1, np.nan], [0, 1])]}, 'finite'),
    ],
)
def test_bad_input_is_refused(changes, rule):
    sound = {'curves': [([0.1, 0.2], [0, 1])], 'num_draws': 5}
    with pytest.raises(ValueError, match=rule):
        bootstrap_interval(**{**sound, **changes})


def test_no_draw_with_both_classes_is_loud():
    curves = [(np.array([0.1]), np.array([0])), (np.array([0.2]), np.array([1]))]
    seed = next(seed for seed in range(100) if slow_interval(curves, 'frame_auc', 1, 0.95, seed) is None)
    with pytest.raises(ValueError, match='none of 1 draws of 2 videos'):
        bootstrap_interval(curves, num_draws=1, seed=seed)


def test_draws_are_as_many_videos_as_there_are_and_come_again():
    times = draw_videos(7, 300, seed=3)
    assert times.shape == (300, 7)
    assert (times.sum(axis=1) == 7).all()
    assert times.mean() == pytest.approx(1) and np.ptp(times.mean(axis=0)) < 0.3
    assert (draw_videos(7, 300, seed=3) == times).all()
    assert (draw_videos(7, 300, seed=4) != times).any()


@pytest.mark.parametrize('name', ['num_videos', 'num_draws'])
def test_draws_of_nothing_are_refused(name):
    with pytest.raises(ValueError, match=f'{name} must be at least 1, got 0'):
        draw_videos(**{'num_videos': 2, 'num_draws': 2, name: 0})


@settings(max_examples=25, deadline=None)
@given(videos(), st.sampled_from(sorted(THEIRS)), st.integers(0, 1000))
def test_figures_of_draws_are_those_whose_percentiles_are_the_interval(curves, measure, seed):
    times = draw_videos(len(curves), 12, seed)
    got = frame_figure_of_draws(curves, times, measure)
    for row, value in zip(times, got, strict=True):
        labels = np.concatenate([np.tile(labels, n) for (_, labels), n in zip(curves, row, strict=True)])
        scores = np.concatenate([np.tile(scores, n) for (scores, _), n in zip(curves, row, strict=True)])
        if 0 < labels.sum() < labels.size:
            assert value == pytest.approx(THEIRS[measure](labels, scores), abs=1e-12)
        else:
            assert np.isnan(value)


def test_unknown_measure_of_draws_is_refused():
    with pytest.raises(ValueError, match="measure must be one of frame_auc, average_precision, got 'auc'"):
        frame_figure_of_draws([(np.array([0.1]), np.array([0]))], np.ones((1, 1), dtype=int), 'auc')


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 1000))
def test_pixel_auc_of_draws_is_that_of_the_pixels_themselves(num_videos, num_bins, seed):
    rng = np.random.default_rng(seed)
    positives, negatives = rng.integers(0, 4, (2, num_videos, num_bins)) * rng.integers(0, 2, (2, num_videos, num_bins))
    times = draw_videos(num_videos, 8, seed)
    for row, value in zip(times, pixel_auc_of_draws(positives, negatives, times), strict=True):
        anomalous, normal = (np.repeat(np.arange(num_bins), row @ counts) for counts in (positives, negatives))
        if anomalous.size and normal.size:
            labels = np.repeat([1, 0], [anomalous.size, normal.size])
            assert value == pytest.approx(roc_auc_score(labels, np.concatenate([anomalous, normal])), abs=1e-12)
        else:
            assert np.isnan(value)
