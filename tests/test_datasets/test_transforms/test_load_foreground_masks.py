import cv2
import numpy as np
import pytest
from PIL import Image

from lavida_mm.datasets.transforms import LoadForegroundMasks
from lavida_mm.utils.errors import DataError


def numbers() -> np.ndarray:
    pixels = np.zeros((6, 8), np.uint8)
    pixels[0, 0], pixels[1, 1:3], pixels[5, 5] = 3, 7, 255
    return pixels


def load(folder, inds=(0, 1)):
    return LoadForegroundMasks().transform(
        dict(mask_folder=None if folder is None else str(folder), frame_inds=np.asarray(inds), ori_shape=(6, 8))
    )


def write_palette(path, pixels):
    image = Image.fromarray(pixels)
    image.putpalette([value for index in range(256) for value in (index, 255 - index, 0)])
    image.save(path)


def test_numbers_of_a_palette_are_objects_and_255_is_none(tmp_path):
    write_palette(tmp_path / '2.png', numbers())
    write_palette(tmp_path / '10.png', np.where(numbers() == 3, 0, numbers()).astype(np.uint8))
    out = load(tmp_path)
    assert out['object_words'] == [[], []] and 'mask_folder' not in out
    assert np.array_equal(out['object_masks'][0], [numbers() == 3, np.zeros((6, 8), bool)])  # 2 before 10
    assert np.array_equal(out['object_masks'][1], [numbers() == 7] * 2)


@pytest.mark.parametrize('mode', ['L', '1'])
def test_gray_and_black_and_white_images_are_one_foreground(tmp_path, mode):
    for name in '01':
        Image.fromarray(np.where(numbers() > 0, 255, 0).astype(np.uint8)).convert(mode).save(tmp_path / f'{name}.png')
    out = load(tmp_path)
    assert np.array_equal(out['object_masks'], [[numbers() > 0] * 2]) and out['object_words'] == [[]]


def test_without_masks_there_is_no_object():
    out = load(None)
    assert out['object_masks'].shape == (0, 2, 6, 8) and out['object_words'] == []


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda path: path.write_bytes(b'no image'), r'1\.png: is no mask that can be read'),
        (
            lambda path: cv2.imwrite(str(path), np.zeros((6, 8, 3), np.uint8)),
            r"1\.png: must be a palette.*got mode 'RGB'",
        ),
        (lambda path: cv2.imwrite(str(path), np.zeros((6, 9), np.uint8)), r'1\.png: is 6 x 9 pixels, its frame 6 x 8'),
    ],
)
def test_bad_masks(tmp_path, make, message):
    cv2.imwrite(str(tmp_path / '0.png'), numbers())
    make(tmp_path / '1.png')
    with pytest.raises(DataError, match=message):
        load(tmp_path)
