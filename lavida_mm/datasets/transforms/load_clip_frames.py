"""Reads the frames of a drawn clip."""

import numpy as np
from mmcv.transforms import BaseTransform

from lavida_mm.datasets.video_reader import BACKENDS, open_video, read_image
from lavida_mm.registry import TRANSFORMS
from lavida_mm.utils.errors import DataError

__all__ = ['LoadClipFrames']


@TRANSFORMS.register_module()
class LoadClipFrames(BaseTransform):
    """Read a clip from images or from a video file.

    Required keys: frame_inds (T,); frame_files, frame number -> image, or path of a video file; and, where the
    annotation gives them, height and width.

    Added keys: frames, uint8 (T, H, W, 3) RGB; ori_shape (H, W).

    Args:
        backend: ``'pyav'`` or ``'decord'``, for video files. For short clips of short files PyAV opens faster.

    Raises:
        DataError: a frame is missing, unreadable or of another size.
    """

    def __init__(self, *, backend: str = 'pyav'):
        if backend not in BACKENDS:
            raise ValueError(f'backend must be one of {sorted(BACKENDS)}, got {backend!r}')
        self.backend = backend

    def transform(self, results: dict) -> dict:
        inds = [int(index) for index in results['frame_inds']]
        if results['path'] is None:
            frames = self._read_images(results, inds)
        else:
            with open_video(results['path'], self.backend) as reader:
                frames = reader.read(inds)
        shape = (frames.shape[1], frames.shape[2])
        said = (results.get('height', shape[0]), results.get('width', shape[1]))
        if shape != said:
            raise DataError(f'{self._name(results)}: is {shape[0]} x {shape[1]} pixels, its annotation says {said}')
        results['frames'] = frames
        results['ori_shape'] = shape
        return results

    def _read_images(self, results: dict, inds: list[int]) -> np.ndarray:
        images = {index: read_image(results['frame_files'][index]) for index in set(inds)}
        first = images[inds[0]].shape
        for index, image in images.items():
            if image.shape != first:
                raise DataError(
                    f'{results["frame_files"][index]}: is {image.shape[0]} x {image.shape[1]} pixels, '
                    f'frame {inds[0]} of its video {first[0]} x {first[1]}'
                )
        return np.stack([images[index] for index in inds])

    @staticmethod
    def _name(results: dict) -> str:
        return results['path'] or results['frame_files'][int(results['frame_inds'][0])]
