"""Splits an image whose pixels name classes or segments into one mask per name."""

from collections.abc import Mapping

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from lavida_mm.registry import TRANSFORMS
from lavida_mm.utils.errors import DataError

__all__ = ['LoadLabelMap', 'read_label_map', 'split_label_map']

RGB_WEIGHTS = (1, 256, 256**2)  # id = R + 256 G + 65536 B, https://cocodataset.org/#format-data (panoptic)


def read_label_map(file: str, rgb_ids: bool) -> np.ndarray:
    """The ids of a label map.

    Args:
        file: a palette or gray image of 8 bits, or a colour image.
        rgb_ids: whether it is a colour image that spells ids as R + 256 G + 65536 B.

    Returns:
        uint8 (H, W), or int32 (H, W) for colour images.

    Raises:
        DataError: the file is missing, no image, or of the other kind.
    """
    try:
        with Image.open(file) as image:
            mode, pixels = image.mode, np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow raises all of them
        raise DataError(f'{file}: is no label map that can be read: {error}') from error
    if rgb_ids:
        if mode != 'RGB':
            raise DataError(f'{file}: must be a colour image that spells ids as R + 256 G + 65536 B, got mode {mode!r}')
        return pixels.astype(np.int32) @ np.asarray(RGB_WEIGHTS, dtype=np.int32)
    if mode not in ('P', 'L'):
        raise DataError(f'{file}: must be a palette or gray image of 8 bits, got mode {mode!r}')
    return pixels


def split_label_map(ids: np.ndarray, target_words: Mapping[int, list[str]]) -> tuple[np.ndarray, list[list[str]]]:
    """Masks and words of the targets that the map shows.

    Args:
        ids: label map, (H, W).
        target_words: id -> words, of what may be an object.

    Returns:
        bool (N, H, W), in the order of ``target_words``; list[N] of list[str].
    """
    seen = _ids_in(ids)
    shown = [label for label in target_words if label in seen]
    masks = ids[None] == np.asarray(shown, dtype=ids.dtype)[:, None, None]  # (N, H, W)
    return masks, [target_words[label] for label in shown]


@TRANSFORMS.register_module()
class LoadLabelMap(BaseTransform):
    """One object per id of a label map, be it a class or a segment, for images as clips of one frame.

    Where ``ResizeFrames`` stands before, the map is reduced before it is split, which spares the memory of one mask
    of full size per class. A class that loses its last pixel by it is no object any more, but stays a present word.

    Required keys: label_file; label_words, id -> all names; target_words, id -> words, of what may be an object;
    ignored_ids; frames (T, H, W, 3), ori_shape (H, W).

    Removed keys: label_file, label_words, target_words, ignored_ids.

    Added keys: object_masks, bool (N, T, H, W); object_words, list[N] of list[str]; present_words, all names of all
    ids in the map.

    Args:
        rgb_ids: whether maps are colour images that spell ids as R + 256 G + 65536 B (COCO panoptic).

    Raises:
        DataError: the map is unreadable, of another size than its image, or shows an id without a name.
    """

    def __init__(self, *, rgb_ids: bool = False):
        self.rgb_ids = rgb_ids

    def transform(self, results: dict) -> dict:
        file, words = results.pop('label_file'), results.pop('label_words')
        ids = read_label_map(file, self.rgb_ids)
        if ids.shape != results['ori_shape']:
            image = ' x '.join(map(str, results['ori_shape']))
            raise DataError(f'{file}: is {ids.shape[0]} x {ids.shape[1]} pixels, its image {image}')
        seen = _ids_in(ids) - set(results.pop('ignored_ids'))
        if not seen <= words.keys():
            odd = min(seen - words.keys())
            raise DataError(f'{file}: shows id {odd}, which must be one of the {len(words)} with a name, or be ignored')
        num_frames, height, width = results['frames'].shape[:3]
        if ids.shape != (height, width):
            ids = cv2.resize(ids, (width, height), interpolation=cv2.INTER_NEAREST)
        masks, results['object_words'] = split_label_map(ids, results.pop('target_words'))
        results['object_masks'] = np.repeat(masks[:, None], num_frames, axis=1)  # (N, T, H, W)
        results['present_words'] = [name for label in sorted(seen) for name in words[label]]
        return results


def _ids_in(ids: np.ndarray) -> set[int]:
    if ids.dtype == np.uint8:
        return set(np.flatnonzero(np.bincount(ids.ravel(), minlength=256)).tolist())  # a tenth of np.unique's time
    return set(np.unique(ids).tolist())
