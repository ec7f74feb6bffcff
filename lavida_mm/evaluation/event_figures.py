"""Figures of alarms: what an operator lives with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lavida_mm.evaluation.evaluation import Figures, VideoEvaluation
from lavida_mm.evaluation.frame_figures import describe_out_of_range
from lavida_mm.evaluation.functional.alarms import RULES, event_scores
from lavida_mm.evaluation.functional.events import find_events
from lavida_mm.utils.errors import UsageError

__all__ = ['add_event_figures', 'check_event_options']

EVENT_FIGURES = (
    *(f'event_{measure}_{rule}' for rule in RULES for measure in ('precision', 'recall', 'f1')),
    'event_mean_delay_seconds',
    'event_median_delay_seconds',
    'event_false_alarms_per_hour',
)


def add_event_figures(figures: Figures, videos: Sequence[VideoEvaluation], options: Mapping[str, Any]) -> None:
    """Add precision and recall of events, detection delay and false alarms per camera-hour.

    Args:
        figures: what they are added to.
        videos: every video that counts under the protocol.
        options: as ``check_event_options`` returns them.
    """
    options = dict(options)
    min_iou = options.pop('min_iou')
    alarms, truth, num_frames, fps = [], [], [], []
    for video in videos:
        if video.labels is None or not video.scored.any():
            continue
        length = int(np.flatnonzero(video.scored)[-1]) + 1
        scores = video.scores[:length]
        known = scores[~np.isnan(scores)]
        if known.min() < 0 or known.max() > 1:
            reason = f'video {video.video_id}: {describe_out_of_range(known)}'
            figures.leave_out(EVENT_FIGURES, reason)
            return
        alarms.append(find_events(np.nan_to_num(scores, nan=0.0), **options))
        clipped = [(start, min(end, length)) for start, end in video.record.intervals]
        truth.append([(start, end) for start, end in clipped if start < end])
        num_frames.append(length)
        fps.append(video.fps)
    if not alarms:
        figures.leave_out(EVENT_FIGURES, 'the videos have no ground truth')
        return
    try:
        values, reasons = event_scores(alarms, truth, num_frames, fps, min_iou).figures()
    except ValueError as error:
        figures.leave_out(EVENT_FIGURES, str(error))
        return
    figures.values.update(values)
    figures.undefined.update(reasons)


def check_event_options(events: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``find_events`` and ``min_iou`` of ``event_scores``, complete.

    Raises:
        UsageError: one of them is unknown or breaks its rule.
    """
    options = {'min_iou': 0.5, **events}
    try:
        find_events(np.zeros(1), **{name: value for name, value in options.items() if name != 'min_iou'})
        event_scores([[]], [[]], [1], [None], options['min_iou'])
    except (TypeError, ValueError) as error:
        raise UsageError(f'events: {error}') from error
    return options
