"""Reads the manifest of a benchmark or of a user's own videos."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark
from lavida_mm.datasets.benchmarks.mask_sources import RleMasks
from lavida_mm.datasets.masks import decode_mask, find_mask_fault
from lavida_mm.datasets.sources.coco_json import load_json
from lavida_mm.registry import DATASETS
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import check_words

__all__ = ['SCHEMA', 'AnomalyTracks', 'ManifestBenchmark']

SCHEMA = Path(__file__).with_name('manifest.schema.json')
VERSION = 1
TOP_FIELDS = {'version', 'name', 'categories', 'videos'}
VIDEO_FIELDS = {
    'video_id', 'path', 'num_frames', 'fps', 'height', 'width', 'categories', 'absent_categories', 'anomalies'
}  # fmt: skip
ANOMALY_FIELDS = {'category', 'start', 'end', 'masks', 'boxes'}
VIDEOS = ('required', 'optional')


@dataclass
class AnomalyPart:
    """Where one anomaly is: its boxes, or else the masks that its boxes are read from.

    Attributes:
        boxes: frame -> x1, y1, x2, y2 in whole pixels, both ends included; None where only masks are known.
        masks: frame -> COCO run lengths.
    """

    boxes: dict[int, list[int]] | None
    masks: dict[int, dict]


class AnomalyTracks:
    """Boxes of the anomalies of one video; each anomaly is one track, numbered from 0.

    Args:
        parts: the anomalies.
        origin: file and video, for errors.
    """

    def __init__(self, parts: Sequence[AnomalyPart], origin: str):
        self.parts = list(parts)
        self.origin = origin

    def read(self) -> np.ndarray:
        """Boxes, float64 (R, 6): track, frame, x1, y1, x2, y2. Empty masks have none.

        Raises:
            DataError: the run lengths of a mask break a rule.
        """
        rows: list[tuple[int, ...]] = []
        for track, part in enumerate(self.parts):
            boxes = part.boxes if part.boxes is not None else self._enclose(part.masks)
            rows += [(track, frame, *boxes[frame]) for frame in sorted(boxes)]
        return np.asarray(rows, dtype=np.float64).reshape(-1, 6)

    def _enclose(self, masks: Mapping[int, dict]) -> dict[int, list[int]]:
        boxes: dict[int, list[int]] = {}
        for frame, rle in masks.items():
            height, width = rle['size']
            mask = decode_mask(rle, height, width, f'{self.origin}: masks of frame {frame}')
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if len(rows):
                boxes[frame] = [int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])]
        return boxes


@DATASETS.register_module()
class ManifestBenchmark(BaseBenchmark):
    """Videos listed in one JSON file, whose schema is published as ``SCHEMA``.

    The file: ``{"version": 1, "name": str, "categories": [default words], "videos": [...]}``. Each video has
    ``video_id`` and ``path`` (relative to the file; a video or a folder of images) and may have ``num_frames``,
    ``fps``, ``height`` and ``width`` (else read from the video), ``categories`` (else the default words),
    ``absent_categories``, and ``anomalies``: a list of ``{"category", "start", "end", "masks", "boxes"}`` with frames
    counted from 0 and ``end`` exclusive, empty for a normal video, left out where nothing is known. ``masks`` maps
    frame numbers to COCO run lengths; frames of the interval without one show no anomalous pixel. ``boxes`` maps frame
    numbers to ``[x1, y1, x2, y2]``, whole pixels with both ends included; without it, boxes are those that enclose the
    masks. Each anomaly is one track.

    Args:
        root: folder of the manifest.
        ann_file: name of the manifest.
        videos: ``'required'``, every video must be at hand; ``'optional'``, records of videos that are not have no
            path, as for scoring what another system predicted.
        strict: raise at the first error; else collect all in ``findings``.

    Attributes:
        name: what the file calls the benchmark; of the class, ``'manifest'``, as commands take it.

    Raises:
        ValueError: ``videos`` is none of these.
        DataError: the file or one of its values breaks a rule.
    """

    name = 'manifest'

    def __init__(
        self, *, root: str | Path, ann_file: str = 'manifest.json', videos: str = 'required', strict: bool = True
    ):
        if videos not in VIDEOS:
            raise ValueError(f'videos must be one of {VIDEOS}, got {videos!r}')
        self.path = Path(root, ann_file)
        self.videos = videos
        super().__init__(root=root, strict=strict)

    def _read(self) -> Sequence[VideoRecord]:
        try:
            name, words, videos = _read_top(load_json(self.path))
        except DataError as error:
            self.error('bad-manifest', self.path, str(error).removeprefix(f'{self.path}: '))
            return []
        self.name = self.path.parent.name if name is None else name  # reports call it as its owner does
        self.layout = f'manifest of {len(videos)} videos'
        records: dict[str, VideoRecord] = {}
        for number, video in enumerate(videos):
            try:
                record = _read_video(video, number, words, str(self.path))
            except DataError as error:
                self.error('bad-manifest', self.path, str(error))
                continue
            if record.video_id in records:
                spot = f'videos[{number}].video_id'
                self.error('duplicate-video', self.path, f'{spot} must be unique, got {record.video_id!r} twice')
                continue
            record.path = self._find_video(record.video_id, video['path'])
            records[record.video_id] = record
        found = list(records.values())
        _label_normal_videos(found)
        return found

    def _find_video(self, video_id: str, path: str) -> Path | None:
        file = self.path.parent / path
        if file.exists():
            return file
        if self.videos == 'required':
            rule = 'path must be an existing file or folder'
            self.error('missing-video', self.path, f'video {video_id!r}: {rule}, got {str(file)!r}')
        return None


def _read_top(content: Any) -> tuple[str | None, list[str], list]:
    """Name, default words and videos of a manifest."""
    if not isinstance(content, dict):
        raise DataError(f'must hold an object, got {type(content).__name__}')
    if not _is_whole(content.get('version')) or content['version'] != VERSION:
        raise DataError(f'version must be {VERSION}, got {content.get("version")!r:.80}')
    unknown = content.keys() - TOP_FIELDS
    if unknown:
        raise DataError(f'{min(unknown)} is no field of a manifest; these are: {", ".join(sorted(TOP_FIELDS))}')
    name = content.get('name')
    if 'name' in content and not isinstance(name, str):
        raise DataError(f'name must be text, got {name!r:.80}')
    videos = content.get('videos')
    if not isinstance(videos, list) or not videos:
        raise DataError(f'videos must be a list of at least one video, got {videos!r:.80}')
    words = _read_words(content['categories'], 'categories') if 'categories' in content else []
    return name, words, videos


def _read_video(video: Any, number: int, default: list[str], file: str) -> VideoRecord:
    """One video, all checked but its path."""
    if not isinstance(video, dict) or not isinstance(video.get('video_id'), str) or not video['video_id'].strip():
        raise DataError(f'videos[{number}] must be an object with a video_id, got {video!r:.80}')
    where = f'video {video["video_id"]!r}'
    unknown = video.keys() - VIDEO_FIELDS
    if unknown:
        raise DataError(f'{where}: {min(unknown)} is no field of a video; these are: {", ".join(sorted(VIDEO_FIELDS))}')
    if not isinstance(video.get('path'), str) or not video['path']:
        raise DataError(f'{where}: path must be text, got {video.get("path")!r:.80}')
    sizes = {field: _read_size(video.get(field), field, where) for field in ('num_frames', 'height', 'width')}
    fps = video.get('fps')
    if fps is not None and (not _is_number(fps) or fps < 0):
        raise DataError(f'{where}: fps must be a number of at least 0, got {fps!r:.80}')
    record = VideoRecord(
        video_id=video['video_id'],
        fps=None if fps is None else float(fps),
        categories=_read_words(video['categories'], f'{where}: categories') if 'categories' in video else default,
        has_ground_truth='anomalies' in video,
        origin=f'{file}: {where}',
        num_frames=sizes['num_frames'],
        height=sizes['height'],
        width=sizes['width'],
    )
    if not record.categories:
        raise DataError(f'{where}: categories must hold at least one word, here or at the top of the file')
    if 'absent_categories' in video:
        record.absent_categories = _read_words(video['absent_categories'], f'{where}: absent_categories')
    if record.has_ground_truth:
        _read_anomalies(record, video['anomalies'], where)
    return record


def _read_anomalies(record: VideoRecord, anomalies: Any, where: str) -> None:
    """Fill in the intervals, masks and tracks of a video."""
    if not isinstance(anomalies, list) or not all(isinstance(anomaly, dict) for anomaly in anomalies):
        raise DataError(f'{where}: anomalies must be a list of objects, got {anomalies!r:.80}')
    parts: list[AnomalyPart] = []
    for number, anomaly in enumerate(anomalies):
        spot = f'{where}: anomalies[{number}]'
        unknown = anomaly.keys() - ANOMALY_FIELDS
        if unknown:
            fields = ', '.join(sorted(ANOMALY_FIELDS))
            raise DataError(f'{spot}: {min(unknown)} is no field of an anomaly; these are: {fields}')
        start, end = anomaly.get('start'), anomaly.get('end')
        most = math.inf if record.num_frames is None else record.num_frames
        if not _is_whole(start) or not _is_whole(end) or not 0 <= start < end <= most:
            raise DataError(
                f'{spot}: start and end must be whole with 0 <= start < end <= {most} frames, got {start!r}, {end!r}'
            )
        category = anomaly.get('category', '')
        if not isinstance(category, str):
            raise DataError(f'{spot}.category must be text, got {category!r:.80}')
        record.intervals.append((start, end))
        record.interval_categories.append(category)
        masks = _read_by_frame(anomaly, 'masks', (start, end), spot) or {}
        for frame, rle in masks.items():
            _check_mask(rle, record, f'{spot}.masks.{frame}')
        boxes = _read_by_frame(anomaly, 'boxes', (start, end), spot)
        for frame, box in (boxes or {}).items():
            _check_box(box, record, f'{spot}.boxes.{frame}')
        parts.append(AnomalyPart(boxes, masks))
    masked = ['masks' in anomaly for anomaly in anomalies]
    if any(masked) and not all(masked):
        raise DataError(f'{where}: anomalies[{masked.index(False)}].masks must be given, since others have them')
    tracked = ['masks' in anomaly or 'boxes' in anomaly for anomaly in anomalies]
    if any(tracked) and not all(tracked):
        raise DataError(f'{where}: anomalies[{tracked.index(False)}].boxes must be given, since others have them')
    if any(masked):
        record.masks = RleMasks(_unite(parts), record.origin)
    if any(tracked):
        record.tracks = AnomalyTracks(parts, record.origin)


def _read_by_frame(anomaly: dict, field: str, interval: tuple[int, int], spot: str) -> dict[int, Any] | None:
    """What an anomaly holds frame by frame; None where it does not."""
    if field not in anomaly:
        return None
    values = anomaly[field]
    if not isinstance(values, dict):
        raise DataError(f'{spot}.{field} must be an object with frame numbers as keys, got {values!r:.80}')
    for key in values:
        if not key.isdecimal() or str(int(key)) != key or not interval[0] <= int(key) < interval[1]:
            raise DataError(f'{spot}.{field} must be keyed by frames of the interval {list(interval)}, got {key!r}')
    return {int(key): value for key, value in values.items()}


def _check_mask(rle: Any, record: VideoRecord, spot: str) -> None:
    size = rle.get('size') if isinstance(rle, dict) else None
    if not isinstance(size, list) or len(size) != 2 or not all(_is_whole(side) and side > 0 for side in size):
        raise DataError(f'{spot}: size must be [height, width], got {size!r:.80}')
    fault = find_mask_fault(rle, record.height or size[0], record.width or size[1])
    if fault:
        raise DataError(f'{spot}: {fault}')


def _check_box(box: Any, record: VideoRecord, spot: str) -> None:
    if not isinstance(box, list) or len(box) != 4 or not all(_is_whole(side) and side >= 0 for side in box):
        raise DataError(f'{spot} must be [x1, y1, x2, y2] in whole pixels of at least 0, got {box!r:.80}')
    if box[0] > box[2] or box[1] > box[3]:
        raise DataError(f'{spot}: x1 must be at most x2 and y1 at most y2, got {box}')
    for side, low, name in ((record.width, box[2], 'x2'), (record.height, box[3], 'y2')):
        if side is not None and low >= side:
            raise DataError(f'{spot}: {name} must be at most {side - 1}, the last pixel of the frame, got {box}')


def _unite(parts: Sequence[AnomalyPart]) -> dict[int, list[dict]]:
    """Masks of all anomalies by frame."""
    frames: dict[int, list[dict]] = {}
    for part in parts:
        for frame, rle in part.masks.items():
            frames.setdefault(frame, []).append(rle)
    return frames


def _label_normal_videos(records: Sequence[VideoRecord]) -> None:
    """Where masks or boxes are known of some video, a normal video is known to have none."""
    masked = any(record.masks is not None for record in records)
    tracked = any(record.tracks is not None for record in records)
    for record in records:
        if record.has_ground_truth and not record.intervals:
            record.masks = RleMasks({}, record.origin) if masked else None
            record.tracks = AnomalyTracks([], record.origin) if tracked else None


def _read_words(words: Any, field: str) -> list[str]:
    try:
        return check_words(words, field)
    except ValueError as error:
        raise DataError(str(error)) from error


def _read_size(value: Any, field: str, where: str) -> int | None:
    if value is not None and (not _is_whole(value) or value < 1):
        raise DataError(f'{where}: {field} must be a whole number of at least 1, got {value!r:.80}')
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
