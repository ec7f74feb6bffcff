"""A segmenter's memory of a video that is read window after window."""

from collections.abc import Callable
from typing import Any

from lavida_mm.structures import VADDataSample

__all__ = ['StreamMemory']


class StreamMemory:
    """What is remembered after each frame of the last window, so that the next one may begin anywhere behind its start.

    Windows of a video must come in the order of their first frames, one video at a time. One that begins earlier,
    another video, or other words find nothing remembered. Kept are as many memories as a window has frames, and one
    more; they share their tensors.
    """

    def __init__(self) -> None:
        self._video: tuple[Any, ...] | None = None
        self._after: dict[int, Any] = {}  # number of a frame -> memory after it

    def __len__(self) -> int:
        return len(self._after)

    def clear(self) -> None:
        """Forget the video."""
        self._video, self._after = None, {}

    def enter(self, sample: VADDataSample, new_memory: Callable[[], Any]) -> Any:
        """The memory of what came before a window's first frame, or a new one.

        Args:
            sample: meta ``source``, ``video_id``, ``categories`` and ``frame_inds`` of the window.
            new_memory: makes the memory of a video that begins.
        """
        video = (sample.get('source', None), sample.get('video_id', None), tuple(sample.categories))
        first = int(sample.frame_inds[0])
        if video != self._video:
            self.clear()
            self._video = video
        before = max((frame for frame in self._after if frame < first), default=None)
        self._after = {} if before is None else {before: self._after[before]}
        return new_memory() if before is None else self._after[before]

    def keep(self, frame: int, memory: Any) -> None:
        """Remember what a frame has left."""
        self._after[int(frame)] = memory
