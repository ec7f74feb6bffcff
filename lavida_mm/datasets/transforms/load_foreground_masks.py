"""Reads masks of what is in front, which need no words."""

from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from lavida_mm.datasets.palette import UNDECIDED, read_mask
from lavida_mm.datasets.readers.image_folder_reader import ImageFolderReader
from lavida_mm.registry import TRANSFORMS
from lavida_mm.utils.errors import DataError

__all__ = ['LoadForegroundMasks']


@TRANSFORMS.register_module()
class LoadForegroundMasks(BaseTransform):
    """Masks of the foreground for the frames of a drawn clip, as objects without words.

    In a palette image every number but 0 and 255 is an object of its own. In a gray or black-and-white image all
    pixels but 0 are one foreground.

    Required keys: mask_folder, a folder with a mask per frame of the video, in the order of the frames, or None;
    frame_inds (T,), ori_shape (H, W).

    Removed keys: mask_folder.

    Added keys: object_masks, bool (N, T, H, W), N = 0 where there are no masks; object_words, N empty lists.

    Raises:
        DataError: a mask is unreadable, of another kind or of another size than its frame.
    """

    def transform(self, results: dict) -> dict:
        folder, shape = results.pop('mask_folder'), results['ori_shape']
        planes = np.zeros((len(results['frame_inds']), *shape), dtype=np.uint8)
        if folder is not None:
            files = ImageFolderReader(Path(folder)).files
            planes = np.stack([_read_numbers(files[int(index)], shape) for index in results['frame_inds']])  # (T, H, W)
        numbers = np.unique(planes[planes > 0])  # (N,)
        results['object_masks'] = planes[None] == numbers[:, None, None, None]
        results['object_words'] = [[] for _ in numbers]
        return results


def _read_numbers(file: Path, shape: tuple[int, int]) -> np.ndarray:
    """Numbers of the objects, uint8 (H, W), 0 where there is none."""
    mode, pixels = read_mask(file)
    if mode not in ('P', 'L', '1'):
        raise DataError(f'{file}: must be a palette, gray or black-and-white image, got mode {mode!r}')
    if pixels.shape != shape:
        raise DataError(f'{file}: is {pixels.shape[0]} x {pixels.shape[1]} pixels, its frame {shape[0]} x {shape[1]}')
    if mode == 'P':
        return np.where(pixels == UNDECIDED, 0, pixels)
    return (pixels > 0).astype(np.uint8)
