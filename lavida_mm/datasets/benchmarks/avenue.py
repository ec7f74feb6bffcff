"""Reads the test set of CUHK Avenue."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark, BenchmarkTotals
from lavida_mm.datasets.benchmarks.mask_sources import MatMasks, find_intervals, load_mat_variable, strip_place
from lavida_mm.datasets.benchmarks.track_files import find_track_file
from lavida_mm.datasets.benchmarks.video_files import NUM_FRAMES_FILE, is_video, read_num_frames
from lavida_mm.registry import DATASETS
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError

__all__ = ['CUHKAvenue']

LABELS = ('masks', 'intervals')
NAMES = ('Avenue Dataset', 'Avenue_Dataset', 'Avenue', 'avenue')  # folders that archives unpack to
VIDEOS, DEMO, MASKS = 'testing_videos', 'ground_truth_demo', 'testing_label_mask'
INTERVALS = 'avenue.mat'
MASK_NAME = re.compile(r'(\d+)_label\.mat', re.IGNORECASE)


@DATASETS.register_module()
class CUHKAvenue(BaseBenchmark):
    """The 21 test videos of CUHK Avenue (360 x 640 pixels, 25 frames per second).

    On disk, in ``ROOT`` or a folder of it that is called as the archive is (``Avenue Dataset``):
    ``testing_videos/01.avi`` to ``21.avi`` and ``ground_truth_demo/testing_label_mask/1_label.mat`` to
    ``21_label.mat``, each with the cell array ``volLabel``. The videos may also stand in ``ground_truth_demo`` and
    ``testing_label_mask`` beside them. Without videos the records have no path.

    Two sets of labels are in use. The authors' masks have 3,712 anomalous frames. The other, 3,867, are the 47
    intervals of ``avenue.mat``, which came with a later method's code: variable ``gt``, one cell (2, k) per video, its
    rows the first and the last frames, counted from 1, both included. Pixel figures take the masks under both.

    Args:
        root: the folder.
        strict: raise at the first error; else collect all in ``findings``.
        labels: ``'masks'``, a frame is anomalous where its mask has a pixel; ``'intervals'``, as ``avenue.mat`` says.
        ann_file: the interval file, relative to the root; None to have it found in the root or the archive's folder.
        tracks: folder of region files, one ``01.txt`` per video, for RBDC and TBDC.

    Raises:
        ValueError: ``labels`` is neither.
        DataError: with ``strict``, an error was found.
    """

    name = 'avenue'
    totals = BenchmarkTotals(21, 15_324, 3_712)

    def __init__(
        self,
        *,
        root: str | Path,
        strict: bool = True,
        labels: str = 'masks',
        ann_file: str | None = None,
        tracks: str | Path | None = None,
    ):
        if labels not in LABELS:
            raise ValueError(f'labels must be one of {LABELS}, got {labels!r}')
        self.labels = labels
        self.ann_file = ann_file
        self.tracks = tracks
        if labels == 'intervals':
            vars(self)['totals'] = BenchmarkTotals(21, 15_324, 3_867)
        super().__init__(root=root, strict=strict, options=dict(labels=labels))

    def _read(self) -> Sequence[VideoRecord]:
        base = self._find_base()
        videos = self._list_videos(base)
        folder = next((path for path in (base / DEMO / MASKS, base / MASKS) if path.is_dir()), base / DEMO / MASKS)
        masks = _list_masks(folder)
        intervals = self._read_intervals(base) if self.labels == 'intervals' else None
        if self.labels == 'masks' and not masks and videos:
            self.error('missing-masks', folder, 'must hold the masks of the videos (1_label.mat, ...), got none')
            return []
        numbers = sorted({*videos, *masks, *range(1, len(intervals or ()) + 1)})
        if not numbers:
            return []
        lengths = read_num_frames(self)
        records = [self._read_video(number, base, videos, folder, masks, intervals, lengths) for number in numbers]
        parts = ['videos' if videos else 'annotation only', f'labels from {self.labels}']
        if masks:
            parts.append('masks')
        else:
            self.warn('no-masks', folder, 'holds no masks (1_label.mat, ...): pixel figures are not possible')
        self.layout = f'{", ".join(parts)}, in {base}'
        return records

    def _find_base(self) -> Path:
        """The folder that holds the test set."""
        for base in (self.root, *(self.root / name for name in NAMES)):
            if any((base / name).is_dir() for name in (VIDEOS, DEMO, MASKS)):
                return base
        return self.root

    def _list_videos(self, base: Path) -> dict[int, Path]:
        """Files whose name is a number, by that number."""
        for folder in (base / VIDEOS, base / DEMO / VIDEOS):
            if folder.is_dir():
                files = [path for path in sorted(folder.iterdir()) if is_video(path) and path.stem.isdecimal()]
                found = {int(path.stem): path for path in files}
                if len(found) < len(files):
                    second = next(path for path in files if found[int(path.stem)] != path)
                    first = found[int(second.stem)]
                    self.error('duplicate-video', second, f'is another file of video {first.stem} than {first}')
                if found:
                    return found
        return {}

    def _read_intervals(self, base: Path) -> list[list[tuple[int, int]]]:
        if self.ann_file is not None:
            path = self.root / self.ann_file
        else:
            places = [place / INTERVALS for place in (self.root, base, base / DEMO)]
            path = next((place for place in places if place.is_file()), self.root / INTERVALS)
        if not path.is_file():
            self.error('missing-annotation', path, "must hold the intervals for labels='intervals', no such file")
            return []
        try:
            return _parse_intervals(path)
        except DataError as error:
            self.error('bad-labels', path, strip_place(error, path))
            return []

    def _read_video(
        self,
        number: int,
        base: Path,
        videos: dict[int, Path],
        folder: Path,
        masks: dict[int, Path],
        intervals: list[list[tuple[int, int]]] | None,
        lengths: dict[str, int],
    ) -> VideoRecord:
        name = f'{number:02d}'
        path = masks.get(number, folder / f'{number}_label.mat')
        record = VideoRecord(
            video_id=name, path=videos.get(number), num_frames=lengths.get(name), origin=f'{base}: video {name}'
        )
        if record.path is None and videos:
            self.error('missing-video', base / VIDEOS / f'{name}.avi', f'no file of video {name} is there')
        if number in masks:
            record.masks = MatMasks(path)
        elif masks:
            self.error('missing-masks', path, f'video {name} must have masks as others, got none')
        if intervals is None:
            self._label_by_masks(record, path)
        elif number <= len(intervals):
            record.intervals = self._cut(record, intervals[number - 1])
        else:
            record.has_ground_truth = False
            if intervals:
                rule = f'video {name} must have intervals'
                self.error('missing-labels', self.ann_file or INTERVALS, f'{rule}, got {len(intervals)} videos')
        record.interval_categories = [''] * len(record.intervals)
        if self.tracks is not None:
            try:
                record.tracks = find_track_file(self.tracks, name)
            except DataError as error:
                path = Path(self.tracks, f'{name}.txt')
                self.error('missing-tracks', path, strip_place(error, path))
        return record

    def _label_by_masks(self, record: VideoRecord, path: Path) -> None:
        record.has_ground_truth = False
        if record.masks is None:
            return
        assert isinstance(record.masks, MatMasks)
        try:
            labels = record.masks.label_frames()
        except DataError as error:
            self.error('bad-mask', path, strip_place(error, path))
            record.masks = None
            return
        said, record.num_frames = record.num_frames, len(labels)
        if said is not None and said != len(labels):
            where = self.root / NUM_FRAMES_FILE
            rule = f'num_frames of {record.video_id} must be the number of its masks'
            self.error('length-differs', where, f'{rule}, got {said}, {path} has {len(labels)}')
        record.intervals = find_intervals(labels)
        record.has_ground_truth = True

    def _cut(self, record: VideoRecord, intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
        last = max((end for _, end in intervals), default=0)
        if record.num_frames is None or last <= record.num_frames:
            return intervals
        self.warn(
            'annotation-beyond-end',
            record.origin,
            f'{INTERVALS} says frames up to {last}, the video has {record.num_frames}; the rest is cut',
        )
        return [(start, min(end, record.num_frames)) for start, end in intervals if start < record.num_frames]


def _list_masks(folder: Path) -> dict[int, Path]:
    """Mask files by the number of their video."""
    if not folder.is_dir():
        return {}
    matches = {path: MASK_NAME.fullmatch(path.name) for path in sorted(folder.iterdir())}
    return {int(match[1]): path for path, match in matches.items() if match}


def _parse_intervals(path: Path) -> list[list[tuple[int, int]]]:
    """For each video its intervals as (start, end), start from 0, end exclusive."""
    cells = load_mat_variable(path, 'gt')
    if cells.dtype != object or not cells.size or max(cells.shape) != cells.size:
        raise DataError(
            f'{path}: gt must be a cell array with one (2, k) array per video, got {cells.dtype} of shape {cells.shape}'
        )
    return [_parse_cell(cell, f'gt{{{number}}}', path) for number, cell in enumerate(cells.ravel(), start=1)]


def _parse_cell(cell: Any, field: str, path: Path) -> list[tuple[int, int]]:
    if not isinstance(cell, np.ndarray) or cell.dtype.kind not in 'iuf' or (cell.size and cell.shape[:1] != (2,)):
        kind = f'{cell.dtype} of shape {cell.shape}' if isinstance(cell, np.ndarray) else type(cell).__name__
        raise DataError(f'{path}: {field} must be numbers (2, k), first and last frames, got {kind}')
    intervals = []
    for first, last in cell.reshape(2, -1).T.tolist():
        if not float(first).is_integer() or not float(last).is_integer() or not 1 <= first <= last:
            raise DataError(
                f'{path}: {field}: start must be at most end, both whole and counted from 1, got {first:g} {last:g}'
            )
        intervals.append((int(first) - 1, int(last)))
    return intervals
