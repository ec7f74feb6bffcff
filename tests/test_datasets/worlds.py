"""Writes the miniature annotation files that tests of the data rooms read."""

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from tests.videos import write_video

__all__ = ['SIDE', 'box_mask', 'encode', 'write_clips', 'write_images', 'write_json_file', 'write_manifest']

SIDE = 32


def box_mask(left: int, top: int, size: int = 8, side: int = SIDE) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[top : top + size, left : left + size] = True
    return mask


def encode(mask: np.ndarray) -> dict[str, Any]:
    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {'size': list(code['size']), 'counts': code['counts'].decode()}


def write_json_file(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def annotation(key: int, image: int, category: int, mask: np.ndarray, **more: Any) -> dict:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
    return {
        'id': key,
        'image_id': image,
        'category_id': category,
        'segmentation': encode(mask),
        'bbox': box,
        'area': int(mask.sum()),
        'iscrowd': 0,
        **more,
    }


CATEGORIES = [
    {'id': 3, 'name': 'red star', 'words': ['red star', 'red', 'star']},
    {'id': 7, 'name': 'blue ring', 'words': ['blue ring', 'blue', 'ring']},
    {'id': 9, 'name': 'green cross'},
]


def write_images(root: Path) -> dict:
    """Two images: one with a red star (run lengths) and a blue ring (polygon), one with nothing."""
    (root / 'images').mkdir(parents=True)
    for key in (11, 12):
        image = np.full((SIDE, SIDE, 3), 90, np.uint8)
        if key == 11:
            image[4:12, 4:12] = (0, 0, 255)  # BGR: red
            image[16:24, 16:24] = (255, 0, 0)
        cv2.imwrite(str(root / 'images' / f'{key}.png'), image)
    ring = annotation(101, 11, 7, box_mask(16, 16))
    ring['segmentation'] = [[16, 16, 24, 16, 24, 24, 16, 24]]
    content = {
        'images': [{'id': key, 'file_name': f'{key}.png', 'height': SIDE, 'width': SIDE} for key in (11, 12)],
        'annotations': [annotation(100, 11, 3, box_mask(4, 4)), ring],
        'categories': copy.deepcopy(CATEGORIES),
    }
    write_json_file(root / 'instances.json', content)
    return content


def clip_frames(num_frames: int) -> list[np.ndarray]:
    """A red box that moves two pixels to the right in each frame, RGB."""
    frames = []
    for index in range(num_frames):
        frame = np.full((SIDE, SIDE, 3), 40, np.uint8)
        frame[box_mask(2 * index, 4)] = (255, 0, 0)
        frames.append(frame)
    return frames


def write_clips(root: Path, num_frames: int = 6, video_file: bool = False) -> dict:
    """Two clips: in the first a red star (instance 0) moves right and a blue ring shows in the first two frames."""
    videos, images, annotations = [], [], []
    for number, name in enumerate(('c0', 'c1')):
        video = {'id': number, 'name': name, 'height': SIDE, 'width': SIDE, 'fps': 8.0}
        (root / name).mkdir(parents=True)
        if video_file:
            write_video(root / name / 'clip.mp4', clip_frames(num_frames))
            video['file_name'] = f'{name}/clip.mp4'
        videos.append(video)
        for index, frame in enumerate(clip_frames(num_frames)):
            image = {'id': number * 100 + index, 'video_id': number, 'frame_id': index}
            if not video_file:
                image['file_name'] = f'{name}/{index:05d}.png'
                cv2.imwrite(str(root / image['file_name']), frame[..., ::-1])
            images.append(image)
            key = len(annotations)
            annotations.append(annotation(key, image['id'], 3, box_mask(2 * index, 4), instance_id=0))
            if number == 0 and index < 2:
                annotations.append(annotation(key + 1, image['id'], 7, box_mask(20, 20), instance_id=1))
    content = {'videos': videos, 'images': images, 'annotations': annotations, 'categories': copy.deepcopy(CATEGORIES)}
    write_json_file(root / 'clips.json', content)
    phrases = {'0': {'exp': 'the star that is red', 'obj_id': '0'}, '1': {'exp': 'a ring in blue', 'obj_id': '1'}}
    meta = {'videos': {'c0': {'expressions': phrases, 'frames': []}}}
    write_json_file(root / 'meta_expressions.json', meta)
    return content


def write_manifest(root: Path, lengths: tuple[int, ...] = (5, 4)) -> dict:
    """Videos v0, v1, ...; v0 has a red star in frames 1 and 2, with masks; the others are normal."""
    videos = []
    for number, length in enumerate(lengths):
        path = root / 'videos' / f'v{number}.mp4'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, clip_frames(length), fps=8)
        videos.append(
            {
                'video_id': f'v{number}',
                'path': f'videos/v{number}.mp4',
                'num_frames': length,
                'fps': 8.0,
                'height': SIDE,
                'width': SIDE,
                'categories': ['red star', f'word {number}'],
                'absent_categories': ['green cross', 'blue ring'],
                'anomalies': [],
            }
        )
    masks = {str(index): encode(box_mask(2 * index, 4)) for index in (1, 2)}
    videos[0]['anomalies'] = [{'category': 'red star', 'start': 1, 'end': 3, 'masks': masks}]
    content = {'version': 1, 'name': 'mini', 'videos': videos}
    write_json_file(root / 'manifest.json', content)
    return content
