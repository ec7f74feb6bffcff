from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from sklearn.metrics import auc, roc_curve

from lavida_mm.evaluation.functional.aupro import AuproAccumulator, aupro, label_regions

EIGHT_NEIGHBOURS = np.ones((3, 3))


@st.composite
def frames(draw, dtype=np.float16):
    """A few frames with many ties, at least one region and at least one normal pixel."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 8), st.integers(1, 8)))
    levels = draw(st.sampled_from([1, 3, 10, 1000]))
    scores = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, levels))) / levels
    masks = draw(hnp.arrays(bool, shape))
    masks[0, 0, 0], masks[-1, -1, -1] = True, masks.size == 1
    if masks.size == 1:
        scores, masks = np.repeat(scores, 2, axis=2), np.array([[[True, False]]])
    return scores.astype(dtype), masks


limits = st.sampled_from([0.01, 0.05, 0.3, 0.7, 1.0])


def slow_aupro(scores, masks, max_fpr):
    """The definition, one threshold at a time, in fractions."""
    regions = []
    for frame, mask in zip(scores, masks):
        labels, number = ndimage.label(mask, EIGHT_NEIGHBOURS)
        regions += [frame[labels == region] for region in range(1, number + 1)]
    normal = scores[~masks]
    curve = [(Fraction(0), Fraction(0))]
    for threshold in sorted(set(scores.ravel().tolist()), reverse=True):
        overlaps = [Fraction(int((region >= threshold).sum()), region.size) for region in regions]
        curve.append((Fraction(int((normal >= threshold).sum()), normal.size), sum(overlaps) / len(regions)))
    limit, area = Fraction(max_fpr), Fraction(0)
    for (x1, y1), (x2, y2) in pairwise(curve):
        if x1 >= limit or x1 == x2:
            continue
        end = min(x2, limit)
        area += (end - x1) * (y1 + y1 + (y2 - y1) * (end - x1) / (x2 - x1)) / 2
    return float(area / limit)


def weighted_roc_aupro(scores, masks, max_fpr):
    """scikit-learn's ROC curve with every anomalous pixel weighed by one over the size of its region."""
    weights = []
    for mask in masks:
        labels, _ = ndimage.label(mask, EIGHT_NEIGHBOURS)
        weights.append(np.where(mask, 1 / np.bincount(labels.ravel())[labels], 1).ravel())
    rates, overlaps, _ = roc_curve(
        masks.ravel(),
        scores.ravel().astype(np.float64),
        sample_weight=np.concatenate(weights),
        drop_intermediate=False,
    )
    inside = int(np.searchsorted(rates, max_fpr, side='right'))
    if inside < rates.size:
        edge = np.interp(max_fpr, rates[inside - 1 : inside + 1], overlaps[inside - 1 : inside + 1])
        rates, overlaps = np.append(rates[:inside], max_fpr), np.append(overlaps[:inside], edge)
    return auc(rates, overlaps) / max_fpr if rates.size > 1 else 0.0


def accumulate(scores, masks):
    accumulator = AuproAccumulator()
    for frame, mask in zip(scores, masks):
        accumulator.update(frame, mask)
    return accumulator


@settings(max_examples=100, deadline=None)
@given(frames(), limits)
def test_equals_the_definition_on_float16_scores(case, max_fpr):
    scores, masks = case
    expected = slow_aupro(scores, masks, max_fpr)
    assert accumulate(scores, masks).value(max_fpr) == pytest.approx(expected, abs=1e-9)
    assert aupro(scores, masks, max_fpr) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(frames(), limits)
def test_equals_the_weighted_roc_curve_of_scikit_learn(case, max_fpr):
    scores, masks = case
    expected = weighted_roc_aupro(scores, masks, max_fpr)
    assert accumulate(scores, masks).value(max_fpr) == pytest.approx(expected, abs=1e-9)


def numbered_case(number):
    """Frames made by whole-number arithmetic alone, so that they are the same everywhere."""
    frame, row, column = np.indices((3, 20 + number, 30), dtype=np.int64)
    masks = ((row // 5 + column // (6 + number) + frame) % 4 == 0) & ((row * column + frame) % 11 != 3)
    noise = (row * 7919 + column * 104729 + frame * 1299709 + number * 15485863) % 97
    levels = 10 * number + 5
    return ((noise + 60 * masks) * levels // 157 / levels).astype(np.float16), masks


# Figures of anomalib 2.7.0 (metrics.aupro._AUPRO, which computes in float32) on ``numbered_case``.
ANOMALIB = {
    (0, 0.05): 0.5784365,
    (0, 0.3): 0.7486996,
    (0, 1.0): 0.9154203,
    (1, 0.05): 0.6480570,
    (1, 0.3): 0.7695692,
    (2, 0.05): 0.6264541,
    (2, 0.3): 0.7549225,
    (3, 0.3): 0.7527302,
    (4, 0.3): 0.7662112,
    (5, 0.3): 0.7674407,
    (5, 1.0): 0.9268310,
}


@pytest.mark.parametrize(('case', 'max_fpr'), ANOMALIB)
def test_equals_recorded_figures_of_anomalib(case, max_fpr):
    scores, masks = numbered_case(case)
    assert accumulate(scores, masks).value(max_fpr) == pytest.approx(ANOMALIB[case, max_fpr], abs=5e-7)


@settings(max_examples=30, deadline=None)
@given(frames(), st.data())
def test_order_of_frames_and_of_merging_does_not_change_a_bit(case, data):
    scores, masks = case
    order = data.draw(st.permutations(range(len(scores))))
    cut = data.draw(st.integers(0, len(scores)))
    first, second = accumulate(scores[order[:cut]], masks[order[:cut]]), AuproAccumulator()
    second.load_state(accumulate(scores[order[cut:]], masks[order[cut:]]).state())
    second.merge(first)
    whole = accumulate(scores, masks)
    assert np.array_equal(second.state(), whole.state())
    assert second.value() == whole.value()


@settings(max_examples=30, deadline=None)
@given(frames(dtype=np.float64))
def test_other_scores_are_rounded_to_float16_by_the_accumulator_alone(case):
    scores, masks = case
    scores = scores / 1.0001
    rounded = accumulate(scores.astype(np.float16), masks)
    assert np.array_equal(accumulate(scores, masks).state(), rounded.state())
    assert np.array_equal(accumulate(scores.astype(np.float32), masks).state(), rounded.state())
    assert aupro(scores, masks) == pytest.approx(slow_aupro(scores, masks, 0.3), abs=1e-9)


def test_figures_by_hand():
    masks = np.zeros((1, 5, 4), dtype=bool)
    masks[0, 0] = True  # a region of 4 pixels
    masks[0, 3, 3] = True  # a region of 1 pixel
    scores = np.zeros((1, 5, 4), dtype=np.float16)
    scores[0, 0, :2] = 0.75  # half of the large region, before any alarm
    scores[0, 1, :3] = 0.5  # 3 of the 15 normal pixels
    scores[0, 3, 3] = 0.25
    # The overlap is 1/4 up to a false-positive rate of 1/5, there rises to 3/4, then runs straight to 1 at a rate of 1.
    edge = 0.75 + 0.25 * (0.3 - 0.2) / 0.8
    expected = (0.2 * 0.25 + 0.1 * (0.75 + edge) / 2) / 0.3
    assert accumulate(scores, masks).value() == pytest.approx(expected, abs=1e-12)
    assert accumulate(scores, masks).num_regions == 2
    assert accumulate(scores, masks).value(max_fpr=0.1) == 0.25


def test_perfect_worst_and_constant_maps():
    masks = np.zeros((2, 6, 6), dtype=bool)
    masks[0, 1:3, 1:3] = masks[0, 4, 5] = True
    assert accumulate(masks.astype(np.float16), masks).value() == 1
    assert accumulate((~masks).astype(np.float16), masks).value() == 0
    assert accumulate(np.full(masks.shape, 0.5), masks).value() == pytest.approx(0.15)  # the diagonal


def test_pixels_that_touch_at_a_corner_are_one_region_and_frames_are_apart():
    diagonal = np.eye(3, dtype=bool)
    labels, number = label_regions(diagonal)
    assert number == 1 and np.array_equal(labels, np.eye(3))
    assert accumulate(np.zeros((2, 3, 3)), np.stack([diagonal, diagonal])).num_regions == 2


def test_negative_zero_is_zero():
    masks = np.array([[[True, False]]])
    minus, plus = np.full((1, 1, 2), -0.0, dtype=np.float16), np.zeros((1, 1, 2))
    assert np.array_equal(accumulate(minus, masks).state(), accumulate(plus, masks).state())
    assert np.array_equal(accumulate(minus.astype(np.float32), masks).state(), accumulate(plus, masks).state())


def test_memory_does_not_grow_and_a_large_region_weighs_one():
    rng = np.random.default_rng(0)
    accumulator = AuproAccumulator()
    before = accumulator.state().nbytes
    mask = np.ones((720, 1280), dtype=bool)
    mask[0] = False
    for _ in range(3):
        accumulator.update(rng.random(mask.shape, dtype=np.float32), mask)
    assert accumulator.state().nbytes == before
    assert accumulator.num_regions == 3
    assert accumulator.value() == pytest.approx(0.15, abs=0.01)


def test_counts_whose_products_pass_64_bits_stay_exact():
    accumulator = AuproAccumulator()
    state = accumulator.state()
    state[0, [0, 1]] = 10**12, 3 * 10**12
    state[1, [0, 1]] = 2**36 * 10**6, 2**36 * 3 * 10**6
    accumulator.load_state(state)
    assert accumulator.value(max_fpr=1) == 0.5
    assert accumulator.value() == pytest.approx(0.15, abs=1e-15)


@pytest.mark.parametrize('measure', [aupro, lambda scores, masks: accumulate(scores, masks).value()])
def test_missing_class_is_loud(measure):
    scores = np.zeros((2, 3, 3))
    with pytest.raises(ValueError, match='got 0 regions and 18 normal pixels'):
        measure(scores, np.zeros(scores.shape, dtype=bool))
    with pytest.raises(ValueError, match='got 2 regions and 0 normal pixels'):
        measure(scores, np.ones(scores.shape, dtype=bool))


@pytest.mark.parametrize('max_fpr', [0, -0.1, 1.1, np.nan])
def test_limit_must_be_a_rate(max_fpr):
    with pytest.raises(ValueError, match=r'max_fpr must be in \(0, 1\]'):
        aupro(np.zeros((1, 1, 2)), np.array([[[True, False]]]), max_fpr)


@pytest.mark.parametrize(
    ('scores', 'mask', 'rule'),
    [
        (np.array([[0.5, 1.5]]), [[0, 1]], r'\[0, 1\], got 1.5'),
        (np.array([[0.5, 1.5]], dtype=np.float16), [[0, 1]], r'\[0, 1\], got 1.5'),
        (np.array([[0.5, -0.1]], dtype=np.float16), [[0, 1]], r'\[0, 1\], got -0.0999'),
        (np.array([[0.5, np.nan]]), [[0, 1]], r'\[0, 1\], got nan'),
        (np.array([[0.5, np.nan]], dtype=np.float16), [[0, 1]], r'\[0, 1\], got nan'),
        (np.array([[0.5, 0.5]]), [[0, 255]], '0 or 1, got 255'),
        (np.array([[0.5, 0.5]]), [[0], [1]], r'one shape \(H, W\)'),
        (np.array([0.5, 0.5]), [0, 1], r'one shape \(H, W\)'),
    ],
)
def test_bad_frames_are_refused_and_not_counted(scores, mask, rule):
    accumulator = AuproAccumulator()
    with pytest.raises(ValueError, match=rule):
        accumulator.update(scores, np.array(mask))
    assert not accumulator.state().any()


def test_bad_input_of_the_function_is_refused():
    mask = np.array([[True, False]])
    with pytest.raises(ValueError, match='finite, 1 are not'):
        aupro([np.array([[0.5, np.inf]])], [mask])
    with pytest.raises(ValueError, match='at least one frame'):
        aupro([], [])
    with pytest.raises(ValueError, match='longer'):
        aupro([np.zeros((1, 2))], [mask, mask])
    with pytest.raises(ValueError, match='state must be of shape'):
        AuproAccumulator().load_state(np.zeros((2, 3), dtype=np.int64))


def test_function_takes_any_real_scores_and_frames_of_several_sizes():
    scores = [np.array([[-5.0, 3.0]]), np.array([[100.0], [-7.0], [2.5]])]
    masks = [np.array([[0, 1]]), np.array([[1], [0], [0]])]
    assert aupro(scores, masks) == 1
    assert aupro([-frame for frame in scores], masks) == 0
