"""Curves of frames against scikit-learn, over inputs with ties, one class and constant scores."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from lavida_mm.evaluation.functional.frame_curves import (
    auc_from_counts,
    average_precision,
    eer,
    far_at,
    frame_auc,
    frame_auc_macro,
    frame_auc_padded,
    pr_auc_trapz,
    pr_curve_points,
    roc_curve_points,
)

MEASURES = [frame_auc, average_precision, pr_auc_trapz, eer]


@st.composite
def labelled_scores(draw, both_classes=True):
    """Scores with many ties, of any float or integer type."""
    size = draw(st.integers(2, 60))
    levels = draw(st.sampled_from([1, 2, 5, 1000]))
    numbers = np.array(draw(st.lists(st.integers(-levels, levels), min_size=size, max_size=size)))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.float16, np.int64]))
    scores = numbers if dtype is np.int64 else (numbers / levels).astype(dtype)
    labels = np.array(draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
    if both_classes:
        labels[:2] = [0, 1]
    return scores, labels.astype(draw(st.sampled_from([bool, np.uint8, np.int64, np.float32])))


@settings(max_examples=80, deadline=None)
@given(labelled_scores())
def test_equals_scikit_learn_with_ties(case):
    scores, labels = case
    assert frame_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    precision, recall, _ = precision_recall_curve(labels, scores)
    assert pr_auc_trapz(scores, labels) == pytest.approx(auc(recall, precision), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float64, 30, elements=st.floats(-1e300, 1e300)), hnp.arrays(bool, 30))
def test_equals_scikit_learn_on_any_real_scores(scores, labels):
    labels[:2] = [False, True]
    assert frame_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def equal_error_by_bisection(scores, labels):
    """The definition itself: false alarms equal misses on the ROC curve of scikit-learn, found by halving.

    The curve is walked along its length, since it may have vertical pieces.
    """
    false_rate, true_rate, _ = roc_curve(labels, scores, drop_intermediate=False)
    steps = np.arange(false_rate.size)
    low, high = 0.0, float(steps[-1])
    for _ in range(200):
        middle = (low + high) / 2
        alarmed, missed = np.interp(middle, steps, false_rate), 1 - np.interp(middle, steps, true_rate)
        low, high = (middle, high) if alarmed < missed else (low, middle)
    return np.interp(high, steps, false_rate)


@settings(max_examples=60, deadline=None)
@given(labelled_scores())
def test_equal_error_rate_is_where_both_errors_are_equal(case):
    scores, labels = case
    assert eer(scores, labels) == pytest.approx(equal_error_by_bisection(scores, labels), abs=1e-12)


def test_equal_error_rate_by_hand():
    labels = np.array([0, 0, 1, 1])
    assert eer(np.array([0.1, 0.2, 0.8, 0.9]), labels) == 0
    assert eer(np.array([0.8, 0.9, 0.1, 0.2]), labels) == 1
    assert eer(np.array([0.1, 0.8, 0.2, 0.9]), labels) == 0.5
    assert eer(np.full(4, 0.3), labels) == 0.5


@settings(max_examples=40, deadline=None)
@given(labelled_scores(), st.randoms())
def test_order_of_frames_does_not_change_a_bit(case, random):
    scores, labels = case
    order = list(range(len(scores)))
    random.shuffle(order)
    for measure in MEASURES:
        assert measure(scores[order], labels[order]) == measure(scores, labels)


def test_figures_by_hand():
    scores, labels = np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False])
    assert frame_auc(scores, labels) == (4 - 0.5) / 4  # one of four pairs is a tie
    assert average_precision(scores, labels) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert pr_auc_trapz(scores, labels) == pytest.approx(0.5 * 1 + 0.5 * (1 + 2 / 3) / 2)


def test_constant_scores_are_chance():
    labels = np.array([0, 1, 0, 0])
    assert frame_auc(np.full(4, 0.3), labels) == 0.5
    assert average_precision(np.full(4, 0.3), labels) == 0.25
    assert pr_auc_trapz(np.full(4, 0.3), labels) == (1 + 0.25) / 2  # how the trapezoid flatters


def test_minus_zero_is_zero():
    assert frame_auc(np.array([-0.0, 0.0]), np.array([0, 1])) == 0.5


@pytest.mark.parametrize('measure', [*MEASURES, roc_curve_points, pr_curve_points])
@pytest.mark.parametrize('labels', [[0, 0, 0], [1, 1, 1]])
def test_one_class_is_loud(measure, labels):
    with pytest.raises(ValueError, match='both classes are needed'):
        measure(np.array([0.1, 0.2, 0.3]), np.array(labels))


@pytest.mark.parametrize('measure', [*MEASURES, roc_curve_points, pr_curve_points])
@pytest.mark.parametrize(
    ('scores', 'labels', 'rule'),
    [
        ([0.1, np.nan], [0, 1], 'finite, 1 are not'),
        ([0.1, np.inf], [0, 1], 'finite'),
        ([0.1, 0.2], [0, 2], '0 or 1, got 2'),
        ([0.1, 0.2], [0, np.nan], '0 or 1, got nan'),
        ([0.1, 0.2, 0.3], [0, 1], 'one shape'),
        ([[0.1, 0.2]], [[0, 1]], 'one shape'),
        (['a', 'b'], [0, 1], 'real numbers, got an array of <U1'),
        ([1j, 2], [0, 1], 'real numbers'),
        ([], [], 'both classes'),
    ],
)
def test_bad_input_is_refused(measure, scores, labels, rule):
    with pytest.raises(ValueError, match=rule):
        measure(np.array(scores), np.array(labels))


def test_counts_beyond_64_bits_stay_exact():
    positives = np.array([3 * 10**9, 10**9], dtype=np.int64)
    negatives = np.array([10**9, 3 * 10**9], dtype=np.int64)
    # 1e18 pairs won, 6e18 tied, of 16e18
    assert auc_from_counts(positives, negatives) == 0.25


@settings(max_examples=30, deadline=None)
@given(st.lists(labelled_scores(both_classes=False), min_size=1, max_size=5))
def test_macro_is_the_mean_over_videos_that_have_both_classes(curves):
    expected = [roc_auc_score(labels, scores) for scores, labels in curves if 0 < labels.sum() < labels.size]
    if not expected:
        with pytest.raises(ValueError, match=f'no video has both classes.*: {len(curves)} videos of one class'):
            frame_auc_macro(curves)
        return
    macro = frame_auc_macro(curves)
    assert macro.value == pytest.approx(np.mean(expected), abs=1e-12)
    assert (macro.num_videos, macro.num_excluded) == (len(expected), len(curves) - len(expected))
    assert frame_auc_macro(curves[::-1]) == macro


@settings(max_examples=30, deadline=None)
@given(st.lists(labelled_scores(both_classes=False), min_size=1, max_size=5))
def test_padded_has_every_video(curves):
    expected = []
    for scores, labels in curves:
        inside = scores.min() >= 0 and scores.max() <= 1
        low, high = (0, 1) if inside else (min(scores.min(), 0), max(scores.max(), 1))
        expected.append(roc_auc_score([0, *labels, 1], [low, *scores, high]))
        assert frame_auc_padded(scores, labels) == pytest.approx(expected[-1], abs=1e-12)
    macro = frame_auc_macro(curves, padded=True)
    assert macro.value == pytest.approx(np.mean(expected), abs=1e-12)
    assert (macro.num_videos, macro.num_excluded) == (len(curves), 0)


def test_padding_by_hand():
    assert frame_auc_padded(np.array([0.2, 0.6]), np.array([0, 0])) == 1
    assert frame_auc_padded(np.array([0.0, 1.0]), np.array([1, 0])) == (0.5 + 0 + 1 + 0.5) / 4
    assert frame_auc_padded(np.array([-7.0, 5.0]), np.array([1, 0])) == (0.5 + 0 + 1 + 0.5) / 4  # the same as logits
    with pytest.raises(ValueError, match='at least one frame'):
        frame_auc_padded(np.array([]), np.array([]))


def test_false_alarm_rate_counts_normal_frames_from_the_threshold_on():
    scores, labels = np.array([0.5, 0.49, 0.9, 0.9]), np.array([0, 0, 0, 1])
    assert far_at(scores, labels) == pytest.approx(2 / 3)
    assert far_at(scores, labels, threshold=0.95) == 0
    assert far_at(scores, np.zeros(4), threshold=0) == 1


@pytest.mark.parametrize(
    ('scores', 'labels', 'threshold', 'rule'),
    [
        ([0.1, 1.2], [0, 1], 0.5, r'\[0, 1\] for a fixed threshold, got 1.2'),
        ([-3.0, 0.2], [0, 1], 0.5, r'got -3.0'),
        ([0.1, 0.2], [1, 1], 0.5, 'normal frames are needed'),
        ([0.1, 0.2], [0, 1], 50, r'threshold must be in \[0, 1\], got 50'),
        ([0.1, np.nan], [0, 1], 0.5, 'finite'),
    ],
)
def test_false_alarm_rate_refuses(scores, labels, threshold, rule):
    with pytest.raises(ValueError, match=rule):
        far_at(np.array(scores), np.array(labels), threshold)


@settings(max_examples=30, deadline=None)
@given(labelled_scores())
def test_curve_points_equal_scikit_learn(case):
    scores, labels = case
    for got, expected in zip(roc_curve_points(scores, labels), roc_curve(labels, scores, drop_intermediate=False)):
        assert np.allclose(got, expected, atol=1e-12)
    recall, precision, thresholds = pr_curve_points(scores, labels)
    their_precision, their_recall, their_thresholds = precision_recall_curve(labels, scores)
    assert np.allclose(recall[::-1], their_recall, atol=1e-12)
    assert np.allclose(precision[::-1], their_precision, atol=1e-12)
    assert np.array_equal(thresholds[:0:-1], their_thresholds)
    assert math.isinf(thresholds[0])


@pytest.mark.parametrize('curve_points', [roc_curve_points, pr_curve_points])
def test_thinned_curves_keep_their_shape(curve_points):
    rng = np.random.default_rng(0)
    labels = rng.random(20000) < 0.2
    scores = rng.normal(labels)
    x, y, thresholds = curve_points(scores, labels, max_points=500)
    full_x, full_y, full_thresholds = curve_points(scores, labels, max_points=10**6)
    assert len(x) == len(y) == len(thresholds) <= 500 < len(full_x)
    assert (x[0], y[0], x[-1], y[-1]) == (full_x[0], full_y[0], full_x[-1], full_y[-1])
    assert set(thresholds) <= set(full_thresholds)
    assert np.trapezoid(y, x) == pytest.approx(np.trapezoid(full_y, full_x), abs=2e-3)
    with pytest.raises(ValueError, match='max_points must be at least 2, got 1'):
        curve_points(scores, labels, max_points=1)
