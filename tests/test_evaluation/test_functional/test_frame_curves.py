import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from lavida_mm.evaluation.functional import average_precision, frame_auc
from lavida_mm.evaluation.functional.frame_curves import auc_from_counts


@st.composite
def labelled_scores(draw):
    """Scores with many ties, and both classes."""
    size = draw(st.integers(2, 60))
    levels = draw(st.sampled_from([1, 2, 5, 1000]))
    scores = np.array(draw(st.lists(st.integers(-levels, levels), min_size=size, max_size=size))) / levels
    labels = np.array(draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
    labels[:2] = [0, 1]
    return scores, labels


@settings(max_examples=100, deadline=None)
@given(labelled_scores())
def test_equals_scikit_learn_with_ties(case):
    scores, labels = case
    assert frame_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(labelled_scores(), st.randoms())
def test_order_of_frames_does_not_change_a_bit(case, random):
    scores, labels = case
    order = list(range(len(scores)))
    random.shuffle(order)
    assert frame_auc(scores[order], labels[order]) == frame_auc(scores, labels)
    assert average_precision(scores[order], labels[order]) == average_precision(scores, labels)


def test_figures_by_hand():
    scores, labels = np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False])
    assert frame_auc(scores, labels) == (4 - 0.5) / 4  # one of four pairs is a tie
    assert average_precision(scores, labels) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_constant_scores_are_chance():
    labels = np.array([0, 1, 0, 0])
    assert frame_auc(np.full(4, 0.3), labels) == 0.5
    assert average_precision(np.full(4, 0.3), labels) == 0.25


@pytest.mark.parametrize('measure', [frame_auc, average_precision])
@pytest.mark.parametrize('labels', [[0, 0, 0], [1, 1, 1]])
def test_one_class_is_loud(measure, labels):
    with pytest.raises(ValueError, match='both classes are needed'):
        measure(np.array([0.1, 0.2, 0.3]), np.array(labels))


@pytest.mark.parametrize('measure', [frame_auc, average_precision])
@pytest.mark.parametrize(
    ('scores', 'labels', 'rule'),
    [
        ([0.1, np.nan], [0, 1], 'finite, 1 are not'),
        ([0.1, np.inf], [0, 1], 'finite'),
        ([0.1, 0.2], [0, 2], '0 or 1, got 2'),
        ([0.1, 0.2, 0.3], [0, 1], 'one shape'),
        ([[0.1, 0.2]], [[0, 1]], 'one shape'),
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
