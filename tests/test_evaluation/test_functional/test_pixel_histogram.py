import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from lavida_mm.evaluation.functional.pixel_histogram import PixelHistogram


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


@settings(max_examples=60, deadline=None)
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
@settings(max_examples=30, deadline=None)
@given(case=float_pixels())
def test_bound_holds_for_any_score_and_any_number_of_bins(num_bins, case):
    scores, masks = case
    histogram = PixelHistogram(num_bins)
    histogram.update(scores, masks)
    assert abs(histogram.auc() - roc_auc_score(masks, scores)) <= histogram.error_bound() + 1e-12
    assert histogram.negatives.size <= num_bins


@pytest.mark.parametrize('num_bins', [16, 1024, 16384, 65536])
@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_bins_are_those_of_the_definition(num_bins, dtype):
    """Each score by itself, in Python's own arithmetic: round down to the grid, then count."""
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.random(300), 2.0 ** rng.uniform(-40, 0, 700), [0, -0.0, 1, 2**-14, 2**-13, 5e-324]])
    scores = scores.astype(dtype)
    if dtype is np.float64:
        scores = scores.astype(np.float32).astype(np.float64)  # float64 is rounded to float32 first
    histogram = PixelHistogram(num_bins)
    histogram.update(scores, scores > 0.3)
    size = histogram.positives.size
    bits = int(np.log2((size - 1) // 15))
    expected = np.zeros((3, size), dtype=np.int64)
    for score in scores.tolist():
        exponent = max(int(np.floor(np.log2(score))), -15) if score else -15
        spacing = 2.0 ** (max(exponent, -14) - bits)
        start = 0 if exponent < -14 else (exponent + 15) << bits
        place = score / spacing - (0 if exponent < -14 else 1 << bits)
        expected[0 if score > 0.3 else 1, start + int(place)] += 1
        expected[2, start + int(place)] += place != int(place)
    assert np.array_equal(histogram.state(), expected)


def test_float16_and_float32_of_one_value_count_alike():
    rng = np.random.default_rng(1)
    short, masks = rng.random((7, 300, 400)).astype(np.float16), rng.random((7, 300, 400)) < 0.1
    first, second, mixed = PixelHistogram(), PixelHistogram(), PixelHistogram()
    first.update(short, masks)
    second.update(short.astype(np.float32), masks.astype(np.int64))
    for index, (scores, mask) in enumerate(zip(short, masks)):
        mixed.update(scores.astype([np.float16, np.float32, np.float64][index % 3]).T, mask.astype(np.uint8).T)
        if index == 4:
            assert mixed.positives.sum() == masks[:5].sum()  # reading in between changes nothing
    assert np.array_equal(first.state(), second.state())
    assert np.array_equal(first.state(), mixed.state())


def test_minus_zero_is_zero():
    for num_bins in (16, 65536):
        for dtype in (np.float16, np.float32, np.float64):
            histogram = PixelHistogram(num_bins)
            histogram.update(np.array([-0.0, 0.0], dtype=dtype), np.array([False, True]))
            assert histogram.state()[:, 0].tolist() == [1, 1, 0]


def test_a_loaded_state_replaces_what_was_counted():
    first, second = PixelHistogram(), PixelHistogram()
    first.update(np.array([0.25, 0.3]), np.array([True, False]))
    second.update(np.array([0.5], dtype=np.float16), np.array([True]))
    second.load_state(first.state())
    assert np.array_equal(second.state(), first.state())
    state = first.state()
    state += 1
    assert first.positives.sum() == 1  # a state is a copy


def test_bound_is_reached_where_all_scores_share_a_bin():
    histogram = PixelHistogram(16)
    histogram.update(np.array([0.6, 0.7]), np.array([False, True]))
    assert (histogram.auc(), histogram.error_bound()) == (0.5, 0.5)  # the true AUC is 1


@settings(max_examples=30, deadline=None)
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
        ([0.5, 0.5], [0, np.nan], '0 or 1, got nan'),
        ([0.5, 0.5], [0], 'one shape'),
    ],
)
@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64])
def test_bad_input_is_refused(scores, masks, rule, dtype):
    for mask_dtype in {np.array(masks).dtype, np.uint8} if np.isfinite(masks).all() else {np.float64}:
        with pytest.raises(ValueError, match=rule):
            PixelHistogram().update(np.array(scores, dtype=dtype), np.array(masks, dtype=mask_dtype))


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match='real numbers, got an array of <U3'):
        PixelHistogram().update(np.array(['0.5']), np.array([True]))


@pytest.mark.parametrize('dtype', [np.float16, np.float64])
def test_nothing_is_counted_of_a_refused_update(dtype):
    histogram = PixelHistogram()
    scores, masks = np.full(200_000, 0.5, dtype=dtype), np.zeros(200_000, dtype=bool)
    scores[-1] = 2  # in the last chunk
    with pytest.raises(ValueError, match='got 2'):
        histogram.update(scores, masks)
    assert not histogram.state().any()


def test_no_pixels_are_no_error():
    histogram = PixelHistogram()
    histogram.update(np.zeros((0, 4), dtype=np.float16), np.zeros((0, 4), dtype=bool))
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
    for num_bins in (3, 65537):
        with pytest.raises(ValueError, match=f'at least 16 and at most 65536, got {num_bins}'):
            PixelHistogram(num_bins)
