"""Figures of boxes: are regions and tracks of anomalies found."""

from collections.abc import Mapping, Sequence

import numpy as np

from lavida_mm.evaluation.evaluation import Figures, VideoEvaluation
from lavida_mm.evaluation.functional.regions import rbdc_tbdc
from lavida_mm.evaluation.video_curve import VideoCurve

__all__ = ['add_region_figures']

REGION_FIGURES = ('rbdc', 'tbdc')


def add_region_figures(
    figures: Figures, videos: Sequence[VideoEvaluation], curves: Mapping[str, VideoCurve], interval: int
) -> None:
    """Add RBDC and TBDC over the frames that were looked at.

    Args:
        figures: what they are added to.
        videos: every video that counts under the protocol.
        curves: video id -> what came in of it.
        interval: frame interval that the protocol fixes, 1 where it fixes none.
    """
    detections, tracks, num_frames, sparse = [], [], [], False
    for video in videos:
        curve = curves.get(video.video_id)
        if curve is None or not video.scored.any() or not video.record.has_ground_truth:
            continue
        if not curve.detected.any():
            reason = f'video {video.video_id}: its detections are not known'
            figures.leave_out(REGION_FIGURES, reason)
            return
        if video.record.tracks is None and video.record.intervals:
            reason = f'video {video.video_id}: the benchmark has no boxes of its anomalies'
            figures.leave_out(REGION_FIGURES, reason)
            return
        searched = np.zeros(curve.scores.size, dtype=bool)
        searched[: video.scores.size] = video.scored
        searched &= curve.detected
        searched[np.arange(searched.size) % interval != 0] = False
        sparse |= bool(searched.sum() < video.scored.sum())
        found = np.concatenate(curve.detections) if curve.detections else np.zeros((0, 6))
        truth = np.zeros((0, 6)) if video.record.tracks is None else video.record.tracks.read()
        found = found[searched[found[:, 0].astype(np.int64)]]
        detections.append(found[np.lexsort(found.T[::-1])])  # one order, whatever came first
        inside = (truth[:, 1] >= 0) & (truth[:, 1] < searched.size)
        truth = truth[inside]
        tracks.append(truth[searched[truth[:, 1].astype(np.int64)]])
        num_frames.append(int(searched.sum()))
    try:
        rbdc, tbdc = rbdc_tbdc(detections, tracks, num_frames)
    except ValueError as error:
        figures.leave_out(REGION_FIGURES, str(error))
        return
    figures.values.update(rbdc=float(rbdc), tbdc=float(tbdc))
    if sparse:
        figures.notes.append('rbdc and tbdc are of the frames that were looked at, not of those in between')
