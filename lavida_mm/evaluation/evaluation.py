"""What an evaluation gives: figures, why others are undefined, and everything one must know to compare them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lavida_mm.evaluation.protocols import Protocol
from lavida_mm.structures import VideoRecord

__all__ = ['Coverage', 'Evaluation', 'Figures', 'VideoEvaluation']


@dataclass
class Figures:
    """Figures while they are computed.

    Attributes:
        values: name -> value.
        undefined: name -> reason.
        notes: what a reader of the figures must know besides.
    """

    values: dict[str, float] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def attempt(self, name: str, function: Callable[[], float]) -> None:
        """Take the value of a function, or its ValueError as the reason why there is none."""
        try:
            self.values[name] = float(function())
        except ValueError as error:
            self.undefined[name] = str(error)

    def leave_out(self, names: Iterable[str], reason: str) -> None:
        """Say why some figures are undefined."""
        self.undefined.update(dict.fromkeys(names, reason))


@dataclass
class VideoEvaluation:
    """One video under a protocol.

    Attributes:
        video_id: its name.
        record: what its benchmark says of it.
        scores: of the frames that count, after smoothing, NaN where a frame was not scored, float64 (n,).
        labels: 1 where the frame is anomalous, int64 (n,); None where there is no ground truth.
        fps: frames per second; None where that is not known.
        top_words: the word that scores highest in each frame, '' where it is not one, None where it is not known,
            object (n,); None where the model scores no words.
        prompt_words: words that were named to the model.
        auc: AUC of its own scored frames; None where they are of one class or there is no ground truth.
    """

    video_id: str
    record: VideoRecord
    scores: np.ndarray
    labels: np.ndarray | None
    auc: float | None = None
    fps: float | None = None
    top_words: np.ndarray | None = None
    prompt_words: frozenset[str] = frozenset()

    @property
    def scored(self) -> np.ndarray:
        """Which frames have a score, bool (n,)."""
        return ~np.isnan(self.scores)


@dataclass(frozen=True)
class Coverage:
    """How much of a benchmark was scored, of what counts under the protocol.

    Attributes:
        videos: videos with a scored frame.
        videos_known: videos that count.
        frames: scored frames.
        frames_known: frames that count.
        anomalous_frames: scored frames that are anomalous; None without ground truth.
    """

    videos: int
    videos_known: int
    frames: int
    frames_known: int
    anomalous_frames: int | None = None

    def __str__(self) -> str:
        videos = f'{self.videos:,} of {self.videos_known:,} videos'
        text = f'scored {videos}, {self.frames:,} of {self.frames_known:,} frames'
        return text if self.anomalous_frames is None else f'{text}, {self.anomalous_frames:,} of them anomalous'


@dataclass
class Evaluation:
    """Figures, and everything that one must know to compare them.

    Attributes:
        figures: name -> value; what is undefined is not in it.
        undefined: name -> reason.
        coverage: how much was scored.
        protocol: what the figures were made by.
        benchmark: name of the benchmark.
        notes: what a reader of the figures must know besides.
        options: how the scores were made where that is known: window, frame interval, words, template.
        videos: each video, sorted by name; empty on all processes but the first.
    """

    figures: dict[str, float]
    undefined: dict[str, str]
    coverage: Coverage
    protocol: Protocol
    benchmark: str
    notes: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    videos: list[VideoEvaluation] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the videos, as JSON takes it."""
        return {
            'benchmark': self.benchmark,
            'protocol': self.protocol.name,
            'protocol_version': self.protocol.version,
            'protocol_fields': self.protocol.to_dict(),
            'coverage': {
                'videos_scored': self.coverage.videos,
                'videos_known': self.coverage.videos_known,
                'frames_scored': self.coverage.frames,
                'frames_known': self.coverage.frames_known,
                'anomalous_frames': self.coverage.anomalous_frames,
            },
            'figures': dict(self.figures),
            'undefined': dict(self.undefined),
            'notes': list(self.notes),
            'options': dict(self.options),
        }
