"""How good alarms are to the person who answers them. Pure NumPy."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from lavida_mm.evaluation.functional.events import Event

__all__ = ['RULES', 'EventScores', 'event_scores']

RULES = ('touch', 'iou')
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class EventScores:
    """Counts of alarms and of true events over all videos, and the figures that follow from them.

    An alarm and a true event match by one of two rules: ``'touch'``, they share a frame, or ``'iou'``, the frames they
    share are at least ``min_iou`` of the frames that either has. Several alarms may match one event: each of them is
    right, and the event is found once.

    Attributes:
        num_events: true events.
        num_alarms: alarms.
        found: by rule, true events that an alarm matches.
        right: by rule, alarms that match a true event.
        delays: seconds from the beginning of each found event (rule ``'touch'``) to the first alarmed frame in it; 0
            where an alarm was on already. None where a frame rate is not known.
        hours: length of all videos together; None where a frame rate is not known.
        min_iou: overlap from which on the rule ``'iou'`` holds.
    """

    num_events: int
    num_alarms: int
    found: dict[str, int]
    right: dict[str, int]
    delays: tuple[float, ...] | None
    hours: float | None
    min_iou: float

    def precision(self, rule: str = 'touch') -> float:
        """Share of the alarms that match a true event.

        Raises:
            ValueError: there is no alarm, or the rule is unknown.
        """
        _check_rule(rule)
        if not self.num_alarms:
            raise ValueError('no alarm was given, so none can be right or wrong')
        return self.right[rule] / self.num_alarms

    def recall(self, rule: str = 'touch') -> float:
        """Share of the true events that an alarm matches.

        Raises:
            ValueError: there is no true event, or the rule is unknown.
        """
        _check_rule(rule)
        if not self.num_events:
            raise ValueError('the ground truth has no event, so none can be found')
        return self.found[rule] / self.num_events

    def f1(self, rule: str = 'touch') -> float:
        """Harmonic mean of precision and recall, 2 p r / (p + r); 0 where both are 0 or no alarm was given.

        Raises:
            ValueError: there is no true event, or the rule is unknown.
        """
        recall = self.recall(rule)
        precision = self.precision(rule) if self.num_alarms else 0.0
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def mean_delay(self) -> float:
        """Mean of ``delays``, in seconds. Events that were missed have no delay: read it beside the recall.

        Raises:
            ValueError: no event was found, or a frame rate is not known.
        """
        return math.fsum(self._known_delays()) / len(self._known_delays())

    def median_delay(self) -> float:
        """Median of ``delays``, in seconds.

        Raises:
            ValueError: as ``mean_delay``.
        """
        return float(statistics.median(self._known_delays()))

    def false_alarms_per_hour(self) -> float:
        """Alarms that touch no true event, per hour of one camera's video.

        Raises:
            ValueError: a frame rate is not known.
        """
        if self.hours is None:
            raise ValueError('the frame rate of a video is not known, so there are no hours')
        return (self.num_alarms - self.right['touch']) / self.hours

    def figures(self) -> tuple[dict[str, float], dict[str, str]]:
        """All figures by name.

        Returns:
            the figures that are defined, and the reason for each that is not. Names: ``event_precision_touch``,
            ``event_recall_touch``, ``event_f1_touch``, the same with ``iou``, ``event_mean_delay_seconds``,
            ``event_median_delay_seconds`` and ``event_false_alarms_per_hour``.
        """
        measures: dict[str, Callable[[], float]] = {
            f'event_{name}_{rule}': partial(getattr(self, name), rule)
            for rule in RULES
            for name in ('precision', 'recall', 'f1')
        }
        measures['event_mean_delay_seconds'] = self.mean_delay
        measures['event_median_delay_seconds'] = self.median_delay
        measures['event_false_alarms_per_hour'] = self.false_alarms_per_hour
        figures, undefined = {}, {}
        for name, measure in measures.items():
            try:
                figures[name] = measure()
            except ValueError as error:
                undefined[name] = str(error)
        return figures, undefined

    def _known_delays(self) -> tuple[float, ...]:
        if self.delays is None:
            raise ValueError('the frame rate of a video is not known, so there are no seconds')
        if not self.delays:
            raise ValueError('no event was found, so there is no delay')
        return self.delays


def event_scores(
    alarms: Sequence[Sequence[Event | tuple[int, int]]],
    truth: Sequence[Sequence[tuple[int, int]]],
    num_frames: Sequence[int],
    fps: Sequence[float | None],
    min_iou: float = 0.5,
) -> EventScores:
    """Compare alarms with true events, video by video.

    Alarms come from ``find_events``, which a live system could have run. True events that overlap are one event, since
    an operator sees one; events that merely follow each other stay apart.

    Args:
        alarms: per video its alarms, as events or as (start, end exclusive) in frames.
        truth: per video its true events, as (start, end exclusive) in frames.
        num_frames: per video its length.
        fps: per video its frames per second; None where that is not known.
        min_iou: overlap from which on the rule ``'iou'`` holds, in (0, 1].

    Raises:
        ValueError: lengths differ, an interval is empty or outside its video, or a figure breaks its rule.
    """
    if not len(alarms) == len(truth) == len(num_frames) == len(fps):
        raise ValueError(
            'alarms, truth, num_frames and fps must hold one item per video, '
            f'got {len(alarms)}, {len(truth)}, {len(num_frames)} and {len(fps)}'
        )
    if not 0 < min_iou <= 1:
        raise ValueError(f'min_iou must be in (0, 1], got {min_iou}')
    for rate in fps:
        if rate is not None and not 0 < rate < math.inf:
            raise ValueError(f'fps must be positive and finite, got {rate}')
    num_events = num_alarms = 0
    found, right = dict.fromkeys(RULES, 0), dict.fromkeys(RULES, 0)
    delays: list[tuple[int, float | None]] = []  # frames, frames per second
    for video_alarms, video_truth, length, rate in zip(alarms, truth, num_frames, fps, strict=True):
        alarmed = [(item.start, item.end) if isinstance(item, Event) else item for item in video_alarms]
        _check_intervals('alarm', alarmed, length)
        _check_intervals('event', video_truth, length)
        events = _join_overlapping(video_truth)
        num_events += len(events)
        num_alarms += len(alarmed)
        least = {'touch': 0.0, 'iou': min_iou}
        for rule in RULES:
            found[rule] += sum(any(_matches(alarm, event, least[rule]) for alarm in alarmed) for event in events)
            right[rule] += sum(any(_matches(alarm, event, least[rule]) for event in events) for alarm in alarmed)
        for start, end in events:
            inside = [max(alarm_start, start) - start for alarm_start, alarm_end in alarmed if alarm_end > start]
            first = min(inside, default=end - start)
            if first < end - start:
                delays.append((first, rate))
    known = all(rate is not None for rate in fps)
    return EventScores(
        num_events=num_events,
        num_alarms=num_alarms,
        found=found,
        right=right,
        delays=tuple(frames / rate for frames, rate in delays if rate is not None) if known else None,
        hours=_sum_hours(num_frames, fps) if known else None,
        min_iou=min_iou,
    )


def _check_rule(rule: str) -> None:
    if rule not in RULES:
        raise ValueError(f'rule must be one of {", ".join(RULES)}, got {rule!r}')


def _check_intervals(name: str, intervals: Sequence[tuple[int, int]], length: int) -> None:
    for start, end in intervals:
        if not 0 <= start < end <= length:
            raise ValueError(f'an {name} must have 0 <= start < end <= {length} frames, got start {start}, end {end}')


def _join_overlapping(intervals: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _matches(alarm: tuple[int, int], event: tuple[int, int], least: float) -> bool:
    """Whether two intervals share a frame, and at least the share ``least`` of the frames that either has."""
    shared = min(alarm[1], event[1]) - max(alarm[0], event[0])
    if shared <= 0:
        return False
    either = alarm[1] - alarm[0] + event[1] - event[0] - shared
    return shared / either >= least


def _sum_hours(num_frames: Sequence[int], fps: Sequence[float | None]) -> float:
    hours = math.fsum(length / rate for length, rate in zip(num_frames, fps, strict=True) if rate) / SECONDS_PER_HOUR
    if not hours:
        raise ValueError('the videos hold no frame')
    return hours
