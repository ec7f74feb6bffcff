import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from lavida_mm.evaluation.functional import PixelHistogram


def with_both_classes(draw, dtype):
    width = np.dtype(dtype).itemsize * 8
    scores = draw(hnp.arrays(dtype, st.integers(2, 80), elements=st.floats(0, 1, width=width)))
    masks = draw(hnp.arrays(bool, scores.shape))
    masks[:2] = [False, True]
    return scores, masks


@st.composite
def float16_pixels(draw):
    return with_both_classes(draw, np.float16)


@st.composite
def float_pixels(draw):
    return with_both_classes(draw, draw(st.sampled_from([np.float32, np.float64])))


@settings(max_examples=100, deadline=None)
@given(float16_pixels())
def test_float16_scores_are_exact(case):
    scores, masks = case
    histogram = PixelHistogram()
    histogram.update(scores, masks)
    assert histogram.error_bound() == 0
    assert histogram.auc() == pytest.approx(roc_auc_score(masks, scores), abs=1e-12)
    assert histogram.average_precision() == pytest.approx(average_precision_score(masks, scores), abs=1e-12)


def test_every_float16_has_a_bin_of_its_own():
    values = np.arange(0x3C01, dtype=np.uint16).view(np.float16)  # all of [0, 1]
    histogram = PixelHistogram()
    histogram.update(values, np.zeros(values.shape, dtype=bool))
    assert histogram.negatives.max() == 1
    assert histogram.negatives.size <= 65536
    order = np.flatnonzero(histogram.negatives)
    assert len(order) == len(values)


@pytest.mark.parametrize('num_bins', [16, 256, 65536])
@settings(max_examples=60, deadline=None)
@given(case=float_pixels())
def test_bound_holds_for_any_score_and_any_number_of_bins(num_bins, case):
    scores, masks = case
    histogram = PixelHistogram(num_bins)
    histogram.update(scores, masks)
    assert abs(histogram.auc() - roc_auc_score(masks, scores)) <= histogram.error_bound() + 1e-12
    assert histogram.negatives.size <= num_bins


def test_bound_is_reached_where_all_scores_share_a_bin():
    histogram = PixelHistogram(16)
    histogram.update(np.array([0.6, 0.7]), np.array([False, True]))
    assert (histogram.auc(), histogram.error_bound()) == (0.5, 0.5)  # the true AUC is 1


@settings(max_examples=50, deadline=None)
@given(float_pixels(), st.data())
def test_parts_merge_to_the_whole_in_any_order(case, data):
    scores, masks = case
    cut = data.draw(st.integers(0, len(scores)))
    whole, first, second = PixelHistogram(), PixelHistogram(), PixelHistogram()
    whole.update(scores, masks)
    first.update(scores[:cut], masks[:cut])
    second.update(scores[cut:], masks[cut:].astype(np.uint8))
    second.merge(first)
    assert np.array_equal(second.state(), whole.state())
    assert (second.auc(), second.error_bound()) == (whole.auc(), whole.error_bound())


def test_large_arrays_are_counted_in_chunks():
    rng = np.random.default_rng(0)
    scores = rng.random((5, 500, 500)).astype(np.float16)
    masks = rng.random(scores.shape) < scores * 0.1
    histogram = PixelHistogram()
    histogram.update(scores, masks)
    assert histogram.positives.sum() + histogram.negatives.sum() == scores.size
    assert histogram.auc() == pytest.approx(roc_auc_score(masks.ravel(), scores.ravel()), abs=1e-12)


@pytest.mark.parametrize(
    ('scores', 'masks', 'rule'),
    [
        ([0.5, 1.5], [0, 1], r'\[0, 1\], got 1.5'),
        ([0.5, -0.1], [0, 1], r'\[0, 1\]'),
        ([0.5, np.nan], [0, 1], r'\[0, 1\], got nan'),
        ([0.5, 0.5], [0, 255], '0 or 1, got 255'),
        ([0.5, 0.5], [0], 'one shape'),
    ],
)
def test_bad_input_is_refused(scores, masks, rule):
    with pytest.raises(ValueError, match=rule):
        PixelHistogram().update(np.array(scores), np.array(masks))


def test_nothing_is_counted_of_a_refused_update():
    histogram = PixelHistogram()
    with pytest.raises(ValueError, match='got 2'):
        histogram.update(np.array([0.5, 2.0]), np.array([False, True]))
    assert not histogram.state().any()


def test_one_class_and_other_sizes_are_loud():
    histogram = PixelHistogram()
    histogram.update(np.array([0.1]), np.array([True]))
    with pytest.raises(ValueError, match='both classes'):
        histogram.auc()
    assert histogram.error_bound() == 0
    with pytest.raises(ValueError, match='65536 and 32'):
        histogram.merge(PixelHistogram(32))
    with pytest.raises(ValueError, match='shape'):
        histogram.load_state(np.zeros((3, 4), dtype=np.int64))
    with pytest.raises(ValueError, match='at least 16, got 3'):
        PixelHistogram(3)
