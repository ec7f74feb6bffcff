"""Reads UBnormal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path

import cv2
import numpy as np

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark, BenchmarkTotals
from lavida_mm.datasets.benchmarks.interval_files import add_intervals, find_text_file, parse_whole, read_noted_lines
from lavida_mm.datasets.benchmarks.mask_sources import hash_files
from lavida_mm.datasets.benchmarks.video_files import (
    VideoIndex,
    check_videos_and_lengths,
    read_num_frames,
    strip_suffix,
)
from lavida_mm.registry import DATASETS
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError, UsageError

__all__ = ['ObjectMasks', 'ObjectTrack', 'ObjectTracks', 'UBnormal', 'parse_track_line']

SUBSETS = ('all', 'abnormal')
NAME = re.compile(r'(abnormal|normal)_scene_(\d+)_\w+')
MAX_OBJECT = 255  # the pixels of the masks are bytes, 0 is background
GT_FRAME = re.compile(r'_(\d{4,})_gt\.png')


@dataclass(frozen=True)
class ObjectTrack:
    """One line of a tracks file: an object is anomalous from its first to its last frame, counted from 0."""

    object_id: int
    first: int
    last: int


def parse_track_line(text: str) -> ObjectTrack:
    """Parse ``object_id,first,last``; the numbers may be written as floats (``1.0000e+00``).

    Raises:
        ValueError: says rule and line; the caller knows the file.
    """
    fields = [field.strip() for field in text.split(',')] if ',' in text else text.split()
    if len(fields) != 3:
        raise ValueError(f"must hold 'object_id,start,end', got {text!r}")
    try:
        object_id, first, last = map(parse_whole, fields, ('object_id', 'start', 'end'))
    except ValueError as error:
        raise ValueError(f'{error} in {text!r}') from None
    if not 1 <= object_id <= MAX_OBJECT:
        raise ValueError(f'object_id must be in 1..{MAX_OBJECT}, got {object_id} in {text!r}')
    if first < 0:
        raise ValueError(f'start must be at least 0, got {first} in {text!r}')
    if first > last:
        raise ValueError(f'start must be at most end, got {first} {last} in {text!r}')
    return ObjectTrack(object_id, first, last)


class ObjectMasks:
    """Masks of the anomalous objects of one video, in images whose pixels are ids of objects.

    An object is anomalous in the frames of its tracks only; all others in the images are normal people and things.

    Args:
        folder: holds ``{video_id}_{frame:04d}_gt.png``, with frames counted from 0.
        video_id: name of the video.
        tracks: when which object is anomalous; empty for a normal video.
    """

    def __init__(self, folder: Path, video_id: str, tracks: Sequence[ObjectTrack]):
        self.folder = folder
        self.video_id = video_id
        self.tracks = tuple(tracks)

    def fingerprint(self) -> str:
        """Hash of the names and sizes of the images, and of the tracks."""
        return hash_files(self.folder.glob(f'{escape(self.video_id)}_*_gt.png'), self.tracks)

    def read(self, frame_inds: Sequence[int], height: int, width: int) -> np.ndarray:
        """Anomalous pixels of some frames, bool (T, H, W); only images of frames with an anomaly are opened.

        Raises:
            DataError: an image is missing, unreadable, not gray or of another size.
        """
        found = np.zeros((len(frame_inds), height, width), dtype=bool)
        for place, frame in enumerate(frame_inds):
            active = sorted({track.object_id for track in self.tracks if track.first <= frame <= track.last})
            if active:
                ids = self.read_ids(frame)
                if ids.shape != (height, width):
                    raise DataError(
                        f'{self._name(frame)}: must be {height} x {width} pixels as its frame, '
                        f'got {ids.shape[0]} x {ids.shape[1]}'
                    )
                found[place] = np.isin(ids, active)
        return found

    def read_ids(self, frame: int) -> np.ndarray:
        """Ids of all objects of a frame, uint8 (H, W), 0 for the background.

        Raises:
            DataError: the image is missing, unreadable or not gray.
        """
        file = self._name(frame)
        try:
            data = np.fromfile(file, dtype=np.uint8)
        except OSError as error:
            raise DataError(f'{file}: {error.strerror or error}') from error
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
        if image is None:
            raise DataError(f'{file}: is no image that can be read ({data.size} bytes)')
        if image.ndim == 3:
            if (image[..., :3] != image[..., :1]).any():
                raise DataError(f'{file}: pixels must be ids of objects in gray, got colours')
            image = image[..., 0]
        if image.dtype != np.uint8:
            raise DataError(f'{file}: pixels must be ids of objects in 8 bits, got {image.dtype}')
        return image

    def _name(self, frame: int) -> Path:
        return self.folder / f'{self.video_id}_{frame:04d}_gt.png'


class ObjectTracks:
    """Boxes of the anomalous objects of one video, found in its masks.

    As in the authors' script a box encloses one connected part of its object, the one whose box is largest, and tracks
    are numbered from 0 by object. That script writes ``x + width`` as the last column, a pixel too far for boxes
    that include both ends; here it is ``x + width - 1``. A frame in which the object is hidden has no box.

    Args:
        masks: the images, and when which object is anomalous.
        num_frames: tracks are cut there; None for no cut.
        origin: tracks file, for errors.
    """

    def __init__(self, masks: ObjectMasks, num_frames: int | None, origin: str):
        self.masks = masks
        self.num_frames = num_frames
        self.origin = origin

    def read(self) -> np.ndarray:
        """Boxes, float64 (R, 6): track, frame, x1, y1, x2, y2, in whole pixels, both ends included.

        Raises:
            DataError: an image is missing or broken, or an object is nowhere to be seen in its frames.
        """
        tracks = sorted(self.masks.tracks, key=lambda track: track.object_id)
        frames = sorted({frame for track in tracks for frame in self._frames(track)})
        rows: list[list[tuple[int, ...]]] = [[] for _ in tracks]
        for frame in frames:
            ids = self.masks.read_ids(frame)
            for number, track in enumerate(tracks):
                if track.first <= frame <= track.last:
                    box = _find_box(ids == track.object_id)
                    if box is not None:
                        rows[number].append((number, frame, *box))
        for track, found in zip(tracks, rows, strict=True):
            if not found and self._frames(track):
                raise DataError(
                    f'{self.origin}: object_id {track.object_id} must be seen in the masks of its frames '
                    f'{track.first} to {track.last} in {self.masks.folder}, got no pixel'
                )
        return np.asarray([row for found in rows for row in found], dtype=np.float64).reshape(-1, 6)

    def _frames(self, track: ObjectTrack) -> range:
        end = track.last + 1
        return range(track.first, end if self.num_frames is None else min(end, self.num_frames))


def _find_box(pixels: np.ndarray) -> tuple[int, int, int, int] | None:
    """Box x1, y1, x2, y2 of the connected part with the largest box, both ends included; None without a pixel."""
    number, _, stats, _ = cv2.connectedComponentsWithStats(pixels.astype(np.uint8), connectivity=8)
    if number < 2:
        return None
    parts = stats[1:]
    areas = parts[:, cv2.CC_STAT_WIDTH].astype(np.int64) * parts[:, cv2.CC_STAT_HEIGHT]
    x, y, width, height = (int(value) for value in parts[areas.argmax()][:4])
    return x, y, x + width - 1, y + height - 1


@DATASETS.register_module()
class UBnormal(BaseBenchmark):
    """The 211 test videos of UBnormal (Acsintoae et al., CVPR 2022): 158 abnormal, 53 normal.

    The lists ``abnormal_test_video_names.txt`` and ``normal_test_video_names.txt`` lie in the root or up to two folders
    below (the authors' repository has them in ``scripts/``). A video is ``SceneN/{name}.mp4``, and beside it lies the
    folder ``{name}_annotations`` with ``{name}_%04d_gt.png``, one per frame, whose pixels are ids of objects, and for
    an abnormal video ``{name}_tracks.txt`` or ``{name}_new_tracks.txt``, which wins. Its lines ``object_id,first,last``
    say when which object is anomalous, both ends included. All videos and folders may as well lie in the root.

    Frames count from 0, in the tracks and in the names of the masks: the authors' script labels ``first`` to ``last``
    of an array of all frames, and LAVIDA's reads mask 0000 for the first frame that it decodes.

    Without any video or mask the lists and the tracks are read alone: enough for figures by frame.

    Args:
        root: the folder.
        strict: raise at the first error; else collect all in ``findings``.
        subset: ``'all'``, or ``'abnormal'`` for the 158 abnormal videos only.

    Raises:
        UsageError: ``subset`` has no such value.
        DataError: with ``strict``, an error was found.
    """

    name = 'ubnormal'
    totals = BenchmarkTotals(videos=211, frames=92_640, anomalous_frames=49_650)

    def __init__(self, *, root: str | Path, strict: bool = True, subset: str = 'all'):
        if subset not in SUBSETS:
            raise UsageError(f'subset must be one of {SUBSETS}, got {subset!r}')
        self.subset = subset
        super().__init__(root=root, strict=strict, options=dict(subset=subset))

    def _read(self) -> Sequence[VideoRecord]:
        names: dict[str, str] = {}
        for kind in ('abnormal', 'normal') if self.subset == 'all' else ('abnormal',):
            self._read_names(kind, names)
        lengths = read_num_frames(self)
        videos = VideoIndex(self)
        records = [
            VideoRecord(video_id=name, path=videos.find(name), num_frames=lengths.get(name), origin=where)
            for name, where in names.items()
        ]
        if self.subset == 'all':
            check_videos_and_lengths(self, records, lengths)
        else:  # num_frames.csv may list the normal videos too
            known = {record.video_id for record in records}
            check_videos_and_lengths(self, records, {name: count for name, count in lengths.items() if name in known})
        folders = {record.video_id: self._find_folder(record) for record in records}
        masked = {name: self._list_masks(name, folder) for name, folder in folders.items() if folder is not None}
        has_masks = any(masked[record.video_id] for record in records if record.video_id in masked)
        self._read_ground_truth(records, folders, masked if has_masks else None)
        paths = [record.path for record in records if record.path is not None]
        where = videos.describe(paths, r'Scene\d+', 'SceneN') if paths else 'no videos'
        self.layout = f'{where}; {"masks and tracks" if has_masks else "tracks only"}'
        return records

    def _read_names(self, kind: str, names: dict[str, str]) -> None:
        wanted = f'{kind}_test_video_names.txt'
        file = find_text_file(self, None, re.escape(wanted), wanted)
        if file is None:
            return
        for number, text in read_noted_lines(self, file) or []:
            where = f'{file}:{number}'
            name = strip_suffix(text)
            found = NAME.fullmatch(name)
            if found is None or found[1] != kind:
                self.error('malformed-line', where, f"name must be like '{kind}_scene_1_scenario_2', got {text!r}")
            elif name in names:
                self.error('duplicate-line', where, f'video {name} must stand here once; first: {names[name]}')
            else:
                names[name] = where

    def _read_ground_truth(
        self, records: list[VideoRecord], folders: dict[str, Path | None], masked: dict[str, set[int]] | None
    ) -> None:
        """Intervals, masks and boxes of all records.

        Args:
            records: take what is found.
            folders: where the annotation of each lies.
            masked: which frames of each have a mask; None where no video has any.
        """
        files = {
            record.video_id: self._find_tracks(record.video_id, folders[record.video_id])
            for record in records
            if _is_abnormal(record)
        }
        if files and not any(files.values()):
            self.error(
                'missing-tracks',
                self.root,
                f'holds no tracks file of any of the {len(files)} abnormal videos '
                '(SceneN/{name}_annotations/{name}_tracks.txt): nothing is known of their anomalies',
            )
        if masked is None:
            self.warn('no-masks', self.root, 'holds no masks ({name}_%04d_gt.png): figures by frame only')
        for record in records:
            folder = folders[record.video_id]
            tracks: list[ObjectTrack] = []
            file = files.get(record.video_id)
            if _is_abnormal(record):
                tracks = self._read_tracks(record, file) if file else []
                record.has_ground_truth = bool(tracks)
                if file is None and any(files.values()):
                    self.error(
                        'missing-tracks',
                        folder or record.origin,
                        f'abnormal video {record.video_id} must have {record.video_id}_tracks.txt',
                    )
            if masked is not None and record.has_ground_truth:
                origin = str(file or record.origin)
                end = self._check_masks(record, folder, masked.get(record.video_id, set()), tracks, origin)
                record.masks = ObjectMasks(folder or self.root, record.video_id, tracks)
                record.tracks = ObjectTracks(record.masks, end, origin)

    def _read_tracks(self, record: VideoRecord, file: Path) -> list[ObjectTrack]:
        """Tracks of a video, which gets their frames as intervals; of none if a line is malformed."""
        tracks = []
        lines = read_noted_lines(self, file)
        if lines is None:
            return []
        malformed = False
        for number, text in lines:
            try:
                tracks.append(parse_track_line(text))
            except ValueError as error:
                self.error('malformed-line', f'{file}:{number}', str(error))
                malformed = True
        if not lines:
            self.error('malformed-line', file, 'tracks of an abnormal video must hold a line, got none')
        if malformed or not tracks:
            return []
        add_intervals(self, record, _unite(tracks), word='', where=str(file))
        return tracks

    def _check_masks(
        self, record: VideoRecord, folder: Path | None, frames: set[int], tracks: list[ObjectTrack], where: str
    ) -> int | None:
        """Where to cut the tracks of a video; notes what is missing of its masks."""
        length = record.num_frames
        if not tracks:
            return length
        spot = folder or record.path or record.origin
        if not frames:
            self.error('missing-masks', spot, f'{record.video_id} must have masks as the other videos do, got none')
            return length
        if 0 not in frames and min(frames) == 1 and all(track.first != 1 for track in tracks):
            self.error(
                'mask-numbering',
                spot,
                f'masks of {record.video_id} must be numbered from 0000 as the tracks are, got 0001 as the first',
            )
        end = max(frames) + 1
        if length is None and max(track.last for track in tracks) >= end:
            self.warn(
                'annotation-beyond-end', where, f'a track of {record.video_id} ends beyond the last mask {end - 1}'
            )
        limit = end if length is None else length
        wanted = {frame for track in tracks for frame in range(track.first, min(track.last + 1, limit))}
        missing = sorted(wanted - frames)
        if missing:
            self.error(
                'missing-masks',
                spot,
                f'lacks the masks of {len(missing)} anomalous frames, first {record.video_id}_{missing[0]:04d}_gt.png',
            )
        return limit

    def _find_folder(self, record: VideoRecord) -> Path | None:
        name = f'{record.video_id}_annotations'
        places = [self.root / _scene(record.video_id), self.root, self.root / 'annotations']
        if record.path is not None:
            places.insert(0, record.path.parent)
        return next((place / name for place in places if (place / name).is_dir()), None)

    def _find_tracks(self, video_id: str, folder: Path | None) -> Path | None:
        scene = self.root / _scene(video_id)
        places = ([folder] if folder else []) + [scene, self.root, self.root / 'tracks', self.root / 'gt']
        for kind in ('new_tracks', 'tracks'):
            for place in places:
                file = place / f'{video_id}_{kind}.txt'
                if file.is_file():
                    return file
        return None

    def _list_masks(self, video_id: str, folder: Path) -> set[int]:
        try:
            names = [file.name for file in folder.iterdir() if file.name.startswith(video_id)]
        except OSError as error:
            self.error('unreadable-folder', folder, f'cannot be listed: {error.strerror or error}')
            return set()
        found = (GT_FRAME.fullmatch(name.removeprefix(video_id)) for name in names)
        return {int(match[1]) for match in found if match}


def _scene(video_id: str) -> str:
    match = NAME.fullmatch(video_id)
    return f'Scene{match[2]}' if match else ''


def _is_abnormal(record: VideoRecord) -> bool:
    return record.video_id.startswith('abnormal')


def _unite(tracks: Sequence[ObjectTrack]) -> list[tuple[int, int]]:
    """First and last frames of the stretches in which any object is anomalous."""
    spans: list[tuple[int, int]] = []
    for track in sorted(tracks, key=lambda track: track.first):
        if spans and track.first <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], max(spans[-1][1], track.last))
        else:
            spans.append((track.first, track.last))
    return spans
