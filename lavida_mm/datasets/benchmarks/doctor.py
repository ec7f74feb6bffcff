"""Says whether a benchmark on disk is what its publishers gave out, before a figure is computed on it."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark, BenchmarkTotals, Finding
from lavida_mm.datasets.readers.base_reader import VideoReader
from lavida_mm.datasets.video_reader import IMAGE_SUFFIXES, open_video
from lavida_mm.registry import DATASETS
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError, UsageError, describe_error

__all__ = ['CountRow', 'DoctorReport', 'check_benchmark', 'find_benchmarks']

MASK_CHUNK = 32  # masks that are read at once: at most 70 MB at 1080 x 1920
PROGRESS_FRAMES = 50  # frames between two reports of progress
OWN_ARGUMENTS = {'self', 'root', 'strict'}

Progress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class CountRow:
    """One count of a benchmark beside the published one.

    Attributes:
        name: what is counted: ``'videos'``, ``'frames'`` or ``'anomalous frames'``.
        found: the count here; None where it is not known, or known for some videos only.
        known: the published count; None where there is none.
        verdict: what the two say, in words.
    """

    name: str
    found: int | None
    known: int | None
    verdict: str

    @property
    def differs(self) -> bool:
        """Whether both counts are known and not the same."""
        return None not in (self.found, self.known) and self.found != self.known


@dataclass
class DoctorReport:
    """What the doctor found.

    Attributes:
        benchmark: name of the benchmark.
        root: the folder that was looked at.
        deep: whether every frame was decoded.
        layout: the variant that was found on disk, in words.
        options: the reader's arguments that change the ground truth.
        counts: videos, frames and anomalous frames, found and known.
        findings: errors and warnings.
        num_decoded: frames that were decoded, 0 without ``deep``.
    """

    benchmark: str
    root: str
    deep: bool
    layout: str = ''
    options: dict[str, Any] = field(default_factory=dict)
    counts: list[CountRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    num_decoded: int = 0

    @property
    def errors(self) -> list[Finding]:
        """Findings that make figures wrong or impossible."""
        return [finding for finding in self.findings if finding.level == 'error']

    @property
    def warnings(self) -> list[Finding]:
        """Findings that were handled and are worth knowing."""
        return [finding for finding in self.findings if finding.level != 'error']

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings are allowed."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for ``json.dumps``."""
        return {
            'version': 1,
            'benchmark': self.benchmark,
            'root': self.root,
            'deep': self.deep,
            'ok': self.ok,
            'layout': self.layout,
            'options': {name: _to_plain(value) for name, value in self.options.items()},
            'counts': [
                {'name': row.name, 'found': row.found, 'known': row.known, 'verdict': row.verdict}
                for row in self.counts
            ],
            'num_decoded': self.num_decoded,
            'num_errors': len(self.errors),
            'num_warnings': len(self.warnings),
            'findings': [
                {'level': finding.level, 'code': finding.code, 'where': finding.where, 'message': finding.message}
                for finding in self.errors + self.warnings
            ],
        }

    def to_text(self) -> str:
        """The report for people, errors first."""
        lines = [f'benchmark  {self.benchmark}', f'root       {self.root}']
        if self.layout:
            lines.append(f'layout     {self.layout}')
        if self.options:
            lines.append('options    ' + ', '.join(f'{name}={value}' for name, value in self.options.items()))
        if self.counts:
            lines += ['', *_align([('', 'found', 'known', 'verdict'), *map(_row_cells, self.counts)])]
        lines += ['', f'{_count(len(self.errors), "error")}, {_count(len(self.warnings), "warning")}']
        width = max((len(finding.code) for finding in self.findings), default=0)
        lines += [f'{found.level:<7}  {found.code:<{width}}  {found}' for found in self.errors + self.warnings]
        if not self.deep:
            lines += ['', 'Files and annotation only; --deep decodes every frame as well.']
        return '\n'.join(lines)


def find_benchmarks() -> dict[str, type[BaseBenchmark]]:
    """The readers of benchmarks by the name that commands take."""
    DATASETS.import_from_location()
    readers = (reader for reader in DATASETS.module_dict.values() if inspect.isclass(reader))
    return {reader.name: reader for reader in readers if issubclass(reader, BaseBenchmark)}


def check_benchmark(
    name: str,
    root: str | Path,
    *,
    deep: bool = False,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> DoctorReport:
    """Look at a benchmark on disk.

    Args:
        name: name of the benchmark.
        root: its folder.
        deep: decode every frame and read every mask as well, one video at a time.
        options: further arguments of the reader.
        progress: called during ``deep`` with the videos done, the videos in all and the frames decoded so far.

    Returns:
        the report; what is wrong on disk stands in it and raises nothing.

    Raises:
        UsageError: there is no benchmark of that name, or its reader has no such option.
        ValueError: an option has a value that the reader does not take.
    """
    readers = find_benchmarks()
    if name not in readers:
        raise UsageError(f'name of the benchmark must be one of {", ".join(sorted(readers))}, got {name!r}')
    reader = readers[name]
    _check_options(reader, options or {})
    report = DoctorReport(benchmark=name, root=str(root), deep=deep)
    try:
        benchmark = reader(root=root, strict=False, **(options or {}))
    except DataError as error:
        report.findings.append(
            Finding('error', 'unusable-root', str(root), describe_error(error).removeprefix(f'{root}: '))
        )
        return report
    report.layout, report.options = benchmark.layout, dict(benchmark.options)
    examination = _Examination(benchmark)
    examination.check_files()
    if deep:
        examination.check_frames(progress)
    report.num_decoded = examination.num_decoded
    report.counts = examination.count()
    examination.check_counts(report.counts)
    report.findings = list(dict.fromkeys([*benchmark.findings, *examination.findings]))
    return report


class _Examination:
    """What the doctor looks at beyond the reader, for every benchmark alike.

    Args:
        benchmark: the reader, with its records and findings.
    """

    def __init__(self, benchmark: BaseBenchmark):
        self.benchmark = benchmark
        self.findings: list[Finding] = []
        self.num_decoded = 0
        self.lengths: dict[str, int | None] = {video.video_id: video.num_frames for video in benchmark.records}
        self.damaged: set[str] = set()

    def error(self, code: str, where: str | Path, message: str) -> None:
        self.findings.append(Finding('error', code, str(where), message))

    def warn(self, code: str, where: str | Path, message: str) -> None:
        self.findings.append(Finding('warning', code, str(where), message))

    def check_files(self) -> None:
        """Videos that are missing or empty, tracks that cannot be read: nothing is decoded."""
        records = self.benchmark.records
        absent = [record for record in records if record.path is None]
        if records and len(absent) == len(records):
            self.warn(
                'no-videos',
                self.benchmark.root,
                'holds annotation only: scores can be evaluated here, a model cannot be tested',
            )
        else:
            noted = {finding.where for finding in self.benchmark.findings if finding.code == 'missing-video'}
            if not noted:  # a reader that names the missing videos itself knows the places it looked at
                for record in absent:
                    self.error('missing-video', record.origin or record.video_id, 'its video is not on disk')
        named = {finding.where for finding in self.benchmark.findings}
        for record in records:
            if record.path is not None:
                for path in _find_empty_files(record.path):
                    self.damaged.add(record.video_id)
                    if str(path) not in named:
                        self.error('empty-file', path, 'has 0 bytes')
            if record.tracks is not None:
                self._check_tracks(record)

        self._find_neighbour()

    def _find_neighbour(self) -> None:
        """The other one of two benchmarks that come in one archive: some code reads the clips of both as one."""
        other = getattr(self.benchmark, 'other', None)
        if other is None:
            return
        for folder in (self.benchmark.root, *sorted(self.benchmark.root.glob('UCSD_Anomaly_Dataset*'))):
            for entry in sorted(folder.iterdir() if folder.is_dir() else []):
                if entry.name.lower() == other.lower() and self.benchmark.records:
                    self.warn('other-benchmark', entry, f'{other} lies beside; it is not read')

    def _check_tracks(self, record: VideoRecord) -> None:
        assert record.tracks is not None
        try:
            rows = record.tracks.read()
        except (DataError, OSError) as error:
            self.error('bad-tracks', record.origin or record.video_id, describe_error(error))
            return
        if record.num_frames is not None and len(rows) and rows[:, 1].max() >= record.num_frames:
            self.warn(
                'track-beyond-end',
                record.origin or record.video_id,
                f'a region stands in frame {int(rows[:, 1].max())}, the video has {record.num_frames} frames',
            )

    def check_frames(self, progress: Progress | None) -> None:
        """Decode every frame, read every mask."""
        records = [record for record in self.benchmark.records if record.path is not None]
        for number, record in enumerate(records):

            def report(number: int = number) -> None:
                if progress is not None:
                    progress(number, len(records), self.num_decoded)

            report()
            self._check_video(record, report)
        if progress is not None:
            progress(len(records), len(records), self.num_decoded)

    def _check_video(self, record: VideoRecord, report: Callable[[], None]) -> None:
        assert record.path is not None
        if record.video_id in self.damaged:  # named already, and more follows from it
            return
        with self._note_damage(record):
            with open_video(record.path, 'pyav') as reader:
                height, width, num_frames = reader.height, reader.width, reader.num_frames
                if not self._decode(record, reader, report):
                    return
            self.lengths[record.video_id] = num_frames
            self._compare_length(record, num_frames)
            self._compare_size(record, height, width)
            self._check_masks(record, num_frames, height, width)

    @contextmanager
    def _note_damage(self, record: VideoRecord) -> Iterator[None]:
        try:
            yield
        except (DataError, OSError) as error:
            self.lengths[record.video_id] = None
            self.error('unreadable-video', record.origin or record.video_id, describe_error(error))

    def _decode(self, record: VideoRecord, reader: VideoReader, report: Callable[[], None]) -> bool:
        """Whether every frame can be decoded. In a folder the images after a bad one are looked at too."""
        assert record.path is not None
        faults = []
        for index in range(reader.num_frames):
            try:
                reader.read([index])
            except (DataError, OSError) as error:
                faults.append(describe_error(error))
                if not record.path.is_dir():
                    break
                continue
            self.num_decoded += 1
            if self.num_decoded % PROGRESS_FRAMES == 0:
                report()
        if faults:
            more = f' (and {len(faults) - 1} more images)' if len(faults) > 1 else ''
            self.lengths[record.video_id] = None
            self.error('unreadable-video', record.origin or record.video_id, faults[0] + more)
        return not faults

    def _compare_length(self, record: VideoRecord, decoded: int) -> None:
        where, said = record.origin or record.video_id, record.num_frames
        if said is not None and said != decoded:
            message = f'its labels are made for {said:,} frames, {record.path} has {decoded:,}: {decoded - said:+,}'
            if record.masks is None and abs(decoded - said) == 1:  # intervals: decoders disagree by a frame
                self.warn('length-differs', where, message)
            else:
                self.error('length-differs', where, message)
        late = [(start, end) for start, end in record.intervals if end > decoded]
        if late and said != decoded:
            self.warn(
                'annotation-beyond-end',
                where,
                f'{record.path} has {decoded:,} frames, an anomaly is annotated from {late[0][0]:,} to before '
                f'{late[0][1]:,}; what lies beyond is cut',
            )

    def _compare_size(self, record: VideoRecord, height: int, width: int) -> None:
        said = (record.height or height, record.width or width)
        if said != (height, width):
            self.error(
                'size-differs',
                record.origin or record.video_id,
                f'height and width must be those of {record.path}, {height} x {width}, got {said[0]} x {said[1]}',
            )

    def _check_masks(self, record: VideoRecord, num_frames: int, height: int, width: int) -> None:
        if record.masks is None:
            return
        where = record.origin or record.video_id
        labels = record.frame_labels(num_frames).astype(bool)
        shown = np.zeros(num_frames, dtype=bool)
        faults = []
        for start in range(0, num_frames, MASK_CHUNK):
            inds = np.arange(start, min(start + MASK_CHUNK, num_frames))
            try:
                masks = record.pixel_masks(inds, height, width)
            except (DataError, OSError) as error:
                faults.append(describe_error(error))
                continue
            assert masks is not None
            shown[inds] = masks.any(axis=(1, 2))
        for fault in dict.fromkeys(faults):
            self.error('bad-mask', where, fault)
        extra = np.flatnonzero(shown & ~labels)
        if len(extra) and record.has_ground_truth and not faults:
            self.warn(
                'mask-on-normal-frame',
                where,
                f'{_count(len(extra), "frame")} labelled normal, the first is {extra[0]}, show anomalous pixels',
            )

    def count(self) -> list[CountRow]:
        """Videos, frames and anomalous frames beside what is published."""
        records, totals = self.benchmark.records, self._find_totals()
        lengths = [self.lengths[record.video_id] for record in records]
        unknown = sum(length is None for length in lengths)
        frames = None if unknown or not records else sum(length for length in lengths if length is not None)
        unlabelled = sum(not record.has_ground_truth for record in records)
        anomalous = None
        if frames is not None and not unlabelled:
            anomalous = sum(
                int(record.frame_labels(length).sum())
                for record, length in zip(records, lengths, strict=True)
                if length is not None
            )
        no_length = f'number of frames not known for {_count(unknown, "video")}'
        no_labels = f'no ground truth for {_count(unlabelled, "video")}'
        return [
            _compare('videos', len(records), totals.videos, ''),
            _compare('frames', frames, totals.frames, no_length),
            _compare('anomalous frames', anomalous, totals.anomalous_frames, no_labels if unlabelled else no_length),
        ]

    def _find_totals(self) -> BenchmarkTotals:
        """What is published; nothing where an option makes another ground truth or test set."""
        if 'totals' in vars(self.benchmark):
            return self.benchmark.totals
        usual = {
            name: parameter.default for name, parameter in inspect.signature(type(self.benchmark)).parameters.items()
        }
        changed = [name for name, value in self.benchmark.options.items() if name in usual and usual[name] != value]
        return BenchmarkTotals() if changed else self.benchmark.totals

    def check_counts(self, rows: list[CountRow]) -> None:
        """A part of a benchmark is legitimate: a count that differs is a warning."""
        differing = [f'{row.found:,} {row.name}, {row.verdict}' for row in rows if row.differs]
        if differing and self.benchmark.records:
            self.warn('count-differs', self.benchmark.root, 'holds ' + '; '.join(differing))


def _check_options(reader: type[BaseBenchmark], options: Mapping[str, Any]) -> None:
    known = [name for name in inspect.signature(reader.__init__).parameters if name not in OWN_ARGUMENTS]
    for name in options:
        if name not in known:
            rule = f'must be one of {", ".join(known)}' if known else 'there are none'
            raise UsageError(f'option of {reader.name} {rule}, got {name!r}')


def _find_empty_files(path: Path) -> list[Path]:
    """Files of 0 bytes among a video file or the images of a folder."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    else:
        files = [path]
    return [file for file in files if file.is_file() and not file.stat().st_size]


def _compare(name: str, found: int | None, known: int | None, unknown: str) -> CountRow:
    row = CountRow(name, found, known, '')
    if found is None:
        return replace(row, verdict=unknown)
    if known is None:
        return replace(row, verdict='no published count')
    if found == known:
        return replace(row, verdict='same')
    difference = f'{known - found:,} fewer' if found < known else f'{found - known:,} more'
    return replace(row, verdict=f'{difference} than the {known:,} published')


def _row_cells(row: CountRow) -> tuple[str, str, str, str]:
    found, known = ('-' if count is None else f'{count:,}' for count in (row.found, row.known))
    return row.name, found, known, row.verdict


def _align(rows: list[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    return [
        f'{name:<{widths[0]}}  {found:>{widths[1]}}  {known:>{widths[2]}}  {verdict}'.rstrip()
        for name, found, known, verdict in rows
    ]


def _count(number: int, noun: str) -> str:
    return f'{number:,} {noun}' if number == 1 else f'{number:,} {noun}s'


def _to_plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
