"""Reads the manifest of a benchmark or of a user's own videos."""

import math
import sys
from pathlib import Path
from typing import Any

from lavida_mm.datasets.benchmarks.video_record import VideoRecord
from lavida_mm.datasets.masks import find_mask_fault
from lavida_mm.datasets.sources.coco_json import load_json
from lavida_mm.datasets.words import check_words
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError

__all__ = ['ManifestBenchmark', 'read_manifest']

VERSION = 1
VIDEO_FIELDS = {
    'video_id', 'path', 'num_frames', 'fps', 'height', 'width', 'categories', 'absent_categories', 'anomalies'
}  # fmt: skip


@DATASETS.register_module()
class ManifestBenchmark:
    """Videos listed in one JSON file.

    The file: ``{"version": 1, "name": str, "categories": [default words], "videos": [...]}``. Each video has
    ``video_id`` and ``path`` (relative to the file; a video or a folder of images) and may have ``num_frames``,
    ``fps``, ``height`` and ``width`` (else read from the video), ``categories`` (else the default words),
    ``absent_categories``, and ``anomalies``: a list of ``{"category", "start", "end", "masks"}`` with frames counted
    from 0 and ``end`` exclusive, empty for a normal video, left out where nothing is known. ``masks`` maps frame
    numbers to COCO run lengths; frames of the interval without one show no anomalous pixel.

    Args:
        root: folder of the manifest.
        ann_file: name of the manifest.

    Attributes:
        name: what the benchmark is called.
        records: its videos.

    Raises:
        DataError: the file or one of its values breaks a rule.
    """

    def __init__(self, *, root: str, ann_file: str = 'manifest.json'):
        self.name, self.records = read_manifest(Path(root, ann_file))


def read_manifest(path: Path) -> tuple[str, list[VideoRecord]]:
    """Name and videos of a manifest, all checked; no video is opened.

    Raises:
        DataError: names file, video, field, value and rule.
    """
    content = load_json(path)
    if not isinstance(content, dict):
        raise DataError(f'{path}: must hold an object, got {type(content).__name__}')
    if content.get('version') != VERSION:
        raise DataError(f'{path}: version must be {VERSION}, got {content.get("version")!r:.80}')
    name = content.get('name', path.parent.name)
    if not isinstance(name, str):
        raise DataError(f'{path}: name must be text, got {name!r:.80}')
    videos = content.get('videos')
    if not isinstance(videos, list) or not videos:
        raise DataError(f'{path}: videos must be a list of at least one video, got {videos!r:.80}')
    default = content.get('categories')
    words = [] if default is None else _read_words(default, 'categories', str(path))
    records: dict[str, VideoRecord] = {}
    for number, video in enumerate(videos):
        record = _read_video(video, path, number, words)
        if record.video_id in records:
            raise DataError(f'{path}: videos[{number}].video_id must be unique, got {record.video_id!r} twice')
        records[record.video_id] = record
    found = list(records.values())
    if any(record.masks for record in found):  # pixels are labelled here: a normal video has none, and that is known
        for record in found:
            if record.has_ground_truth and not record.intervals:
                record.masks = {}
    return name, found


def _read_video(video: Any, path: Path, number: int, default: list[str]) -> VideoRecord:
    if not isinstance(video, dict) or not isinstance(video.get('video_id'), str) or not video['video_id'].strip():
        raise DataError(f'{path}: videos[{number}] must be an object with a video_id, got {video!r:.80}')
    where = f'{path}: video {video["video_id"]!r}'
    unknown = video.keys() - VIDEO_FIELDS
    if unknown:
        raise DataError(f'{where}: {min(unknown)} is no field of a video; these are: {", ".join(sorted(VIDEO_FIELDS))}')
    if not isinstance(video.get('path'), str) or not video['path']:
        raise DataError(f'{where}: path must be text, got {video.get("path")!r:.80}')
    file = path.parent / video['path']
    if not file.exists():
        raise DataError(f'{where}: path must be an existing file or folder, got {str(file)!r}')
    sizes = {field: _read_size(video.get(field), field, where) for field in ('num_frames', 'height', 'width')}
    fps = video.get('fps')
    if fps is not None and (not _is_number(fps) or fps < 0):
        raise DataError(f'{where}: fps must be a number of at least 0, got {fps!r:.80}')
    record = VideoRecord(
        video_id=video['video_id'],
        path=file,
        fps=None if fps is None else float(fps),
        categories=_read_words(video['categories'], 'categories', where) if 'categories' in video else default,
        has_ground_truth='anomalies' in video,
        origin=where,
        num_frames=sizes['num_frames'],
        height=sizes['height'],
        width=sizes['width'],
    )
    if not record.categories:
        raise DataError(f'{where}: categories must hold at least one word, here or at the top of the file')
    if 'absent_categories' in video:
        record.absent_categories = _read_words(video['absent_categories'], 'absent_categories', where)
    if record.has_ground_truth:
        _read_anomalies(record, video['anomalies'], where)
    return record


def _read_anomalies(record: VideoRecord, anomalies: Any, where: str) -> None:
    if not isinstance(anomalies, list) or not all(isinstance(anomaly, dict) for anomaly in anomalies):
        raise DataError(f'{where}: anomalies must be a list of objects, got {anomalies!r:.80}')
    masked = [isinstance(anomaly.get('masks'), dict) for anomaly in anomalies]
    if any(masked) and not all(masked):
        raise DataError(f'{where}: anomalies[{masked.index(False)}].masks must be given, since others have them')
    record.masks = {} if any(masked) else None
    for number, anomaly in enumerate(anomalies):
        spot = f'{where}: anomalies[{number}]'
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
        if record.masks is not None:
            _read_masks(record, anomaly['masks'], (start, end), spot)


def _read_masks(record: VideoRecord, masks: dict, interval: tuple[int, int], spot: str) -> None:
    assert record.masks is not None
    for key, rle in masks.items():
        if not key.isdecimal() or not interval[0] <= int(key) < interval[1]:
            raise DataError(f'{spot}.masks must be keyed by frames of the interval {list(interval)}, got {key!r}')
        size = rle.get('size') if isinstance(rle, dict) else None
        if not isinstance(size, list) or len(size) != 2 or not all(_is_whole(side) and side > 0 for side in size):
            raise DataError(f'{spot}.masks.{key}: size must be [height, width], got {size!r:.80}')
        fault = find_mask_fault(rle, record.height or size[0], record.width or size[1])
        if fault:
            raise DataError(f'{spot}.masks.{key}: {fault}')
        record.masks.setdefault(int(key), []).append(rle)


def _read_words(words: Any, field: str, where: str) -> list[str]:
    try:
        return check_words(words, field)
    except ValueError as error:
        raise DataError(f'{where}: {error}') from error


def _read_size(value: Any, field: str, where: str) -> int | None:
    if value is not None and (not _is_whole(value) or value < 1):
        raise DataError(f'{where}: {field} must be a whole number of at least 1, got {value!r:.80}')
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
