"""What has come in of one video: scores, and boxes that were found."""

from dataclasses import dataclass, field

import numpy as np

from lavida_mm.utils.errors import DataError

__all__ = ['VideoCurve', 'write_scores']

SAME_SCORE = 1e-4  # a window that was scored twice: batches of other sizes may change the last digits


@dataclass
class VideoCurve:
    """What is known of one video.

    Attributes:
        scores: of each frame, NaN where none is known, float64 (n,).
        sampled: frames that a model looked at, bool (n,).
        detected: frames whose detections are known, bool (n,).
        detections: rows (frame, x1, y1, x2, y2, score), each (D, 6).
        fps: frames per second as the model's reader found them; None where that is not known.
        exact: the number of frames is what counts, whatever the protocol's length rule says.
    """

    scores: np.ndarray
    sampled: np.ndarray
    detected: np.ndarray
    detections: list[np.ndarray] = field(default_factory=list)
    fps: float | None = None
    exact: bool = False


def write_scores(target: np.ndarray, scores: np.ndarray, video_id: str, frames: np.ndarray) -> None:
    """Write scores into a part of a curve; where it has some already, they must be the same."""
    if np.isnan(target).all():
        target[:] = scores
        return
    new = ~np.isnan(scores)
    both = new & ~np.isnan(target)
    far = both & (np.abs(target - np.where(both, scores, 0)) > SAME_SCORE)
    if far.any():
        place = int(far.argmax())
        raise DataError(
            f'video {video_id}: frame {frames[place]} has two scores, {target[place]:g} and {scores[place]:g}; '
            'every frame must be scored once'
        )
    target[new] = np.fmin(target[new], scores[new])  # the same figure whichever came first
