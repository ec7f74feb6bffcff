"""Alarms against true events, checked frame by frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavida_mm.evaluation.functional.alarms import event_scores
from lavida_mm.evaluation.functional.events import Event, find_events


def intervals(length):
    """Disjoint intervals inside a video."""
    return st.lists(st.integers(0, length), max_size=8, unique=True).map(
        lambda cuts: list(zip(sorted(cuts)[::2], sorted(cuts)[1::2]))
    )


videos = st.integers(1, 30).flatmap(
    lambda length: st.tuples(intervals(length), intervals(length), st.just(length), st.sampled_from([10.0, 25.0]))
)


def score_by_frames(cases, min_iou):
    """The definition with sets of frames."""
    count = dict.fromkeys(['events', 'alarms', 'found_touch', 'found_iou', 'right_touch', 'right_iou'], 0)
    delays = []
    for alarms, truth, _, fps in cases:
        alarms, truth = [set(range(*pair)) for pair in alarms], [set(range(*pair)) for pair in truth]
        count['events'] += len(truth)
        count['alarms'] += len(alarms)
        for side, mine, others in (('found', truth, alarms), ('right', alarms, truth)):
            for one in mine:
                count[f'{side}_touch'] += any(one & other for other in others)
                count[f'{side}_iou'] += any(len(one & other) / len(one | other) >= min_iou for other in others)
        for event in truth:
            alarmed = event & set().union(*alarms)
            if alarmed:
                delays.append((min(alarmed) - min(event)) / fps)
    return count, delays


@settings(max_examples=100, deadline=None)
@given(st.lists(videos, min_size=1, max_size=4), st.sampled_from([0.1, 0.5, 1.0]))
def test_equals_the_definition_over_sets_of_frames(cases, min_iou):
    scores = event_scores(*zip(*cases), min_iou=min_iou)
    count, delays = score_by_frames(cases, min_iou)
    assert (scores.num_events, scores.num_alarms) == (count['events'], count['alarms'])
    assert scores.found == {'touch': count['found_touch'], 'iou': count['found_iou']}
    assert scores.right == {'touch': count['right_touch'], 'iou': count['right_iou']}
    assert sorted(scores.delays) == pytest.approx(sorted(delays))
    hours = sum(length / fps for _, _, length, fps in cases) / 3600
    assert scores.hours == pytest.approx(hours)
    assert scores.false_alarms_per_hour() == pytest.approx((count['alarms'] - count['right_touch']) / hours)


def test_by_hand():
    curve = np.zeros(100)
    curve[[12, 13, 14, 40, 41, 70]] = 0.9
    alarms = find_events(curve, on=0.8)  # [12, 15), [40, 42), [70, 71)
    scores = event_scores([alarms], [[(10, 15), (60, 90)]], [100], [25.0], min_iou=0.6)
    assert scores.precision() == 2 / 3
    assert scores.recall() == 1
    assert scores.f1() == pytest.approx(0.8)
    assert (scores.precision('iou'), scores.recall('iou')) == (1 / 3, 1 / 2)  # 3 of 5 frames are enough, 1 of 30 is not
    assert sorted(scores.delays) == [2 / 25, 10 / 25]
    assert scores.mean_delay() == scores.median_delay() == pytest.approx(6 / 25)
    assert scores.false_alarms_per_hour() == pytest.approx(3600 / 4)  # one in four seconds


def test_an_alarm_that_was_on_already_has_no_delay():
    assert event_scores([[(0, 50)]], [[(20, 30)]], [60], [10.0]).delays == (0.0,)


def test_events_that_overlap_are_one_and_neighbours_are_two():
    truth = [(30, 40), (0, 10), (5, 20), (20, 25)]
    scores = event_scores([[(0, 60)]], [truth], [60], [1.0])
    assert scores.num_events == 3
    assert scores.delays == (0.0, 0.0, 0.0)


def test_figures_name_what_is_undefined_and_why():
    figures, undefined = event_scores([[]], [[(0, 5)]], [10], [25.0]).figures()
    assert figures == {
        'event_recall_touch': 0,
        'event_f1_touch': 0,
        'event_recall_iou': 0,
        'event_f1_iou': 0,
        'event_false_alarms_per_hour': 0,
    }
    assert 'no alarm was given' in undefined['event_precision_touch']
    assert 'no event was found' in undefined['event_mean_delay_seconds']
    figures, undefined = event_scores([[(0, 2)]], [[]], [10], [None]).figures()
    assert figures == {'event_precision_touch': 0, 'event_precision_iou': 0}
    assert 'no event' in undefined['event_recall_touch']
    assert 'frame rate' in undefined['event_median_delay_seconds']
    assert 'frame rate' in undefined['event_false_alarms_per_hour']


def test_one_unknown_frame_rate_leaves_no_seconds_but_all_shares():
    scores = event_scores([[(0, 2)], []], [[(1, 3)], []], [10, 10], [25.0, None])
    assert (scores.recall(), scores.delays, scores.hours) == (1, None, None)


@pytest.mark.parametrize(
    ('changes', 'rule'),
    [
        ({'alarms': [[(5, 5)]]}, 'an alarm must have 0 <= start < end <= 10 frames, got start 5, end 5'),
        ({'truth': [[(7, 3)]]}, 'an event must have .* got start 7, end 3'),
        ({'truth': [[(7, 11)]]}, 'got start 7, end 11'),
        ({'alarms': [[Event(-1, 2, 0, 1.0)]]}, 'got start -1, end 2'),
        ({'fps': [0.0]}, 'fps must be positive and finite, got 0.0'),
        ({'fps': [float('nan')]}, 'got nan'),
        ({'min_iou': 0}, r'min_iou must be in \(0, 1\], got 0'),
        ({'num_frames': [10, 10]}, 'one item per video, got 1, 1, 2 and 1'),
        ({'alarms': [], 'truth': [], 'num_frames': [], 'fps': []}, 'no frame'),
    ],
)
def test_bad_input_is_refused(changes, rule):
    sound = {'alarms': [[(0, 2)]], 'truth': [[(1, 3)]], 'num_frames': [10], 'fps': [25.0]}
    with pytest.raises(ValueError, match=rule):
        event_scores(**{**sound, **changes})


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="one of touch, iou, got 'iuo'"):
        event_scores([[(0, 2)]], [[(1, 3)]], [10], [25.0]).recall('iuo')
