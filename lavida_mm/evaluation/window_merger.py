"""One score for each frame that several windows hold."""

from dataclasses import replace

import numpy as np

from lavida_mm.evaluation.windows import ScoredWindow
from lavida_mm.utils.errors import DataError

__all__ = ['WindowMerger']


class WindowMerger:
    """Takes the windows of one video after another, and gives each frame once: what the windows say of it, averaged.

    A window is given back at once as far as no later one holds its frames; the rest waits for these. So memory holds a
    window at most. Where windows do not overlap, each comes back as it is, in whatever order.
    """

    def __init__(self) -> None:
        self._waiting: ScoredWindow | None = None  # its scores, masks and scores of words are sums
        self._counts = np.zeros(0, dtype=np.int64)  # windows that have spoken of each of its frames

    def add(self, window: ScoredWindow) -> ScoredWindow:
        """Take the next window of the video.

        Returns:
            the frames of which no more windows come, with means of all that was said of them; perhaps none.

        Raises:
            DataError: it does not begin with the frames that wait.
        """
        waiting, counts = self._waiting, self._counts
        if waiting is None and window.num_settled == len(window.frame_inds):
            return window
        total = _copy_sums(window)
        number = np.ones(len(total.frame_inds), dtype=np.int64)
        if waiting is not None:
            shared = len(waiting.frame_inds)
            follows = np.array_equal(window.frame_inds[:shared], waiting.frame_inds)
            if window.video_id != waiting.video_id or not follows:
                raise DataError(
                    f'video {waiting.video_id}: frame {waiting.frame_inds[0]} waits for the next window of this video, '
                    f"but one of video {window.video_id} from frame {window.frame_inds[0]} on came: overlap='mean' "
                    "needs windows in order: use sampler=dict(type='VideoSampler') for the test set"
                )
            number[:shared] += counts
            for mine, earlier in zip(_list_sums(total), _list_sums(waiting), strict=True):
                mine[:shared] += earlier
        settled = window.num_settled
        self._waiting = _cut(total, slice(settled, None)) if settled < len(number) else None
        self._counts = number[settled:]
        found = _cut(total, slice(0, settled))
        for values in _list_sums(found):
            values /= number[:settled].reshape(-1, *[1] * (values.ndim - 1))
        return replace(found, scores=found.scores.astype(np.float32))

    def finish(self) -> None:
        """Begin anew.

        Raises:
            DataError: frames wait for a window that did not come.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            raise DataError(
                f'video {waiting.video_id}: frame {waiting.frame_inds[0]} waits for a window that did not come'
            )


def _copy_sums(window: ScoredWindow) -> ScoredWindow:
    """A window whose numbers can be added to."""
    return replace(
        window,
        scores=window.scores.astype(np.float64),
        masks=None if window.masks is None else window.masks.astype(np.float32),
        word_scores=None if window.word_scores is None else window.word_scores.astype(np.float64),
    )


def _list_sums(window: ScoredWindow) -> list[np.ndarray]:
    return [values for values in (window.scores, window.masks, window.word_scores) if values is not None]


def _cut(window: ScoredWindow, part: slice) -> ScoredWindow:
    """Some frames of a window, as copies, so that the rest of it is not kept in memory."""

    def take(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[part].copy()

    return replace(
        window,
        frame_inds=window.frame_inds[part].copy(),
        scores=window.scores[part].copy(),
        masks=take(window.masks),
        truth=take(window.truth),
        word_scores=take(window.word_scores),
        num_settled=len(window.frame_inds[part]),
    )
