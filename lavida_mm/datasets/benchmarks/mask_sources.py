"""Masks of one video in the forms that benchmarks hand them out; nothing is decoded before it is asked for."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.datasets.masks import decode_mask
from lavida_mm.utils.errors import DataError

__all__ = [
    'ImageFolderMasks',
    'MatMasks',
    'NpyMasks',
    'RleMasks',
    'binarize',
    'find_intervals',
    'hash_files',
    'list_numbered_images',
    'load_mat_variable',
    'load_npy',
    'strip_place',
]

MASK_SUFFIXES = ('.bmp', '.png', '.tif', '.tiff')
LABELLED_AT_ONCE = 64  # masks that are looked at together: 26 MB at 480 x 856


def hash_files(paths: Iterable[Path], *more: object) -> str:
    """Hash of the names and sizes of files, and of what else is given."""
    described = [(path.name, path.stat().st_size) for path in sorted(paths)]
    return hashlib.sha256(repr((described, more)).encode()).hexdigest()


class RleMasks:
    """Masks written as COCO run lengths; the masks of one frame are united.

    Args:
        frames: frame -> its masks, of sound form (``find_mask_fault``); a frame without one is normal.
        origin: file and video, for errors.
    """

    def __init__(self, frames: Mapping[int, Sequence[Any]], origin: str):
        self.frames = {int(frame): list(masks) for frame, masks in frames.items()}
        self.origin = origin

    def fingerprint(self) -> str:
        """Hash of the run lengths."""
        return hashlib.sha256(json.dumps(sorted(self.frames.items()), default=str).encode()).hexdigest()

    def read(self, frame_inds: Sequence[int], height: int, width: int) -> np.ndarray:
        """Anomalous pixels of some frames, bool (T, H, W).

        Raises:
            DataError: a mask is of another size or its runs break a rule.
        """
        found = np.zeros((len(frame_inds), height, width), dtype=bool)
        for place, index in enumerate(frame_inds):
            for rle in self.frames.get(int(index), []):
                found[place] |= decode_mask(rle, height, width, f'{self.origin}: masks of frame {index}')
        return found


class ImageFolderMasks:
    """One image per frame, of the values 0 and 1 or 0 and 255.

    The numbers in the names order the images and must count up by one (``001.bmp`` or ``frame001.bmp``, from any
    number on); the first image belongs to frame 0.

    Args:
        folder: the folder.

    Attributes:
        files: one image per frame.
        num_frames: their number.

    Raises:
        DataError: the folder is missing or empty, or a number is missing or stands twice.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.files = list_numbered_images(folder, MASK_SUFFIXES)
        self.num_frames = len(self.files)

    def fingerprint(self) -> str:
        """Hash of the names and sizes of the files."""
        return hash_files(self.files)

    def read(self, frame_inds: Sequence[int], height: int, width: int) -> np.ndarray:
        """Anomalous pixels of some frames, bool (T, H, W).

        Raises:
            DataError: an image is unreadable, of another size or not binary, or there is none for a frame.
        """
        _check_frames(frame_inds, self.num_frames, self.folder)
        found = np.zeros((len(frame_inds), height, width), dtype=bool)
        for place, index in enumerate(frame_inds):
            found[place] = self._read_image(self.files[index], (height, width))
        return found

    def label_frames(self) -> np.ndarray:
        """1 for each frame with an anomalous pixel, int64 (num_frames,); reads all images, one at a time."""
        return np.asarray([self._read_image(file).any() for file in self.files], dtype=np.int64)

    def _read_image(self, file: Path, size: tuple[int, int] | None = None) -> np.ndarray:
        import cv2

        try:
            data = np.fromfile(file, dtype=np.uint8)
        except OSError as error:
            raise DataError(f'{file}: {error.strerror or error}') from error
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
        if image is None:
            raise DataError(f'{file}: is no image that can be read ({data.size} bytes)')
        if image.ndim == 3:  # a gray image that was stored as colours
            if (image[..., :3] != image[..., :1]).any():
                raise DataError(f'{file}: a mask must be gray, got colours')
            image = image[..., 0]
        if size is not None:
            _check_size(image.shape, size, file)
        return binarize(image, str(file))


class NpyMasks:
    """A NumPy file (n, H, W) of the values 0 and 1 or 0 and 255, mapped into memory: only the frames read are loaded.

    Args:
        path: the file; its name may end in anything.

    Attributes:
        num_frames: n.
        height: H.
        width: W.

    Raises:
        DataError: the file is missing, no NumPy file, cut short, or holds no numbers in three dimensions.
    """

    def __init__(self, path: Path):
        self.path = path
        self.num_frames, self.height, self.width = self._map().shape

    def _map(self) -> np.ndarray:
        array = load_npy(self.path, mapped=True)
        if array.ndim != 3:
            raise DataError(f'{self.path}: masks must be (frames, height, width), got shape {array.shape}')
        return array

    def fingerprint(self) -> str:
        """Hash of the names and sizes of the files."""
        return hash_files([self.path])

    def read(self, frame_inds: Sequence[int], height: int, width: int) -> np.ndarray:
        """Anomalous pixels of some frames, bool (T, H, W).

        Raises:
            DataError: the masks are of another size or not binary, or there is none for a frame.
        """
        _check_frames(frame_inds, self.num_frames, self.path)
        _check_size((self.height, self.width), (height, width), self.path)
        array = self._map()
        found = np.zeros((len(frame_inds), height, width), dtype=bool)
        for place, index in enumerate(frame_inds):
            found[place] = binarize(np.asarray(array[index]), f'{self.path}: frame {index}')
        return found

    def label_frames(self) -> np.ndarray:
        """1 for each frame with an anomalous pixel, int64 (num_frames,); reads the whole file, a piece at a time."""
        labels = np.zeros(self.num_frames, dtype=np.int64)
        for start in range(0, self.num_frames, LABELLED_AT_ONCE):
            inds = range(start, min(start + LABELLED_AT_ONCE, self.num_frames))
            labels[start : start + len(inds)] = self.read(inds, self.height, self.width).any(axis=(1, 2))
        return labels


class MatMasks:
    """A MATLAB file with one cell array that holds a mask (H, W) of 0 and 1, or 0 and 255, for each frame.

    The file is decompressed once, when it is first needed, and kept as run lengths: of CUHK Avenue's largest video
    under 1 MB instead of 330.

    Args:
        path: the file.
        variable: name of the cell array.

    Raises:
        DataError: the file is missing.
    """

    def __init__(self, path: Path, variable: str = 'volLabel'):
        if not path.is_file():
            raise DataError(f'{path}: No such file')
        self.path = path
        self.variable = variable
        self._loaded: tuple[int, tuple[int, int], RleMasks] | None = None

    @property
    def num_frames(self) -> int:
        """Number of masks.

        Raises:
            DataError: the file or one of its masks breaks a rule.
        """
        return self._load()[0]

    def fingerprint(self) -> str:
        """Hash of the names and sizes of the files."""
        return hash_files([self.path])

    def read(self, frame_inds: Sequence[int], height: int, width: int) -> np.ndarray:
        """Anomalous pixels of some frames, bool (T, H, W).

        Raises:
            DataError: the file breaks a rule, its masks are of another size, or there is none for a frame.
        """
        num_frames, size, masks = self._load()
        _check_frames(frame_inds, num_frames, self.path)
        _check_size(size, (height, width), self.path)
        return masks.read(frame_inds, height, width)

    def label_frames(self) -> np.ndarray:
        """1 for each frame with an anomalous pixel, int64 (num_frames,)."""
        num_frames, _, masks = self._load()
        labels = np.zeros(num_frames, dtype=np.int64)
        labels[list(masks.frames)] = 1
        return labels

    def _load(self) -> tuple[int, tuple[int, int], RleMasks]:
        """Number, size and content of the masks."""
        if self._loaded is None:
            from pycocotools import mask as coco_mask

            cells = load_mat_variable(self.path, self.variable)
            if cells.dtype != object or not cells.size or max(cells.shape) != cells.size:
                raise DataError(
                    f'{self.path}: {self.variable} must be a cell array with one mask per frame, '
                    f'got {cells.dtype} of shape {cells.shape}'
                )
            frames: dict[int, list] = {}
            size: tuple[int, int] | None = None
            for frame, cell in enumerate(cells.ravel()):
                where = f'{self.path}: {self.variable}{{{frame + 1}}}'  # as MATLAB counts
                if not isinstance(cell, np.ndarray) or cell.ndim != 2 or not cell.size:
                    raise DataError(f'{where} must be a mask (height, width), got {_describe(cell)}')
                size = size or (cell.shape[0], cell.shape[1])
                _check_size(cell.shape, size, where)
                mask = binarize(cell, where)
                if mask.any():
                    frames[frame] = [coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))]
            assert size is not None
            self._loaded = cells.size, size, RleMasks(frames, str(self.path))
        return self._loaded


def binarize(values: np.ndarray, where: str) -> np.ndarray:
    """True where a mask or a list of labels is not 0, bool of the same shape.

    Args:
        values: numbers of any kind, all 0 or 1, or all 0 or 255.
        where: file and frame, for the error.

    Raises:
        DataError: the values are no numbers, or others than these.
    """
    if values.dtype == bool:
        return values
    if values.dtype.kind not in 'iuf':
        raise DataError(f'{where}: must hold numbers, got type {values.dtype}')
    found = values != 0
    top = values.max(initial=0)
    if top not in (0, 1, 255) or (values[found] != top).any():
        kinds = np.unique(values)
        shown = ', '.join(f'{value:g}' for value in kinds[:5]) + (', ...' if len(kinds) > 5 else '')
        raise DataError(f'{where}: must hold 0 and 1 or 0 and 255 only, got {shown}')
    return found


def find_intervals(labels: np.ndarray) -> list[tuple[int, int]]:
    """The runs of frames that are labelled, as (start, end), end exclusive.

    Args:
        labels: bool or 0 and 1, (n,).

    Examples:
        >>> find_intervals(np.array([1, 1, 0, 0, 1]))
        [(0, 2), (4, 5)]
    """
    edges = np.flatnonzero(np.diff(np.pad(np.asarray(labels, dtype=np.int8), 1)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def list_numbered_images(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The images of a folder in the order of the numbers that their names end in; hidden files are ignored.

    Args:
        folder: the folder.
        suffixes: endings of images, in lower case.

    Raises:
        DataError: the folder is missing or holds no image, or a number is missing, left out or stands twice.
    """
    try:
        names = [file for file in folder.iterdir() if file.suffix.lower() in suffixes and file.name[0] != '.']
    except OSError as error:
        raise DataError(f'{folder}: {error.strerror or error}') from error
    if not names:
        raise DataError(f'{folder}: must hold images ({", ".join(suffixes)}), got none')
    numbers: dict[int, Path] = {}
    for file in sorted(names):
        digits = re.search(r'(\d+)$', file.stem)
        if digits is None:
            raise DataError(f'{file}: the name of an image must end in the number of its frame')
        number = int(digits[1])
        if number in numbers:
            raise DataError(f'{file}: frame {number} must stand once, {numbers[number].name} is the same')
        numbers[number] = file
    first, last = min(numbers), max(numbers)
    if last - first + 1 != len(numbers):
        gap = next(number for number in range(first, last) if number not in numbers)
        raise DataError(
            f'{folder}: images must count up by one, got {len(numbers)} from {numbers[first].name} to '
            f'{numbers[last].name}, without number {gap}'
        )
    return [numbers[number] for number in range(first, last + 1)]


def load_npy(path: Path, mapped: bool = False) -> np.ndarray:
    """A NumPy file, whatever its name ends in.

    Args:
        path: the file.
        mapped: map it into memory instead of loading it.

    Raises:
        DataError: the file is missing, cut short, no NumPy file, or holds objects instead of numbers.
    """
    try:
        with open(path, 'rb') as file:
            magic = file.read(len(np.lib.format.MAGIC_PREFIX))
        if magic != np.lib.format.MAGIC_PREFIX:
            raise DataError(f'{path}: must be a NumPy file (.npy), it begins with {magic!r}')
        return np.load(path, mmap_mode='r' if mapped else None, allow_pickle=False)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f'{path}: {error.strerror or error}') from error
    except (ValueError, EOFError) as error:
        raise DataError(f'{path}: is no whole NumPy file of numbers: {error}') from error


def load_mat_variable(path: Path, name: str) -> np.ndarray:
    """One variable of a MATLAB file (of version 7 or older).

    Raises:
        DataError: the file is missing or unreadable, or lacks the variable.
    """
    from scipy.io import loadmat, whosmat

    try:
        content = loadmat(path, variable_names=[name])
        if name not in content:
            others = ', '.join(sorted(other for other, *_ in whosmat(path))) or 'nothing'
            raise DataError(f'{path}: must hold the variable {name}, got {others}')
    except (DataError, MemoryError):
        raise
    except NotImplementedError as error:
        raise DataError(f'{path}: is a MATLAB file of version 7.3; save it with -v7 to have it read') from error
    except Exception as error:  # SciPy's parser meets damage with errors of every kind
        reason = error.strerror if isinstance(error, OSError) and error.strerror else None
        raise DataError(f'{path}: {reason or f"is no whole MATLAB file: {error}"}') from error
    return np.asarray(content[name])


def strip_place(error: DataError, where: Path | str) -> str:
    """What an error says behind the file or folder that it begins with: a finding names that by itself."""
    return str(error).removeprefix(f'{where}: ')


def _check_frames(frame_inds: Sequence[int], num_frames: int, where: Path) -> None:
    if len(frame_inds) and not 0 <= min(frame_inds) <= max(frame_inds) < num_frames:
        raise DataError(
            f'{where}: must have a mask for every frame of the video, got {num_frames} masks, '
            f'frame {max(frame_inds)} (counted from 0) has none'
        )


def _check_size(found: Sequence[int], size: tuple[int, int], where: Path | str) -> None:
    if tuple(found) != size:
        raise DataError(f'{where}: masks must be {size[0]} x {size[1]} as the frames are, got {found[0]} x {found[1]}')


def _describe(value: Any) -> str:
    return f'{value.dtype} of shape {value.shape}' if isinstance(value, np.ndarray) else type(value).__name__
