"""What a report shows: figures with their conditions, curves, and one curve of scores per video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ['Coverage', 'ReportData', 'ReportVideo', 'Thumbnail']


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of one frame.

    Attributes:
        frame: its number, counted from 0.
        caption: why it is shown.
        jpeg: the picture, as a JPEG file.
    """

    frame: int
    caption: str
    jpeg: bytes


@dataclass
class ReportVideo:
    """One video of a report.

    Attributes:
        video_id: its name.
        scores: score of each frame, NaN where none was given, (n,).
        labels: 1 where the frame is anomalous, (n,); None where that is unknown.
        fps: frames per second; 0 where unknown.
        auc: AUC of its frames alone; None where it has one class only.
        thumbnails: pictures of its frames.
    """

    video_id: str
    scores: np.ndarray
    labels: np.ndarray | None
    fps: float = 0.0
    auc: float | None = None
    thumbnails: Sequence[Thumbnail] = ()

    @property
    def num_frames(self) -> int:
        """n."""
        return len(self.scores)

    @property
    def intervals(self) -> list[tuple[int, int]]:
        """Anomalous stretches as (start, end), the end exclusive; empty where nothing is known."""
        if self.labels is None:
            return []
        edges = np.flatnonzero(np.diff((np.asarray(self.labels) > 0).astype(np.int8), prepend=0, append=0))
        return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]

    @property
    def false_alarm(self) -> tuple[int, float] | None:
        """Frame and score of the highest score on a normal frame; None where no normal frame was scored."""
        if self.labels is None:
            return None
        return _peak(self.scores, np.asarray(self.labels) == 0)

    @property
    def hit(self) -> tuple[int, float] | None:
        """Frame and score of the highest score on an anomalous frame; None where there is none."""
        if self.labels is None:
            return None
        return _peak(self.scores, np.asarray(self.labels) > 0)


@dataclass(frozen=True)
class Coverage:
    """How much of the benchmark the figures are about; the anomalous frames are among the scored ones."""

    videos_scored: int
    videos_known: int
    frames_scored: int
    frames_known: int
    anomalous_frames: int | None = None

    @property
    def complete(self) -> bool:
        """Whether every known frame has a score."""
        return self.videos_scored == self.videos_known and self.frames_scored == self.frames_known


@dataclass
class ReportData:
    """Everything a report shows.

    Attributes:
        benchmark: name of the benchmark.
        scores: where the scores come from.
        protocol: name of the protocol.
        protocol_version: its version.
        protocol_description: what it is for, in a sentence.
        protocol_settings: what it fixes, name -> value.
        coverage: what was scored.
        figures: name -> figure.
        headline: figures that are shown first and large.
        intervals: name -> limits of its 95 % interval, for the figures that have one.
        undefined: name -> why the figure does not exist here.
        notes: what the reader has to know.
        options: how the scores were made, name -> value.
        roc: false positive rate and true positive rate, (P,) each; None where undefined.
        pr: recall and precision, (P,) each; None where undefined.
        videos: the videos that were scored.
        meta: what else goes into report.json, such as the versions.
    """

    benchmark: str
    scores: str
    protocol: str
    protocol_version: int | str
    protocol_description: str
    protocol_settings: Mapping[str, Any]
    coverage: Coverage
    figures: Mapping[str, float]
    headline: Sequence[str] = ('frame_auc', 'frame_ap')
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    roc: tuple[np.ndarray, np.ndarray] | None = None
    pr: tuple[np.ndarray, np.ndarray] | None = None
    videos: Sequence[ReportVideo] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def worst_first(self) -> list[ReportVideo]:
        """Videos by their highest false alarm, the worst first; those without a normal frame come last."""

        def key(video: ReportVideo) -> tuple[bool, float, str]:
            alarm = video.false_alarm
            return alarm is None, -alarm[1] if alarm else 0.0, video.video_id

        return sorted(self.videos, key=key)


def _peak(scores: np.ndarray, wanted: np.ndarray) -> tuple[int, float] | None:
    candidates = np.flatnonzero(wanted & ~np.isnan(scores))
    if not candidates.size:
        return None
    frame = int(candidates[np.argmax(scores[candidates])])
    return frame, float(scores[frame])
