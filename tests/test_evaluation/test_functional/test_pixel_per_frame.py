import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from lavida_mm.evaluation.functional.pixel_per_frame import (
    PixelAUCPerFrame,
    binary_mask,
    pixel_auc_of_frame,
    pixel_auc_per_frame,
)


@st.composite
def frames(draw):
    """Frames of any reals with ties; some without an anomalous pixel, some without a normal one, one with both."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(2, 6)))
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64]))
    width = np.dtype(dtype).itemsize * 8
    elements = st.one_of(
        st.floats(allow_nan=False, allow_infinity=False, width=width), st.sampled_from([0.0, -0.0, 0.5, -1.0])
    )
    scores = draw(hnp.arrays(dtype, shape, elements=elements))
    masks = draw(hnp.arrays(bool, shape))
    for frame, kind in enumerate(draw(st.lists(st.sampled_from('anx'), min_size=shape[0], max_size=shape[0]))):
        if kind == 'a':
            masks[frame] = True
        if kind == 'n':
            masks[frame] = False
    masks[0, 0, :2] = [True, False]
    return scores, masks


@settings(max_examples=60, deadline=None)
@given(frames())
def test_equals_scikit_learn_frame_by_frame(case):
    scores, masks = case
    expected = [
        roc_auc_score(mask.ravel(), frame.ravel().astype(np.float64))
        for frame, mask in zip(scores, masks)
        if mask.any() and not mask.all()
    ]
    result = pixel_auc_per_frame(scores, masks)
    assert result.value == pytest.approx(np.mean(expected), abs=1e-12)
    assert result.num_frames == len(expected)
    assert result.num_excluded == sum(mask.all() for mask in masks)


@settings(max_examples=25, deadline=None)
@given(frames(), st.data())
def test_order_of_frames_and_of_merging_does_not_change_a_bit(case, data):
    scores, masks = case
    order = data.draw(st.permutations(range(len(scores))))
    cut = data.draw(st.integers(0, len(scores)))
    first, second, received = PixelAUCPerFrame(), PixelAUCPerFrame(), PixelAUCPerFrame()
    for place, frame in enumerate(order):
        (first if place < cut else second).update(scores[frame], masks[frame].astype(np.uint8))
    received.load_state(first.state())
    second.merge(received)
    assert second.result() == pixel_auc_per_frame(scores, masks)


def test_mean_of_frames_is_not_the_pooled_figure():
    mask = np.array([[True, False]])
    scores = np.array([[[0.2, 0.1]], [[0.9, 0.8]], [[0.5, 0.6]]])
    result = pixel_auc_per_frame(scores, [mask] * 3)
    assert result.value == pytest.approx(2 / 3)
    assert roc_auc_score(np.tile([1, 0], 3), scores.ravel()) != pytest.approx(2 / 3)


def test_every_float16_has_its_own_rank():
    finite = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = np.sort(finite[np.isfinite(finite) & (finite != 0)])
    low, high = finite[:-1], finite[1:]
    for step in (1, 997):
        pairs = np.stack([low[::step], high[::step]], axis=1)
        mask = np.zeros(pairs.shape, dtype=bool)
        mask[:, 1] = True
        assert pixel_auc_of_frame(pairs, mask) == roc_auc_score(mask.ravel(), pairs.ravel().astype(np.float64))
    for first, second in zip(low[::997], high[::997]):
        assert pixel_auc_of_frame(np.array([[first, second]]), np.array([[0, 1]])) == 1
    signs = np.array([[-0.0, 0.0]], dtype=np.float16)
    assert pixel_auc_of_frame(signs, np.array([[0, 1]])) == 0.5


def test_mean_is_rounded_once():
    frames_, rng = PixelAUCPerFrame(), np.random.default_rng(0)
    values = []
    for _ in range(200):
        scores = rng.random((4, 5), dtype=np.float32)
        mask = np.arange(20).reshape(4, 5) < rng.integers(1, 20)
        frames_.update(scores, mask)
        values.append(pixel_auc_of_frame(scores, mask))
    assert frames_.result().value == math.fsum(values) / 200


@pytest.mark.parametrize('dtype', [np.float16, np.float64])
def test_one_class_is_loud(dtype):
    scores = np.zeros((2, 2), dtype=dtype)
    for mask in (np.zeros((2, 2)), np.ones((2, 2))):
        with pytest.raises(ValueError, match='both classes are needed'):
            pixel_auc_of_frame(scores, mask)
    with pytest.raises(ValueError, match=r'no frame has both .* \(1 frames are anomalous in every pixel\)'):
        pixel_auc_per_frame([scores, scores], [np.zeros((2, 2)), np.ones((2, 2))])


@pytest.mark.parametrize(
    ('scores', 'mask', 'rule'),
    [
        ([[0.5, np.nan]], [[0, 1]], 'finite, 1 are not'),
        ([[0.5, np.inf]], [[0, 0]], 'finite, 1 are not'),
        ([[0.5, 0.5]], [[0, 2]], '0 or 1, got 2'),
        ([[0.5, 0.5]], [[0], [1]], r'one shape \(H, W\)'),
        ([0.5, 0.5], [0, 1], r'one shape \(H, W\)'),
    ],
)
@pytest.mark.parametrize('dtype', [np.float16, np.float32])
def test_bad_input_is_refused(scores, mask, rule, dtype):
    with pytest.raises(ValueError, match=rule):
        pixel_auc_of_frame(np.array(scores, dtype=dtype), np.array(mask))
    frames_ = PixelAUCPerFrame()
    with pytest.raises(ValueError, match=rule):
        frames_.update(np.array(scores, dtype=dtype), np.array(mask))
    assert frames_.state().tolist() == [0]


def test_bad_states_numbers_of_frames_and_masks_are_refused():
    with pytest.raises(ValueError, match='state must be of shape'):
        PixelAUCPerFrame().load_state(np.zeros(0))
    with pytest.raises(ValueError, match='shorter'):
        pixel_auc_per_frame([np.zeros((1, 2))], [])
    with pytest.raises(ValueError, match='0 or 1, got nan'):
        binary_mask(np.array([np.nan, 1.0]))
