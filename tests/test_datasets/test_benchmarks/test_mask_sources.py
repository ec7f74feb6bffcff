from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from lavida_mm.datasets.benchmarks.mask_sources import (
    ImageFolderMasks,
    MatMasks,
    NpyMasks,
    RleMasks,
    binarize,
    find_intervals,
    load_npy,
)
from lavida_mm.utils.errors import DataError
from tests.test_datasets.worlds import encode

HEIGHT, WIDTH, FRAMES = 12, 16, 6


@pytest.fixture(scope='module')
def masks():
    """Frames 0, 2, 3 and 5 show something."""
    found = np.random.default_rng(3).random((FRAMES, HEIGHT, WIDTH)) < 0.4
    found[[1, 4]] = False
    return found


def write_images(folder: Path, masks: np.ndarray, pattern: str = '{:03d}.bmp', first: int = 1, top: int = 255) -> Path:
    folder.mkdir(parents=True)
    for number, mask in enumerate(masks, start=first):
        cv2.imwrite(str(folder / pattern.format(number)), (mask * top).astype(np.uint8))
    return folder


def write_mat(path: Path, masks, name: str = 'volLabel') -> Path:
    cells = np.empty((1, len(masks)), dtype=object)
    for place, mask in enumerate(masks):
        cells[0, place] = mask
    scipy.io.savemat(path, {name: cells})
    return path


def write_npy(path: Path, array: np.ndarray) -> Path:
    with open(path, 'wb') as file:  # np.save would add .npy to the name
        np.save(file, array)
    return path


def make_source(kind: str, folder: Path, masks: np.ndarray):
    if kind == 'rle':
        return RleMasks({frame: [encode(mask)] for frame, mask in enumerate(masks)}, 'here')
    if kind == 'images':
        return ImageFolderMasks(write_images(folder / 'gt', masks))
    if kind == 'npy':
        return NpyMasks(write_npy(folder / 'masks.npy', masks.astype(np.uint8)))
    return MatMasks(write_mat(folder / '1_label.mat', masks.astype(np.uint8)))


KINDS = ('rle', 'images', 'npy', 'mat')


@pytest.mark.parametrize('kind', KINDS)
def test_each_source_gives_the_masks_in_any_order(tmp_path, masks, kind):
    source = make_source(kind, tmp_path, masks)
    for inds in ([4, 0, 0, 2], [5], []):
        found = source.read(inds, HEIGHT, WIDTH)
        assert found.dtype == bool and found.shape == (len(inds), HEIGHT, WIDTH)
        assert np.array_equal(found, masks[inds])


@pytest.mark.parametrize('kind', KINDS)
def test_masks_of_another_size(tmp_path, masks, kind):
    source = make_source(kind, tmp_path, masks)
    with pytest.raises(DataError, match=r'12 x 17|12, 17'):
        source.read([0], HEIGHT, WIDTH + 1)


@pytest.mark.parametrize('kind', KINDS[1:])
def test_labels_are_the_frames_with_a_pixel(tmp_path, masks, kind):
    source = make_source(kind, tmp_path, masks)
    assert source.num_frames == FRAMES
    assert source.label_frames().tolist() == [1, 0, 1, 1, 0, 1]


@pytest.mark.parametrize('kind', KINDS[1:])
@pytest.mark.parametrize('inds', [[0, FRAMES], [-1]])
def test_a_frame_without_mask(tmp_path, masks, kind, inds):
    with pytest.raises(DataError, match='must have a mask for every frame of the video, got 6 masks'):
        make_source(kind, tmp_path, masks).read(inds, HEIGHT, WIDTH)


@pytest.mark.parametrize(('pattern', 'first'), [('frame{:03d}.bmp', 1), ('{:03d}.png', 0), ('{:d}.BMP', 7)])
def test_image_names(tmp_path, masks, pattern, first):
    folder = write_images(tmp_path / 'gt', masks, pattern, first, top=1)
    (folder / '._001.bmp').write_bytes(b'resource fork')
    (folder / '.DS_Store').write_bytes(b'')
    source = ImageFolderMasks(folder)
    assert np.array_equal(source.read(range(FRAMES), HEIGHT, WIDTH), masks)


def test_a_mask_that_was_stored_in_colours(tmp_path, masks):
    folder = write_images(tmp_path / 'gt', masks)
    gray = cv2.imread(str(folder / '003.bmp'))
    assert gray.ndim == 3
    cv2.imwrite(str(folder / '003.bmp'), gray)
    assert np.array_equal(ImageFolderMasks(folder).read([2], HEIGHT, WIDTH)[0], masks[2])
    cv2.imwrite(str(folder / '003.bmp'), gray * np.array([1, 0, 0], dtype=np.uint8))
    with pytest.raises(DataError, match=r'003\.bmp: a mask must be gray, got colours'):
        ImageFolderMasks(folder).read([2], HEIGHT, WIDTH)


def test_bad_image_folders(tmp_path, masks):
    with pytest.raises(DataError, match=r'none: No such file'):
        ImageFolderMasks(tmp_path / 'none')
    folder = write_images(tmp_path / 'gt', masks)
    (folder / '004.bmp').rename(folder / '009.bmp')
    with pytest.raises(DataError, match=r'count up by one, got 6 from 001\.bmp to 009\.bmp, without number 4'):
        ImageFolderMasks(folder)
    (folder / '009.bmp').rename(folder / 'frame003.bmp')
    with pytest.raises(DataError, match=r'frame003\.bmp: frame 3 must stand once, 003\.bmp is the same'):
        ImageFolderMasks(folder)
    (folder / 'frame003.bmp').rename(folder / 'mask.bmp')
    with pytest.raises(DataError, match=r'mask\.bmp: the name of an image must end in the number'):
        ImageFolderMasks(folder)
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r'gt: must hold images \(\.bmp, .*\), got none'):
        ImageFolderMasks(folder)


def test_bad_images(tmp_path, masks):
    folder = write_images(tmp_path / 'gt', masks)
    (folder / '002.bmp').write_bytes((folder / '002.bmp').read_bytes()[:20])
    with pytest.raises(DataError, match=r'002\.bmp: is no image that can be read \(20 bytes\)'):
        ImageFolderMasks(folder).read([1], HEIGHT, WIDTH)
    cv2.imwrite(str(folder / '002.bmp'), np.full((HEIGHT, WIDTH), 128, np.uint8))
    with pytest.raises(DataError, match=r'002\.bmp: must hold 0 and 1 or 0 and 255 only, got 128'):
        ImageFolderMasks(folder).label_frames()


@pytest.mark.parametrize('dtype', [bool, np.uint8, np.int64, np.float32])
@pytest.mark.parametrize('top', [1, 255])
def test_npy_of_any_numbers(tmp_path, masks, dtype, top):
    source = NpyMasks(write_npy(tmp_path / 'masks.txt', (masks * top).astype(dtype)))
    assert np.array_equal(source.read(range(FRAMES), HEIGHT, WIDTH), masks)


def test_bad_npy_files(tmp_path, masks):
    with pytest.raises(DataError, match=r'none\.npy: No such file'):
        NpyMasks(tmp_path / 'none.npy')
    path = tmp_path / 'masks.npy'
    path.write_text('0 1 1\n')
    with pytest.raises(DataError, match=r'masks\.npy: must be a NumPy file \(\.npy\), it begins with'):
        NpyMasks(path)
    with pytest.raises(DataError, match=r'masks must be \(frames, height, width\), got shape \(6,\)'):
        NpyMasks(write_npy(path, masks.any(axis=(1, 2))))
    with pytest.raises(DataError, match='is no whole NumPy file of numbers'):
        NpyMasks(write_npy(path, np.array([None])))  # would be unpickled
    write_npy(path, masks)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match='is no whole NumPy file of numbers'):
        NpyMasks(path)
    with pytest.raises(DataError, match=r'frame 1: must hold numbers, got type <U1'):
        NpyMasks(write_npy(path, np.full(masks.shape, 'x'))).read([1], HEIGHT, WIDTH)
    gray = masks.astype(np.float32)
    gray[2, 0, :3] = 0.5, np.nan, 1
    with pytest.raises(DataError, match=r'masks\.npy: frame 2: must hold 0 and 1 or 0 and 255 only, got 0, 0\.5, 1'):
        NpyMasks(write_npy(path, gray)).read([2], HEIGHT, WIDTH)


def test_npy_is_not_loaded_whole(tmp_path):
    path = tmp_path / 'masks.npy'
    np.lib.format.open_memmap(path, mode='w+', dtype=np.uint8, shape=(400_000, 480, 856))  # 164 GB, none on disk
    source = NpyMasks(path)
    assert not source.read([399_999], 480, 856).any()


@pytest.mark.parametrize('dtype', [np.uint8, np.float64, bool])
def test_mat_of_any_numbers(tmp_path, masks, dtype):
    source = MatMasks(write_mat(tmp_path / '1_label.mat', masks.astype(dtype)))
    assert np.array_equal(source.read(range(FRAMES), HEIGHT, WIDTH), masks)


def test_bad_mat_files(tmp_path, masks):
    with pytest.raises(DataError, match=r'none\.mat: No such file'):
        MatMasks(tmp_path / 'none.mat')
    path = write_mat(tmp_path / '1_label.mat', masks, name='label')
    with pytest.raises(DataError, match=r'1_label\.mat: must hold the variable volLabel, got label'):
        MatMasks(path).label_frames()
    write_mat(path, [*masks[:2], np.ones((HEIGHT, 3), np.uint8)])
    with pytest.raises(DataError, match=r'volLabel\{3\}: masks must be 12 x 16 as the frames are, got 12 x 3'):
        MatMasks(path).label_frames()
    write_mat(path, [*masks, np.full((HEIGHT, WIDTH), 7, np.uint8)])
    with pytest.raises(DataError, match=r'volLabel\{7\}: must hold 0 and 1 or 0 and 255 only, got 7'):
        MatMasks(path).label_frames()
    scipy.io.savemat(path, {'volLabel': masks.astype(np.uint8)})
    with pytest.raises(DataError, match='volLabel must be a cell array with one mask per frame, got uint8'):
        MatMasks(path).label_frames()
    write_mat(path, masks)
    for length in (0, 60, 500):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(DataError, match=r'1_label\.mat: is no whole MATLAB file'):
            MatMasks(path).label_frames()
        write_mat(path, masks)
    header = b'MATLAB 7.3 MAT-file, Platform: GLNXA64'.ljust(124) + b'\x00\x02IM'
    path.write_bytes(header + bytes(400))
    with pytest.raises(DataError, match=r'is a MATLAB file of version 7\.3; save it with -v7'):
        MatMasks(path).label_frames()


def test_values_must_be_binary():
    assert binarize(np.array([0, 255, 0], np.uint8), 'x').tolist() == [False, True, False]
    assert not binarize(np.zeros((0, 3)), 'x').size
    for values in ([0, 1, 255], [0, 2], [-1, 0], [0.0, np.nan], [np.inf]):
        with pytest.raises(DataError, match='x: must hold 0 and 1 or 0 and 255 only, got'):
            binarize(np.array(values), 'x')
    with pytest.raises(DataError, match='must hold numbers, got type complex128'):
        binarize(np.array([1j]), 'x')


@given(st.lists(st.booleans(), max_size=30))
def test_intervals_are_the_labelled_runs(labels):
    intervals = find_intervals(np.array(labels, dtype=bool))
    again = np.zeros(len(labels), dtype=bool)
    for start, end in intervals:
        assert start < end and not again[start:end].any()
        again[start:end] = True
    assert again.tolist() == labels
    assert all(before[1] < after[0] for before, after in pairwise(intervals))


def test_labels_load_whatever_the_name_ends_in(tmp_path):
    assert load_npy(write_npy(tmp_path / '01_0014.txt', np.array([0, 1]))).tolist() == [0, 1]
