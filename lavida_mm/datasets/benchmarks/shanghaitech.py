"""Reads the test set of ShanghaiTech Campus."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark, BenchmarkTotals
from lavida_mm.datasets.benchmarks.mask_sources import (
    NpyMasks,
    binarize,
    find_intervals,
    list_numbered_images,
    load_npy,
    strip_place,
)
from lavida_mm.datasets.benchmarks.track_files import find_track_file
from lavida_mm.registry import DATASETS
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError

__all__ = ['ShanghaiTech']

FRAMES, LABELS, MASKS = 'frames', 'test_frame_mask', 'test_pixel_mask'
LABEL_SUFFIXES = ('.npy', '.txt')  # some mirrors renamed the NumPy files; the first of these is preferred
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png')
VIDEO_NAME = re.compile(r'\d+_\d+')
INVERTED = 'the labels are inverted, read them with abnormal_label={}'


@DATASETS.register_module()
class ShanghaiTech(BaseBenchmark):
    """The 107 test videos of ShanghaiTech Campus; every one of them shows an anomaly.

    On disk, in ``ROOT/testing``, in ``ROOT`` itself or in ``ROOT/shanghaitech/testing``:
    ``frames/SS_VVVV/*.jpg`` (numbered from any number on), ``test_frame_mask/SS_VVVV.npy`` (n,) and
    ``test_pixel_mask/SS_VVVV.npy`` (n, H, W). The two mask folders may also stand beside ``testing``. Label files may
    end in ``.txt`` and be NumPy files all the same. Without ``frames`` the records have no path.

    Args:
        root: the folder.
        strict: raise at the first error; else collect all in ``findings``.
        abnormal_label: value of an anomalous frame in ``test_frame_mask``; 0 for releases that write it the other way.
        tracks: folder of region files, one ``SS_VVVV.txt`` per video, for RBDC and TBDC.

    Raises:
        ValueError: ``abnormal_label`` is neither 0 nor 1.
        DataError: with ``strict``, an error was found.
    """

    name = 'shanghaitech'
    totals = BenchmarkTotals(107, 40_791, 17_326)

    def __init__(
        self, *, root: str | Path, strict: bool = True, abnormal_label: int = 1, tracks: str | Path | None = None
    ):
        if abnormal_label not in (0, 1):
            raise ValueError(f'abnormal_label must be 0 or 1, got {abnormal_label!r}')
        self.abnormal_label = abnormal_label
        self.tracks = tracks
        super().__init__(root=root, strict=strict)

    def _read(self) -> Sequence[VideoRecord]:
        base = self._find_base()
        frames = _list_names(base / FRAMES, ('',))
        labels = self._list_beside(base, LABELS, LABEL_SUFFIXES)
        masks = self._list_beside(base, MASKS, ('.npy',))
        if not labels and frames:
            self.error('missing-labels', base / LABELS, 'must hold one label file (.npy) per video, got none')
            return []
        names = sorted({*frames, *labels, *masks})
        self._note_layout(base, frames, masks, len(names))
        records = [self._read_video(name, base, frames, labels, masks) for name in names]
        self._find_inverted_totals(records)
        return records

    def _find_base(self) -> Path:
        """The folder that holds the test set."""
        candidates = [self.root / 'testing', self.root, self.root / 'shanghaitech' / 'testing']
        for base in candidates:
            if any((base / name).is_dir() for name in (FRAMES, LABELS, MASKS)):
                return base
        return self.root

    def _list_beside(self, base: Path, name: str, suffixes: Sequence[str]) -> dict[str, Path]:
        """Files of the videos in a folder of the test set, or of the folder above it."""
        return _list_names(base / name, suffixes) or _list_names(self.root / name, suffixes)

    def _note_layout(self, base: Path, frames: dict, masks: dict, number: int) -> None:
        parts = ['folders of frames' if frames else 'annotation only', 'labels per frame']
        if masks:
            parts.append('masks')
        elif number:
            self.warn('no-masks', base / MASKS, 'holds no masks (.npy): pixel figures are not possible')
        self.layout = f'{", ".join(parts)}, in {base}'

    def _read_video(self, name: str, base: Path, frames: dict, labels: dict, masks: dict) -> VideoRecord:
        record = VideoRecord(video_id=name, origin=str(labels.get(name, base / LABELS / f'{name}.npy')))
        if name in frames:
            record.path = frames[name]
            self._count_frames(record, frames[name])
        elif frames:
            self.error('missing-video', base / FRAMES / name, f'video {name} must have a folder of frames, got none')
        record.has_ground_truth = name in labels and self._read_labels(record, labels[name])
        if name not in labels:
            self.error('missing-labels', record.origin, f'video {name} must have a label file, got none')
        if name in masks:
            self._read_masks(record, masks[name])
        elif masks:
            self.error(
                'missing-masks', base / MASKS / f'{name}.npy', f'video {name} must have masks as others, got none'
            )
        if self.tracks is not None:
            try:
                record.tracks = find_track_file(self.tracks, name)
            except DataError as error:
                path = Path(self.tracks, f'{name}.txt')
                self.error('missing-tracks', path, strip_place(error, path))
        return record

    def _count_frames(self, record: VideoRecord, folder: Path) -> None:
        try:
            record.num_frames = len(list_numbered_images(folder, IMAGE_SUFFIXES))
        except DataError as error:
            self.error('bad-frames', folder, strip_place(error, folder))

    def _read_labels(self, record: VideoRecord, path: Path) -> bool:
        """Fill in the intervals; whether that was possible."""
        try:
            values = load_npy(path)
            if values.ndim != 1 or not values.size:
                raise DataError(f'{path}: labels must be (frames,), got shape {values.shape}')
            found = binarize(values, str(path)) == bool(self.abnormal_label)
        except DataError as error:
            self.error('bad-labels', path, strip_place(error, path))
            return False
        if record.num_frames is None:
            record.num_frames = len(found)
        elif record.num_frames != len(found):
            self.error(
                'length-differs',
                path,
                f'labels must be as many as frames, got {len(found)} labels, {record.num_frames} frames '
                f'({len(found) - record.num_frames:+d})',
            )
        if not found.any():
            self.warn('no-anomaly', path, 'every video of ShanghaiTech shows an anomaly, this one has no label of it')
        record.intervals = find_intervals(found)
        record.interval_categories = [''] * len(record.intervals)
        return True

    def _read_masks(self, record: VideoRecord, path: Path) -> None:
        try:
            masks = NpyMasks(path)
        except DataError as error:
            self.error('bad-mask', path, strip_place(error, path))
            return
        record.masks = masks
        if record.num_frames is not None and masks.num_frames != record.num_frames:
            self.error(
                'length-differs',
                path,
                f'masks must be as many as frames, got {masks.num_frames} masks, {record.num_frames} frames '
                f'({masks.num_frames - record.num_frames:+d})',
            )
            return
        if record.has_ground_truth:
            self._compare(record, masks)

    def _compare(self, record: VideoRecord, masks: NpyMasks) -> None:
        """Look at one labelled and one other frame: are the labels the other way round?"""
        labels = record.frame_labels(masks.num_frames)
        chosen = [int(np.argmax(labels == value)) for value in (0, 1) if (labels == value).any()]
        try:
            shown = [bool(mask.any()) for mask in masks.read(chosen, masks.height, masks.width)]
        except DataError as error:
            self.error('bad-mask', masks.path, strip_place(error, masks.path))
            return
        if len(chosen) == 2 and shown[0] and not shown[1]:
            self.error(
                'inverted-labels',
                record.origin,
                f'frame {chosen[0]} is labelled normal and has anomalous pixels, frame {chosen[1]} the other way '
                f'round: {INVERTED.format(1 - self.abnormal_label)}',
            )

    def _find_inverted_totals(self, records: Sequence[VideoRecord]) -> None:
        """Without masks, the number of anomalous frames of the whole set says whether the labels are inverted."""
        frames = sum(record.num_frames or 0 for record in records)
        found = sum(end - start for record in records for start, end in record.intervals)
        inverted = any(finding.code == 'inverted-labels' for finding in self.findings)
        if not inverted and (frames, frames - found) == (self.totals.frames, self.totals.anomalous_frames):
            self.error(
                'inverted-labels',
                self.root,
                f'{found} of {frames} frames are labelled anomalous, which is the published number of normal ones: '
                f'{INVERTED.format(1 - self.abnormal_label)}',
            )


def _list_names(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Entries of a folder that are called as a video is, by their names; of two, the one whose suffix comes first."""
    found: dict[str, Path] = {}
    if folder.is_dir():
        entries = sorted(folder.iterdir())
        for suffix in reversed(suffixes):
            found |= {
                entry.stem: entry
                for entry in entries
                if VIDEO_NAME.fullmatch(entry.stem) and entry.suffix == suffix and entry.is_dir() == (suffix == '')
            }
    return found
