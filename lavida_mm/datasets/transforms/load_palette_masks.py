"""Reads masks whose pixel values are the numbers of the objects."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from lavida_mm.datasets.palette import list_numbers, read_palette
from lavida_mm.registry import TRANSFORMS
from lavida_mm.utils.errors import DataError

__all__ = ['LoadPaletteMasks']

MAX_SIZE_DIFFERENCE = 1  # tools that scale by a side round the other one down or up


@TRANSFORMS.register_module()
class LoadPaletteMasks(BaseTransform):
    """Masks and words of the objects that are visible in the clip, from one palette image per frame.

    A mask that is one pixel narrower or lower than its frame is stretched to it; other sizes are errors.

    Required keys: mask_files, frame number -> palette or gray image; object_ids, number of the object -> words;
    frame_inds (T,), ori_shape (H, W).

    Optional keys: ann_file, where the words come from if not from the config; other_objects, True where masks may show
    objects that object_ids lacks, which are left out.

    Removed keys: mask_files, object_ids, other_objects.

    Added keys: object_masks, bool (N, T, H, W); object_words, list[N] of list[str].

    Raises:
        DataError: a mask is unreadable, of another size, or shows an object without words.
    """

    def transform(self, results: dict) -> dict:
        files, words = results.pop('mask_files'), results.pop('object_ids')
        listed_in = None if results.pop('other_objects', False) else results.get('ann_file', 'the config')
        inds = [int(index) for index in results['frame_inds']]
        read = {index: _read_ids(files[index], results['ori_shape'], words, listed_in) for index in set(inds)}
        planes = np.stack([read[index] for index in inds])  # (T, H, W)
        numbers = [number for number in words if (planes == number).any()]
        results['object_masks'] = planes[None] == np.asarray(numbers, dtype=np.uint8)[:, None, None, None]
        results['object_words'] = [words[number] for number in numbers]
        return results


def _read_ids(file: str, shape: tuple[int, int], words: dict[int, list[str]], listed_in: str | None) -> np.ndarray:
    ids = read_palette(file)
    difference = max(abs(side - own) for side, own in zip(shape, ids.shape, strict=True))
    if difference > MAX_SIZE_DIFFERENCE:
        raise DataError(f'{file}: is {ids.shape[0]} x {ids.shape[1]} pixels, its frame {shape[0]} x {shape[1]}')
    if difference:
        ids = cv2.resize(ids, shape[::-1], interpolation=cv2.INTER_NEAREST)
    unknown = list_numbers(ids) - words.keys() if listed_in else None
    if unknown:
        raise DataError(f'{file}: object {min(unknown)} must have words in {listed_in}, which names {sorted(words)}')
    return ids
