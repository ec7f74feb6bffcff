"""Events from score curves, against a state machine that walks frame by frame."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lavida_mm.evaluation.functional.events import Event, find_events


def walk(scores, on, off, min_length, merge_gap):
    """The definition as a live system would run it: one frame at a time, no arrays."""
    opened, open_since = [], None
    for frame, score in enumerate([*scores, float('-inf')]):
        if open_since is None and score >= on:
            open_since = frame
        elif open_since is not None and score < off:
            opened.append([open_since, frame])
            open_since = None
    merged = []
    for start, end in opened:
        if merged and 0 < start - merged[-1][1] <= merge_gap:
            merged[-1][1] = end
        else:
            merged.append([start, end])
    return [(start, end) for start, end in merged if end - start >= min_length]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(
    scores=st.lists(st.integers(0, 10), max_size=60),
    levels=st.tuples(st.integers(0, 10), st.integers(0, 10)),
    min_length=st.integers(1, 5),
    merge_gap=st.integers(0, 5),
)
def test_equals_the_state_machine(scores, levels, min_length, merge_gap):
    curve, off, on = np.array(scores) / 10, min(levels) / 10, max(levels) / 10
    events = find_events(curve, on=on, off=off, min_length=min_length, merge_gap=merge_gap)
    assert [(e.start, e.end) for e in events] == walk(curve.tolist(), on, off, min_length, merge_gap)
    for event in events:
        inside = curve[event.start : event.end].tolist()
        assert event.peak_score == max(inside) >= on
        assert event.peak_frame == event.start + inside.index(max(inside))


def test_by_hand():
    scores = [0.1, 0.5, 0.9, 0.6, 0.4, 0.3, 0.8, 0.7, 0.1, 0.0, 0.9]
    assert find_events(scores, on=0.8, off=0.5) == [Event(2, 4, 2, 0.9), Event(6, 8, 6, 0.8), Event(10, 11, 10, 0.9)]
    assert find_events(scores, on=0.8, off=0.5, merge_gap=2) == [Event(2, 11, 2, 0.9)]
    assert find_events(scores, on=0.8, off=0.5, min_length=2) == [Event(2, 4, 2, 0.9), Event(6, 8, 6, 0.8)]
    assert find_events(scores, on=0.8) == [Event(2, 3, 2, 0.9), Event(6, 7, 6, 0.8), Event(10, 11, 10, 0.9)]


def test_short_events_that_merge_are_kept():
    assert find_events([1, 0, 1], on=1, min_length=3, merge_gap=1) == [Event(0, 3, 0, 1.0)]


def test_a_frame_on_the_threshold_counts():
    assert [(e.start, e.end) for e in find_events([0.5], on=0.5)] == [(0, 1)]


def test_no_frames_no_events():
    assert find_events([], on=0.5) == []


@pytest.mark.parametrize(
    ('scores', 'settings', 'message'),
    [
        ([[0.1]], dict(on=0.5), r'scores must have one dimension \(frames\), got shape \(1, 1\)'),
        ([0.1, float('nan')], dict(on=0.5), 'scores must be finite, frame 1 is not'),
        ([0.1], dict(on=0.5, off=0.6), r'off must be at most on \(0.5\), got 0.6'),
        ([0.1], dict(on=0.5, min_length=0), 'min_length must be at least 1 frame, got 0'),
        ([0.1], dict(on=0.5, merge_gap=-1), 'merge_gap must not be negative, got -1'),
    ],
)
def test_refuses(scores, settings, message):
    with pytest.raises(ValueError, match=message):
        find_events(scores, **settings)
