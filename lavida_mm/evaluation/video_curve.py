"""What has come in of one video: scores, words that fit best, and boxes that were found."""

from dataclasses import dataclass, field

import numpy as np

from lavida_mm.utils.errors import DataError

__all__ = ['UNDECIDED', 'VideoCurve', 'write_scores', 'write_words']

UNDECIDED = ''  # in place of a word: several score highest, or two windows disagree
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
        top_words: the word that scores highest in each frame, ``UNDECIDED`` where it is not one, None where it is not
            known, object (n,); None where the model scores no words.
        prompt_words: words that were named to the model.
    """

    scores: np.ndarray
    sampled: np.ndarray
    detected: np.ndarray
    detections: list[np.ndarray] = field(default_factory=list)
    fps: float | None = None
    exact: bool = False
    top_words: np.ndarray | None = None
    prompt_words: set[str] = field(default_factory=set)


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


def write_words(target: np.ndarray, words: np.ndarray) -> None:
    """Write the highest-scoring words into a part of a curve; where it has another already, it is undecided.

    Scores of one frame may differ in their last digits from batch to batch, so two words are no error, and the outcome
    does not depend on which came first.

    Args:
        target: words so far, object (T,); changed in place.
        words: words to add, None where nothing is known, object (T,).
    """
    known = _find_known(target)
    differ = known & _find_known(words) & np.not_equal(target, words)
    target[~known] = words[~known]
    target[differ] = UNDECIDED


def _find_known(words: np.ndarray) -> np.ndarray:
    return np.fromiter((word is not None for word in words), dtype=bool, count=len(words))
