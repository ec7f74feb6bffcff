"""Prediction files: what a model said of a video, so that it can be scored again without the model."""

import hashlib
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from lavida_mm.evaluation.functional.regions import detections_from_mask
from lavida_mm.evaluation.pixel_statistics import PixelStatistics, round_probabilities
from lavida_mm.evaluation.video_curve import UNDECIDED
from lavida_mm.utils.atomic import atomic_path, is_temporary, write_json
from lavida_mm.utils.errors import DataError

__all__ = [
    'FOLDER_FILE',
    'MASK_KINDS',
    'Prediction',
    'PredictionWriter',
    'is_prediction_folder',
    'list_predictions',
    'prediction_path',
    'read_folder_meta',
    'read_prediction',
    'start_folder',
]

FORMAT = 'lavida_mm.prediction'
FORMAT_VERSION = 1
FOLDER_FILE = 'predictions.json'
MASK_KINDS = ('none', 'float16', 'rle')
NO_WORD = -1  # among the highest-scoring words: it is not one
MASK_THRESHOLD = 0.5  # of the masks of yes and no, and of detections
LONGEST_NAME = 200  # bytes; file systems end at 255
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the same in every file: equal predictions are equal files
# What zipfile, NumPy and json raise for files that are cut, changed, encrypted, or claim more than they hold.
DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, ValueError, TypeError, RuntimeError,
    OverflowError, MemoryError,
)  # fmt: skip


@dataclass
class Prediction:
    """What one prediction file holds; its masks are read when they are asked for.

    Attributes:
        path: the file.
        video_id: name of the video.
        scores: of each frame, each held over the frame interval, NaN where a frame was not scored, float32 (n,).
        frame_inds: the frames that the model looked at, ascending, int32 (S,).
        frame_interval: step between them.
        detections: boxes of anomalies: frame, x1, y1, x2, y2 in whole pixels, both ends included, and score,
            float32 (D, 6).
        has_detections: whether the model gave masks, from which boxes could be made.
        masks_kind: ``'float16'``, probabilities; ``'rle'``, yes or no; None, no masks.
        mask_stride: the file holds the mask of every that many-th frame that was looked at.
        pixel_counts: counts of the pixels by score and truth, see ``PixelStatistics.pack``; None where none were made.
        pixel_options: how the pixels were counted.
        top_words: the word that scores highest in each frame that the model looked at, '' where it is not one, object
            (S,); None where the file says nothing of it.
        meta: everything that the file says of itself.
    """

    path: Path
    video_id: str
    scores: np.ndarray
    frame_inds: np.ndarray
    frame_interval: int
    detections: np.ndarray
    has_detections: bool
    masks_kind: str | None
    mask_stride: int
    pixel_counts: dict[str, np.ndarray] | None
    pixel_options: dict[str, Any]
    top_words: np.ndarray | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def num_frames(self) -> int:
        """Length of the video."""
        return self.scores.size

    @property
    def categories(self) -> list[str]:
        """Words that were named to the model; empty where the file does not say."""
        return list(self.meta.get('categories') or [])

    def iter_masks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Frame number and mask, float16 (H, W) or bool (H, W), of each frame that has one, in order.

        Raises:
            DataError: the file is damaged.
        """
        if self.masks_kind is None:
            return
        with _open_zip(self.path) as archive:
            names = sorted(name for name in archive.namelist() if name.startswith('masks_'))
            for name in names:
                first = int(name.removeprefix('masks_').removesuffix('.npy'))
                frames = _read_array(archive, self.path, f'frames_{first:08d}')
                stored = _read_array(archive, self.path, f'masks_{first:08d}')
                if self.masks_kind == 'rle':
                    shape = (self.meta['height'], self.meta['width'])
                    stored = _decode_runs(stored, len(frames), shape, self.path)
                yield from zip(frames.tolist(), stored, strict=True)


class PredictionWriter:
    """Writes the prediction file of one video window by window, in bounded memory; the file is whole or absent.

    Args:
        path: the file.
        video_id: name of the video.
        num_frames: its length.
        frame_interval: frames for which a score holds.
        masks: ``'none'``, ``'float16'`` (probabilities), ``'rle'`` (yes or no; run lengths, columns first, as in COCO).
        mask_stride: masks of every that many-th frame are kept.
        pixels: empty counts that the pixels shall go into; None counts none.
        meta: what else the file shall say.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        video_id: str,
        num_frames: int,
        frame_interval: int = 1,
        masks: str = 'none',
        mask_stride: int = 1,
        pixels: PixelStatistics | None = None,
        meta: Mapping[str, Any] | None = None,
    ):
        self.path, self.video_id = Path(path), video_id
        self.frame_interval, self.masks, self.mask_stride, self.pixels = frame_interval, masks, mask_stride, pixels
        self.meta = dict(meta or {})
        self.scores = np.full(num_frames, np.nan, dtype=np.float32)
        self.frame_inds: list[int] = []
        self.top_words: list[int] = []  # places in the words of the prompt
        self.detections: list[np.ndarray] = []
        self.size: tuple[int, int] | None = None
        self._stack = ExitStack()
        temporary = self._stack.enter_context(atomic_path(self.path))
        self._archive = self._stack.enter_context(zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED))

    @property
    def num_covered(self) -> int:
        """Frames that have a score."""
        return int(np.count_nonzero(~np.isnan(self.scores)))

    def add(
        self,
        frame_inds: Sequence[int] | np.ndarray,
        scores: np.ndarray,
        masks: np.ndarray | None = None,
        truth: np.ndarray | None = None,
        counted: Sequence[bool] | np.ndarray | None = None,
        top_words: Sequence[str] | np.ndarray | None = None,
    ) -> None:
        """Add the next frames of the video.

        Args:
            frame_inds: their numbers, ascending and after those added before, (T,).
            scores: their scores, (T,).
            masks: anomaly probability of each pixel, (T, H, W); None where the model gives none.
            truth: anomalous pixels, bool (T, H, W); None counts no pixels.
            counted: frames of which pixels are counted, bool (T,); None means all.
            top_words: the word that scores highest in each frame, one of the ``categories`` in ``meta``, or '' where it
                is not one, (T,); None where the model scores no words.

        Raises:
            DataError: frames are out of order or out of range, masks break a rule, or a word was not named.
        """
        inds = [int(index) for index in frame_inds]
        n = self.scores.size
        for index, score in zip(inds, scores, strict=True):
            if not 0 <= index < n:
                raise DataError(f'video {self.video_id}: frame_inds must be in [0, {n}), got {index}')
            if self.frame_inds and index <= self.frame_inds[-1]:
                raise DataError(
                    f'video {self.video_id}: frame {index} came after frame {self.frame_inds[-1]}; prediction files '
                    "need frames in order: use sampler=dict(type='VideoSampler') for the test set"
                )
            self.scores[index : index + self.frame_interval] = score
            self.frame_inds.append(index)
        if top_words is not None:
            self._add_words(top_words)
        if masks is not None:
            self._add_masks(inds, masks, truth, [True] * len(inds) if counted is None else counted)

    def finish(self) -> None:
        """Write the rest and put the file into its place."""
        self.meta.update(
            format=FORMAT,
            format_version=FORMAT_VERSION,
            video_id=self.video_id,
            num_frames=self.scores.size,
            frame_interval=self.frame_interval,
            has_detections=self.size is not None,
            masks=None if self.masks == 'none' or self.size is None else self.masks,
            mask_stride=self.mask_stride,
            pixel_options=None if self.pixels is None else self.pixels.options(),
        )
        if self.size is not None:
            self.meta.update(height=self.size[0], width=self.size[1])
        self._write('scores', self.scores)
        self._write('frame_inds', np.asarray(self.frame_inds, dtype=np.int32))
        if self.top_words and len(self.top_words) == len(self.frame_inds):
            self._write('top_words', np.asarray(self.top_words, dtype=np.int32))
        rows = np.concatenate(self.detections) if self.detections else np.zeros((0, 6))
        self._write('detections', rows.astype(np.float32))
        if self.pixels is not None:
            for name, array in self.pixels.pack().items():
                self._write(f'pixels_{name}', array)
        text = json.dumps(self.meta, indent=1, sort_keys=True, ensure_ascii=False) + '\n'
        self._archive.writestr(_entry('meta.json'), text)
        self._stack.close()

    def abort(self) -> None:
        """Leave no file."""
        error = RuntimeError(f'{self.path} was given up')
        with suppress(RuntimeError):
            self._stack.__exit__(RuntimeError, error, None)

    def _add_words(self, top_words: Sequence[str] | np.ndarray) -> None:
        places = {word: place for place, word in enumerate(self.meta.get('categories', ()))} | {UNDECIDED: NO_WORD}
        for word in top_words:
            if word not in places:
                raise DataError(
                    f'video {self.video_id}: all of its windows must name the same words, but {word!r} came later'
                )
            self.top_words.append(places[word])

    def _add_masks(
        self, inds: list[int], masks: np.ndarray, truth: np.ndarray | None, counted: Sequence[bool] | np.ndarray
    ) -> None:
        if len(masks) != len(inds) or (self.size is not None and masks.shape[1:] != self.size):
            raise DataError(
                f'video {self.video_id}: pred_masks must be of one size and one per frame, got {masks.shape} '
                f'for {len(inds)} frames'
            )
        self.size = (int(masks.shape[1]), int(masks.shape[2]))
        if truth is not None and truth.shape != masks.shape:
            raise DataError(
                f'video {self.video_id}: pred_masks and gt_masks must be of one shape, '
                f'got {masks.shape} and {truth.shape}'
            )
        try:
            rounded = round_probabilities(masks)
        except ValueError as error:
            raise DataError(f'video {self.video_id}: frames {inds[0]} to {inds[-1]}: {error}') from error
        for place, index in enumerate(inds):
            self.detections.append(detections_from_mask(rounded[place].astype(np.float32), index, MASK_THRESHOLD))
            if self.pixels is not None and truth is not None and counted[place]:
                self.pixels.update(self.video_id, index, rounded[place], truth[place])
        kept = [place for place, index in enumerate(inds) if index // self.frame_interval % self.mask_stride == 0]
        if self.masks == 'none' or not kept:
            return
        first = inds[kept[0]]
        self._write(f'frames_{first:08d}', np.asarray([inds[place] for place in kept], dtype=np.int32))
        if self.masks == 'float16':
            self._write(f'masks_{first:08d}', rounded[kept])
        else:
            self._write(f'masks_{first:08d}', _encode_runs(rounded[kept] >= MASK_THRESHOLD))

    def _write(self, name: str, array: np.ndarray) -> None:
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
        self._archive.writestr(_entry(f'{name}.npy'), buffer.getbuffer(), compresslevel=1)


def prediction_path(folder: str | Path, video_id: str) -> Path:
    """Where the prediction of a video lies: its name, percent-encoded, so that any name is a file name."""
    name = quote(video_id, safe='')
    if name.startswith('.'):
        name = '%2E' + name[1:]
    if len(name) > LONGEST_NAME:
        name = f'{name[:LONGEST_NAME]}-{hashlib.sha256(video_id.encode()).hexdigest()[:16]}'
    return Path(folder) / f'{name}.npz'


def is_prediction_folder(folder: str | Path) -> bool:
    """Whether a folder was written by ``tools/test.py --dump``."""
    return (Path(folder) / FOLDER_FILE).is_file()


def list_predictions(folder: str | Path) -> list[Path]:
    """The finished prediction files of a folder, sorted by name."""
    return sorted(path for path in Path(folder).glob('*.npz') if not is_temporary(path))


def read_folder_meta(folder: str | Path) -> dict[str, Any]:
    """What the predictions of a folder share: config, checkpoint, words, windows, versions.

    Raises:
        DataError: the file is missing, damaged or of another format.
    """
    path = Path(folder) / FOLDER_FILE
    try:
        meta = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise DataError(f'{path}: not found, so {folder} is no folder of predictions') from error
    except (ValueError, RecursionError) as error:
        raise DataError(f'{path}: damaged: {error}') from error
    _check_format(meta, path)
    if not isinstance(meta.get('shared', {}), dict):
        raise DataError(f'{path}: shared must be an object, got {meta["shared"]!r:.80}')
    return meta


def start_folder(folder: str | Path, shared: Mapping[str, Any]) -> None:
    """Empty a folder of its predictions and say what those that follow will share.

    Args:
        folder: made if need be.
        shared: as JSON takes it.
    """
    folder = Path(folder)
    (folder / FOLDER_FILE).unlink(missing_ok=True)
    for path in list_predictions(folder):
        path.unlink()
    write_json(folder / FOLDER_FILE, {'format': FORMAT, 'format_version': FORMAT_VERSION, 'shared': dict(shared)})


def read_prediction(path: str | Path) -> Prediction:
    """Read a prediction file, but for its masks.

    Raises:
        DataError: the file is missing, half-written, damaged or of another format.
    """
    path = Path(path)
    with _open_zip(path) as archive:
        meta = _read_meta(archive, path)
        scores = _read_array(archive, path, 'scores', np.float32, 1)
        frame_inds = _read_array(archive, path, 'frame_inds', np.int32, 1)
        detections = _read_array(archive, path, 'detections', np.float32, 2)
        names = [name.removesuffix('.npy') for name in archive.namelist() if name.startswith('pixels_')]
        counts = {name.removeprefix('pixels_'): _read_array(archive, path, name) for name in names}
        top_words = None
        if 'top_words.npy' in archive.namelist():
            top_words = _name_words(_read_array(archive, path, 'top_words', np.int32, 1), meta, frame_inds.size, path)
    try:
        prediction = Prediction(
            path=path,
            video_id=str(meta['video_id']),
            scores=scores,
            frame_inds=frame_inds,
            frame_interval=int(meta['frame_interval']),
            detections=detections,
            has_detections=bool(meta['has_detections']),
            masks_kind=meta['masks'],
            mask_stride=int(meta['mask_stride']),
            pixel_counts=counts or None,
            pixel_options=dict(meta['pixel_options'] or {}),
            top_words=top_words,
            meta=meta,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f'{path}: meta.json: {error!r}') from error
    n = scores.size
    if meta.get('num_frames') != n or (frame_inds.size and not 0 <= frame_inds.min() <= frame_inds.max() < n):
        raise DataError(f'{path}: scores must hold num_frames = {meta.get("num_frames")} figures, got {n}')
    if np.isinf(scores).any():
        raise DataError(f'{path}: scores must be finite, frame {int(np.isinf(scores).argmax())} is not')
    if detections.shape[1] != 6:
        raise DataError(f'{path}: detections must be of shape (D, 6), got {detections.shape}')
    return prediction


def _name_words(places: np.ndarray, meta: Mapping[str, Any], num_frames: int, path: Path) -> np.ndarray:
    """The words at some places of the prompt, object (S,)."""
    words = meta.get('categories')
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f'{path}: meta.json: categories must be a list of words, got {words!r:.80}')
    if places.size != num_frames or (places.size and not NO_WORD <= places.min() <= places.max() < len(words)):
        raise DataError(
            f'{path}: top_words must name one of {len(words)} words for each of {num_frames} frames, got '
            f'{places.size} places from {places.min(initial=0)} to {places.max(initial=0)}'
        )
    return np.asarray([*words, UNDECIDED], dtype=object)[places]  # NO_WORD is the last place


def _check_format(meta: Any, path: Path) -> None:
    if not isinstance(meta, dict) or meta.get('format') != FORMAT:
        raise DataError(f'{path}: format must be {FORMAT}')
    if meta.get('format_version') != FORMAT_VERSION:
        raise DataError(f'{path}: format_version must be {FORMAT_VERSION}, got {meta.get("format_version")}')


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise DataError(f'{path}: prediction file not found') from error
    except (*DAMAGE, OSError) as error:
        raise DataError(f'{path}: half-written or no prediction file: {error}') from error


def _read_meta(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(archive.read('meta.json'))
    except (*DAMAGE, OSError) as error:
        raise DataError(f'{path}: damaged or no prediction file: meta.json: {error}') from error
    _check_format(meta, path)
    return meta


def _read_array(
    archive: zipfile.ZipFile, path: Path, name: str, dtype: type | None = None, ndim: int | None = None
) -> np.ndarray:
    try:
        with archive.open(f'{name}.npy') as file:
            array = np.lib.format.read_array(io.BytesIO(file.read()), allow_pickle=False)
    except (*DAMAGE, OSError) as error:
        raise DataError(f'{path}: damaged: {name}: {error}') from error
    if (dtype is not None and array.dtype != dtype) or (ndim is not None and array.ndim != ndim):
        raise DataError(
            f'{path}: {name} must be {np.dtype(dtype)} of {ndim} dimensions, got {array.dtype} of shape {array.shape}'
        )
    return array


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, ZIP_TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    info.create_system = 3  # Unix, whatever wrote it
    return info


def _encode_runs(masks: np.ndarray) -> np.ndarray:
    """Run lengths of all masks one after another, columns first, each beginning with its False pixels, uint32."""
    parts = []
    for mask in masks:
        flat = mask.T.ravel()
        edges = np.flatnonzero(np.diff(flat)) + 1
        runs = np.diff(np.concatenate([[0], edges, [flat.size]]))
        parts.append(np.concatenate([[0], runs]) if flat[0] else runs)
    return np.concatenate(parts).astype(np.uint32)


def _decode_runs(runs: np.ndarray, number: int, shape: tuple[int, int], path: Path) -> np.ndarray:
    """What ``_encode_runs`` was given, bool (number, H, W)."""
    height, width = shape
    area, masks, place = height * width, np.zeros((number, height, width), dtype=bool), 0
    for mask in masks:
        ends = np.cumsum(runs[place:], dtype=np.int64)
        count = int(np.searchsorted(ends, area)) + 1
        if count > ends.size or ends[count - 1] != area:
            raise DataError(f'{path}: damaged: run lengths do not add up to {height} x {width} pixels')
        flags = np.arange(count) % 2 == 1
        mask[:] = np.repeat(flags, runs[place : place + count]).reshape(width, height).T
        place += count
    return masks
