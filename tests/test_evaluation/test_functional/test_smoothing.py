"""Smoothing against SciPy's filters, and against the mean written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from lavida_mm.evaluation.functional.frame_curves import frame_auc
from lavida_mm.evaluation.functional.smoothing import causal, forward_mean, gaussian, smooth

curves = hnp.arrays(np.float64, st.integers(1, 80), elements=st.floats(-1, 1))


@settings(max_examples=60, deadline=None)
@given(curves, st.floats(0.1, 30))
def test_gaussian_equals_scipy(scores, sigma):
    assert np.allclose(gaussian(scores, sigma), ndimage.gaussian_filter1d(scores, sigma), rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(curves, st.integers(1, 100))
def test_means_are_means(scores, width):
    size = scores.size
    trailing = [np.mean(scores[max(0, frame - width + 1) : frame + 1]) for frame in range(size)]
    leading = [np.mean(scores[frame : frame + width]) for frame in range(size)]
    assert np.allclose(causal(scores, width), trailing, rtol=0, atol=1e-12)
    assert np.allclose(forward_mean(scores, width), leading, rtol=0, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(curves, st.integers(1, 40))
def test_means_equal_scipy(scores, width):
    """SciPy's running mean with zeros around the curve, over the share of the window that lies on the curve."""
    for function, origin in ((causal, (width - 1) // 2), (forward_mean, -(width // 2))):
        total = ndimage.uniform_filter1d(scores, width, mode='constant', origin=origin)
        covered = ndimage.uniform_filter1d(np.ones_like(scores), width, mode='constant', origin=origin)
        assert np.allclose(function(scores, width), total / covered, rtol=0, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(curves, st.integers(1, 40), st.data())
def test_a_causal_mean_never_looks_ahead(scores, width, data):
    cut = data.draw(st.integers(1, scores.size))
    assert np.array_equal(causal(scores, width)[:cut], causal(scores[:cut], width))


@pytest.mark.parametrize(
    'how', [{'kind': 'gaussian', 'sigma': 7}, {'kind': 'causal', 'width': 9}, {'kind': 'forward-mean', 'width': 9}]
)
def test_a_constant_curve_stays_constant(how):
    """Rounding would break its ties, and the AUC would be that of the noise."""
    scores = np.full(50, 0.1)
    labels = np.arange(50) < 20
    smoothed = smooth(scores, **how)
    assert smoothed.tolist() == scores.tolist()
    assert frame_auc(smoothed, labels) == 0.5


def test_by_name_equals_by_function():
    scores = np.random.default_rng(0).random(40)
    before = scores.copy()
    assert np.array_equal(smooth(scores, kind='gaussian', sigma=2.5), gaussian(scores, 2.5))
    assert np.array_equal(smooth(scores, kind='causal', width=5), causal(scores, 5))
    assert np.array_equal(smooth(scores, kind='forward-mean', width=5), forward_mean(scores, 5))
    assert np.array_equal(scores, before)
    assert smooth(scores.astype(np.float32), kind='causal', width=1).dtype == np.float64


def test_means_by_hand():
    assert causal([1, 2, 6], 2).tolist() == [1, 1.5, 4]
    assert forward_mean([1, 2, 6], 2).tolist() == [1.5, 4, 6]


def test_an_empty_curve_stays_empty():
    for smoothed in (gaussian([], 2), causal([], 2), forward_mean([], 2)):
        assert smoothed.shape == (0,)


@pytest.mark.parametrize(
    ('how', 'rule'),
    [
        ({'kind': 'median', 'width': 3}, "one of gaussian, causal, forward-mean, got 'median'"),
        ({'kind': 'gaussian'}, "'gaussian' needs sigma and nothing else, got nothing"),
        ({'kind': 'gaussian', 'width': 3}, 'needs sigma and nothing else, got width'),
        ({'kind': 'causal', 'width': 3, 'sigma': 2}, 'needs width and nothing else, got sigma, width'),
        ({'kind': 'gaussian', 'sigma': 0}, 'sigma must be positive and finite'),
        ({'kind': 'gaussian', 'sigma': float('nan')}, 'sigma must be positive and finite'),
        ({'kind': 'causal', 'width': 0}, 'whole number of frames, at least 1, got 0'),
        ({'kind': 'forward-mean', 'width': 2.5}, 'whole number of frames, at least 1, got 2.5'),
    ],
)
def test_bad_settings_are_refused(how, rule):
    with pytest.raises(ValueError, match=rule):
        smooth(np.zeros(5), **how)


@pytest.mark.parametrize('how', [{'kind': 'gaussian', 'sigma': 1}, {'kind': 'causal', 'width': 2}])
def test_bad_curves_are_refused(how):
    with pytest.raises(ValueError, match='frame 1 is not'):
        smooth(np.array([0, np.nan]), **how)
    with pytest.raises(ValueError, match='one dimension'):
        smooth(np.zeros((2, 2)), **how)
