"""Which of the named words was it? Figures of the words' scores, from all videos of an evaluation."""

from collections.abc import Sequence

import numpy as np

from lavida_mm.evaluation.evaluation import Figures, VideoEvaluation
from lavida_mm.evaluation.frame_figures import ALARM_THRESHOLD, describe_out_of_range

__all__ = ['CATEGORY_FIGURES', 'add_category_figures']

CATEGORY_FIGURES = ('category_top1',)


def add_category_figures(figures: Figures, videos: Sequence[VideoEvaluation]) -> None:
    """Add the share of detected anomalous frames in which a true word scores highest.

    A frame is detected where its score is at least ``ALARM_THRESHOLD``. Frames count of which the benchmark knows the
    word and the prompt named it: the others have no right answer.

    Args:
        figures: what they are added to.
        videos: every video that counts under the protocol.
    """
    num_anomalous = num_known = num_named = num_detected = num_right = 0
    scored_words = False
    for video in videos:
        if video.labels is None or not video.scored.any():
            continue
        scores = video.scores[video.scored]
        if scores.min() < 0 or scores.max() > 1:
            figures.leave_out(CATEGORY_FIGURES, f'video {video.video_id}: {describe_out_of_range(scores)}')
            return
        anomalous = video.scored & (video.labels > 0)
        num_anomalous += int(anomalous.sum())
        known = np.zeros_like(anomalous)
        named, right = known.copy(), known.copy()
        words = video.record.interval_categories or [''] * len(video.record.intervals)
        for (start, end), word in zip(video.record.intervals, words, strict=True):
            if not word:
                continue
            known[start:end] = True
            if word in video.prompt_words and video.top_words is not None:
                named[start:end] = True
                right[start:end] |= np.equal(video.top_words[start:end], word)
        scored_words |= video.top_words is not None
        detected = named & anomalous & (np.nan_to_num(video.scores) >= ALARM_THRESHOLD)
        num_known += int((known & anomalous).sum())
        num_named += int((named & anomalous).sum())
        num_detected += int(detected.sum())
        num_right += int((right & detected).sum())
    for reason, missing in (
        ('no scored frame is anomalous', not num_anomalous),
        ('the benchmark does not say which word its anomalies are', not num_known),
        ('the scores are of frames, not of words', not scored_words),
        ('no prompt names a word that its anomalous frames are', not num_named),
        (f'no anomalous frame whose word was named scores {ALARM_THRESHOLD:g} or more', not num_detected),
    ):
        if missing:
            figures.leave_out(CATEGORY_FIGURES, reason)
            return
    figures.values['category_top1'] = num_right / num_detected
    figures.notes.append(
        f'category_top1 is of the {num_detected} of {num_anomalous} anomalous frames that score {ALARM_THRESHOLD:g} or '
        'more and whose word was in the prompt'
    )
