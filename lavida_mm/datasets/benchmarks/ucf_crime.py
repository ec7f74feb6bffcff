"""Reads UCF-Crime."""

from collections.abc import Sequence
from pathlib import Path

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark, BenchmarkTotals
from lavida_mm.datasets.benchmarks.interval_files import (
    IntervalLine,
    add_intervals,
    check_interval_ends,
    find_text_file,
    read_interval_file,
)
from lavida_mm.datasets.benchmarks.video_files import VideoIndex, check_videos_and_lengths, read_num_frames
from lavida_mm.registry import DATASETS
from lavida_mm.structures import VideoRecord

__all__ = ['UCFCrime']

CLASSES = {
    'Abuse': 'abuse',
    'Arrest': 'arrest',
    'Arson': 'arson',
    'Assault': 'assault',
    'Burglary': 'burglary',
    'Explosion': 'explosion',
    'Fighting': 'fighting',
    'RoadAccidents': 'road accidents',
    'Robbery': 'robbery',
    'Shooting': 'shooting',
    'Shoplifting': 'shoplifting',
    'Stealing': 'stealing',
    'Vandalism': 'vandalism',
}
NORMAL = 'normal'
# Spellings of 'Normal' by the names of folders; compared as letters alone.
NORMAL_KEYS = {
    'normal', 'normalvideos', 'normalvideosevent', 'testingnormalvideos', 'testingnormalvideosanomaly'
}  # fmt: skip
ANNOTATION = 'Temporal_Anomaly_Annotation_for_Testing_Videos.txt'
ANNOTATION_PATTERN = r'temporal[ _-]*anomaly[ _-]*annotations?.*\.txt'


@DATASETS.register_module()
class UCFCrime(BaseBenchmark):
    """The 290 test videos of UCF-Crime (Sultani, Chen and Shah, CVPR 2018), or a part of them.

    The annotation file gives the list; each line is ``name class first last first last``, with -1 for no event, blanks
    or tabs between, and names with or without ``.mp4``. It lies in the root or up to two folders below, under any of
    the names that begin with ``Temporal_Anomaly_Annotation``. Videos lie in ``Anomaly-Videos/<Class>`` or
    ``Anomaly-Videos-Part-1`` to ``-4``, and ``Testing_Normal_Videos_Anomaly`` or ``Testing_Normal_Videos``, or all in
    one folder. Without any video the annotation alone is read: enough to evaluate scores.

    Args:
        root: the folder.
        strict: raise at the first error; else collect all in ``findings``.
        interval_ends: ``'inclusive'``, both ends of an interval are anomalous frames (LAVAD, LAVIDA);
            ``'half-open'``, its last frame is normal (PEL4VAD, VadCLIP). Frames count from 0 in both.
        ann_file: annotation file, below the root; None to find it.

    Raises:
        UsageError: ``interval_ends`` has no such value.
        DataError: with ``strict``, an error was found.
    """

    name = 'ucf_crime'
    frame_only = True
    totals = BenchmarkTotals(videos=290, frames=1_111_808, anomalous_frames=84_331)

    def __init__(
        self,
        *,
        root: str | Path,
        strict: bool = True,
        interval_ends: str = 'inclusive',
        ann_file: str | Path | None = None,
    ):
        self.interval_ends = check_interval_ends(interval_ends)
        self.ann_file = ann_file
        super().__init__(root=root, strict=strict, options=dict(interval_ends=interval_ends))

    def _read(self) -> Sequence[VideoRecord]:
        file = find_text_file(self, self.ann_file, ANNOTATION_PATTERN, ANNOTATION)
        if file is None:
            return []
        lines = read_interval_file(self, file, with_label=True)
        lengths = read_num_frames(self)
        videos = VideoIndex(self)
        records: dict[str, VideoRecord] = {}
        for line in lines:
            if line.video_id in records:
                before = records[line.video_id].origin
                self.error('duplicate-line', line.where, f'video {line.video_id} must stand here once; first: {before}')
                continue
            word = self._read_class(line)
            if word is None:
                continue
            record = VideoRecord(
                video_id=line.video_id,
                path=videos.find(line.video_id),
                num_frames=lengths.get(line.video_id),
                origin=line.where,
            )
            spans = () if word == NORMAL else line.spans
            add_intervals(self, record, spans, word=word, where=line.where, interval_ends=self.interval_ends)
            records[line.video_id] = record
        check_videos_and_lengths(self, list(records.values()), lengths)
        paths = [record.path for record in records.values() if record.path is not None]
        self.layout = videos.describe(paths, '|'.join(CLASSES), '<Class>') if paths else 'annotation only'
        return list(records.values())

    def _read_class(self, line: IntervalLine) -> str | None:
        """Its word, ``NORMAL``, or None with an error noted."""
        key = ''.join(letter for letter in (line.label or '').casefold() if letter.isalpha())
        if key in NORMAL_KEYS:
            if line.spans:
                self.error('label-mismatch', line.where, f'a normal video must have no event, got {line.text!r}')
                return None
            return NORMAL
        for name, word in CLASSES.items():
            if key == name.casefold():
                if not line.spans:
                    self.error(
                        'label-mismatch', line.where, f'a video of class {name} must have an event, got {line.text!r}'
                    )
                    return None
                return word
        known = ', '.join([*CLASSES, 'Normal'])
        self.error('unknown-class', line.where, f'class must be one of {known}, got {line.label!r} in {line.text!r}')
        return None
