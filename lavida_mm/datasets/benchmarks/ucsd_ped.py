"""Reads the test sets of UCSD Ped1 and Ped2."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark, BenchmarkTotals
from lavida_mm.datasets.benchmarks.mask_sources import (
    ImageFolderMasks,
    find_intervals,
    list_numbered_images,
    strip_place,
)
from lavida_mm.datasets.benchmarks.track_files import find_track_file
from lavida_mm.datasets.benchmarks.video_files import NUM_FRAMES_FILE, read_num_frames
from lavida_mm.datasets.readers.image_folder_reader import read_image
from lavida_mm.registry import DATASETS
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError

__all__ = ['UCSDPed1', 'UCSDPed2', 'parse_intervals']

RELEASE = 'UCSD_Anomaly_Dataset.v1p2'
FRAME_SUFFIXES = ('.tif', '.tiff', '.png', '.jpg', '.bmp')
CLIP_NAME = re.compile(r'Test(\d+)', re.IGNORECASE)
MASKS_NAME = re.compile(r'Test(\d+)_gt', re.IGNORECASE)
STATEMENT = re.compile(r'TestVideoFile\s*\{[^}]*\}\s*\.\s*gt_frame\s*=\s*\[([^\]]*)\]\s*;?\s*(%.*)?')
MENTION = re.compile(r'TestVideoFile\s*\{|gt_frame')
RANGE = re.compile(r'(\d+)(?:\s*:\s*(\d+))?')


def parse_intervals(path: Path) -> list[list[tuple[int, int]]]:
    """The intervals of all clips from a MATLAB script with lines ``TestVideoFile{end+1}.gt_frame = [5:90, 140:200];``.

    MATLAB counts frames from 1 and its ranges hold both ends: ``5:90`` is frame 4 to 89, (4, 90) here. Read so, the
    published script of Ped1 has 4,045 anomalous frames, as papers say; with the ends left out it would have 4,005.

    Args:
        path: the script.

    Returns:
        for each clip in its order the intervals as (start, end), start from 0, end exclusive; not yet held against the
        length of the clip.

    Raises:
        DataError: the file is missing, or a line that speaks of a clip breaks a rule: it names file and line.
    """
    try:
        text = path.read_text(encoding='utf-8-sig', errors='replace')
    except OSError as error:
        raise DataError(f'{path}: {error.strerror or error}') from error
    clips = []
    for number, line in enumerate(text.splitlines(), start=1):
        statement = line.strip()
        if not MENTION.search(statement) or statement.startswith('%'):
            continue
        match = STATEMENT.fullmatch(statement)
        if match is None:
            raise DataError(
                f'{path}:{number}: must be TestVideoFile{{end+1}}.gt_frame = [first:last, ...];, got {statement!r:.120}'
            )
        clips.append(_read_ranges(match[1], f'{path}:{number}', statement))
    if not clips:
        raise DataError(f'{path}: must hold a line TestVideoFile{{end+1}}.gt_frame = [first:last]; per clip, got none')
    return clips


def _read_ranges(text: str, where: str, statement: str) -> list[tuple[int, int]]:
    intervals = []
    for part in filter(None, re.split(r'[,;]|(?<=\d)\s+(?=\d)', text)):
        match = RANGE.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if match is None or first < 1:
            raise DataError(f'{where}: ranges must be first:last in frames from 1 on, got {statement!r:.120}')
        if first > last:
            raise DataError(f'{where}: start must be at most end, got {first} {last} in {statement!r:.120}')
        intervals.append((first - 1, last))
    return intervals


class UCSDPed(BaseBenchmark):
    """What Ped1 and Ped2 share.

    Attributes:
        folder: name of the folder and of the MATLAB script.
        other: the same of the other one.
        other_size: height and width of the other one's frames.
        masks_first: whether masks say which frames are anomalous where both masks and intervals are there.
    """

    folder: ClassVar[str]
    other: ClassVar[str]
    other_size: ClassVar[tuple[int, int]]
    masks_first: ClassVar[bool]

    def __init__(self, *, root: str | Path, strict: bool = True, tracks: str | Path | None = None):
        self.tracks = tracks
        super().__init__(root=root, strict=strict)

    def _read(self) -> Sequence[VideoRecord]:
        base = self._find_base()
        if base is None:
            return []
        test = base / 'Test' if (base / 'Test').is_dir() else base
        clips, masks = _list_clips(test, CLIP_NAME), _list_clips(test, MASKS_NAME)
        if self._is_other(base, test, clips):
            return []
        intervals = self._read_script(test, base)
        named = sorted({*clips, *masks, *range(1, len(intervals) + 1)})
        limit = self.totals.videos or len(named)
        for number in (number for number in named if number > limit):
            where = clips.get(number) or masks.get(number) or test
            self.error('extra-video', where, f'{self.folder} has clips 1 to {limit}, got clip {number}')
        lengths = read_num_frames(self)
        records = [
            self._read_clip(number, test, clips, masks, intervals, lengths) for number in named if number <= limit
        ]
        self._note_layout(base, clips, masks, intervals, records)
        return records

    def _find_base(self) -> Path | None:
        """The folder of this benchmark: below the root, or the root itself; what belongs to the other one is passed."""
        for parent in (self.root, self.root / RELEASE):
            found = _find_folder(parent, self.folder)
            if found is not None:
                return found
        if _find_folder(self.root, self.other) or _find_folder(self.root / RELEASE, self.other):
            self.error('missing-benchmark', self.root, f'must hold a folder {self.folder}, got {self.other} only')
            return None
        return self.root

    def _is_other(self, base: Path, test: Path, clips: dict[int, Path]) -> bool:
        """Whether the folder holds the clips of the other benchmark, which has the same names of clips and frames."""
        script = _find_script((test, base), self.folder)
        wrong = None if script else _find_script((test, base), self.other)
        if base.name.lower() == self.other.lower() or wrong:
            self.error('wrong-benchmark', wrong or base, f'belongs to {self.other}, not to {self.folder}')
            return True
        if clips:
            folder = clips[min(clips)]
            try:
                size = read_image(list_numbered_images(folder, FRAME_SUFFIXES)[0]).shape[:2]
            except DataError:
                return False  # noted where the frames are counted
            if size == self.other_size:
                shown = f'{size[0]} x {size[1]}'
                self.error('wrong-benchmark', folder, f'frames are {shown}, which is the size of {self.other}')
                return True
        return False

    def _read_script(self, test: Path, base: Path) -> list[list[tuple[int, int]]]:
        path = _find_script((test, base), self.folder)
        if path is None:
            return []
        try:
            return parse_intervals(path)
        except DataError as error:
            line, _, message = str(error).removeprefix(str(path)).partition(': ')
            self.error('malformed-line', f'{path}{line}', message)
            return []

    def _read_clip(
        self,
        number: int,
        test: Path,
        clips: dict[int, Path],
        masks: dict[int, Path],
        intervals: list[list[tuple[int, int]]],
        lengths: dict[str, int],
    ) -> VideoRecord:
        name = f'Test{number:03d}'
        record = VideoRecord(video_id=name, path=clips.get(number), origin=str(clips.get(number, test / name)))
        self._count_frames(record, clips, lengths)
        if number in masks:
            self._read_masks(record, masks[number])
        elif masks and self.masks_first:
            self.error('missing-masks', test / f'{name}_gt', f'clip {name} must have masks as others, got none')
        stated = intervals[number - 1] if number <= len(intervals) else None
        self._label(record, stated)
        if self.tracks is not None:
            try:
                record.tracks = find_track_file(self.tracks, name)
            except DataError as error:
                path = Path(self.tracks, f'{name}.txt')
                self.error('missing-tracks', path, strip_place(error, path))
        return record

    def _count_frames(self, record: VideoRecord, clips: dict[int, Path], lengths: dict[str, int]) -> None:
        said = lengths.get(record.video_id)
        if record.path is None:
            record.num_frames = said
            if clips:
                self.error('missing-video', record.origin, f'clip {record.video_id} must have a folder of frames')
            return
        try:
            record.num_frames = len(list_numbered_images(record.path, FRAME_SUFFIXES))
        except DataError as error:
            self.error('bad-frames', record.path, strip_place(error, record.path))
            return
        if said is not None and said != record.num_frames:
            where = self.root / NUM_FRAMES_FILE
            rule = f'num_frames of {record.video_id} must be the number of its images'
            self.error('length-differs', where, f'{rule}, got {said}, {record.num_frames} images')

    def _read_masks(self, record: VideoRecord, folder: Path) -> None:
        try:
            masks = ImageFolderMasks(folder)
        except DataError as error:
            self.error('bad-mask', folder, strip_place(error, folder))
            return
        if record.num_frames is None:
            record.num_frames = masks.num_frames
        if masks.num_frames == record.num_frames:
            record.masks = masks
            return
        self.error(
            'length-differs',
            folder,
            f'masks must be as many as frames, got {masks.num_frames} masks, {record.num_frames} frames '
            f'({masks.num_frames - record.num_frames:+d})',
        )

    def _label(self, record: VideoRecord, stated: list[tuple[int, int]] | None) -> None:
        """Fill in the intervals, from the script or from the masks."""
        shown = None
        if record.masks is not None:
            assert isinstance(record.masks, ImageFolderMasks)
            try:
                shown = record.masks.label_frames()
            except DataError as error:
                self.error('bad-mask', record.masks.folder, strip_place(error, record.masks.folder))
        if stated is not None:
            record.intervals = self._cut(record, stated)
            if shown is not None:
                self._compare(record, shown)
        if shown is not None and (self.masks_first or stated is None):
            record.intervals = find_intervals(shown)
        record.interval_categories = [''] * len(record.intervals)
        record.has_ground_truth = stated is not None or shown is not None
        if not record.has_ground_truth:
            rule = f'clip {record.video_id} must have masks or a line in {self.folder}.m'
            self.error('missing-labels', record.origin, f'{rule}, got neither')

    def _cut(self, record: VideoRecord, stated: list[tuple[int, int]]) -> list[tuple[int, int]]:
        last = max((end for _, end in stated), default=0)
        if record.num_frames is None or last <= record.num_frames:
            return list(stated)
        self.warn(
            'annotation-beyond-end',
            record.origin,
            f'{self.folder}.m says frames up to {last}, the clip has {record.num_frames}; the rest is cut',
        )
        return [(start, min(end, record.num_frames)) for start, end in stated if start < record.num_frames]

    def _compare(self, record: VideoRecord, shown: np.ndarray) -> None:
        labels = record.frame_labels(len(shown))
        number = int((labels != shown).sum())
        if number:
            used = 'masks' if self.masks_first else f'{self.folder}.m'
            self.warn(
                'labels-differ',
                record.origin,
                f'{self.folder}.m labels {labels.sum()} frames, the masks show anomalies in {shown.sum()}, they differ '
                f'in {number}; {used} counts',
            )

    def _note_layout(self, base: Path, clips: dict, masks: dict, intervals: list, records: list) -> None:
        if not records:
            return
        parts = ['folders of frames' if clips else 'annotation only']
        parts += [f'{self.folder}.m'] if intervals else []
        if masks:
            parts.append(f'masks of {len(masks)} clips')
        else:
            self.warn('no-masks', base, 'holds no masks (TestNNN_gt): pixel figures are not possible')
        self.layout = f'{", ".join(parts)}, in {base}'


@DATASETS.register_module()
class UCSDPed1(UCSDPed):
    """The 36 test clips of UCSD Ped1 (158 x 238 pixels).

    On disk, in ``ROOT``, ``ROOT/UCSDped1`` or ``ROOT/UCSD_Anomaly_Dataset.v1p2/UCSDped1``: ``Test/TestNNN/*.tif``,
    ``Test/UCSDped1.m`` with the anomalous frames of all clips, and ``Test/TestNNN_gt/*.bmp`` for 10 of them.
    Ped2 beside it is not read. Frames are labelled by the script; the masks of a clip serve pixel figures, and its
    labels where there is no script. Without frames the records have no path.

    Args:
        root: the folder.
        strict: raise at the first error; else collect all in ``findings``.
        tracks: folder of region files, one ``TestNNN.txt`` per clip, for RBDC and TBDC.

    Raises:
        DataError: with ``strict``, an error was found.
    """

    name = 'ucsd_ped1'
    totals = BenchmarkTotals(36, 7_200, 4_045)
    folder = 'UCSDped1'
    other = 'UCSDped2'
    other_size = (240, 360)
    masks_first = False


@DATASETS.register_module()
class UCSDPed2(UCSDPed):
    """The 12 test clips of UCSD Ped2 (240 x 360 pixels).

    On disk, in ``ROOT``, ``ROOT/UCSDped2`` or ``ROOT/UCSD_Anomaly_Dataset.v1p2/UCSDped2``: ``Test/TestNNN/*.tif`` and
    ``Test/TestNNN_gt/*.bmp`` (in three clips ``frameNNN.bmp``), and ``Test/UCSDped2.m``. Ped1 beside it is not read.
    A frame is anomalous where its mask has a pixel; without masks the script counts. Copies of the script circulate
    that end clip 6 at frame 159 (1,648 anomalous frames in all, as published) and at 162 (1,651); where script and
    masks differ a warning says so. Without frames the records have no path.

    Args:
        root: the folder.
        strict: raise at the first error; else collect all in ``findings``.
        tracks: folder of region files, one ``TestNNN.txt`` per clip, for RBDC and TBDC.

    Raises:
        DataError: with ``strict``, an error was found.
    """

    name = 'ucsd_ped2'
    totals = BenchmarkTotals(12, 2_010, 1_648)
    folder = 'UCSDped2'
    other = 'UCSDped1'
    other_size = (158, 238)
    masks_first = True


def _find_folder(parent: Path, name: str) -> Path | None:
    """A folder by its name, whatever its case."""
    if not parent.is_dir():
        return None
    entries = (entry for entry in sorted(parent.iterdir()) if entry.name.lower() == name.lower())
    return next((entry for entry in entries if entry.is_dir()), None)


def _find_script(folders: Sequence[Path], name: str) -> Path | None:
    return next((path for folder in folders if (path := folder / f'{name}.m').is_file()), None)


def _list_clips(test: Path, pattern: re.Pattern) -> dict[int, Path]:
    """Folders whose name is that of a clip, by its number."""
    if not test.is_dir():
        return {}
    matches = {entry: pattern.fullmatch(entry.name) for entry in sorted(test.iterdir()) if entry.is_dir()}
    return {int(match[1]): entry for entry, match in matches.items() if match}
