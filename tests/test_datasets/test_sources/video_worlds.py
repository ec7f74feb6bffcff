"""Writes miniatures of the video data sets in the layout in which their owners ship them."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.test_datasets.worlds import encode, write_json_file

__all__ = [
    'NAMES',
    'SHAPE',
    'encode_box',
    'write_frames',
    'write_mevis',
    'write_palette',
    'write_ref_davis',
    'write_ref_youtube_vos',
    'write_youtube_vos',
]

SHAPE = (20, 24)


def write_frames(folder: Path, names: list[str], shape: tuple[int, int] = SHAPE) -> None:
    """Gray images, each ten levels brighter than the one before."""
    folder.mkdir(parents=True)
    for place, name in enumerate(names):
        cv2.imwrite(str(folder / f'{name}.jpg'), np.full((*shape, 3), 10 * place, np.uint8))


def write_palette(file: Path, boxes: dict[int, tuple[int, int, int, int]], shape: tuple[int, int] = SHAPE) -> None:
    """A palette PNG; boxes: number of the object -> (top, left, height, width)."""
    ids = np.zeros(shape, np.uint8)
    for number, (top, left, height, width) in boxes.items():
        ids[top : top + height, left : left + width] = number
    image = Image.fromarray(ids)
    image.putpalette([37 * value % 256 for value in range(256) for _ in 'RGB'])
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)


NAMES = [f'{index:05d}' for index in range(0, 20, 5)]  # every fifth frame is annotated


def write_youtube_vos(root: Path, split: str = 'train') -> dict:
    """Two videos: a giant panda (1) in all frames and a person (2) in the last two; and a person alone."""
    for video in ('0a1b', 'ff00'):
        write_frames(root / split / 'JPEGImages' / video, NAMES)
        for place, name in enumerate(NAMES):
            boxes = {1: (2 + place, 3, 4, 5)}
            if video == '0a1b' and place >= 2:
                boxes[2] = (12, 12, 3, 3)
            write_palette(root / split / 'Annotations' / video / f'{name}.png', boxes)
    meta = {
        'videos': {
            '0a1b': {
                'objects': {
                    '1': {'category': 'giant_panda', 'frames': list(NAMES)},
                    '2': {'category': 'person', 'frames': NAMES[2:]},
                }
            },
            'ff00': {'objects': {'1': {'category': 'person', 'frames': list(NAMES)}}},
        }
    }
    write_json_file(root / split / 'meta.json', meta)
    return meta


def write_ref_youtube_vos(root: Path, split: str = 'train') -> dict:
    """The same videos; phrases for the panda and for the person who is alone, none for the other person."""
    write_youtube_vos(root, split)
    expressions = {
        '0': {'exp': 'a panda that walks down', 'obj_id': '1'},
        '1': {'exp': ' the black and white  animal', 'obj_id': '1'},
        '2': {'exp': 'A panda that walks down', 'obj_id': '1'},
    }
    meta = {
        'videos': {
            '0a1b': {'expressions': expressions, 'frames': list(NAMES)},
            'ff00': {'expressions': {'0': {'exp': 'a man', 'obj_id': '1'}}, 'frames': list(NAMES)},
        }
    }
    write_json_file(root / 'meta_expressions' / split / 'meta_expressions.json', meta)
    return meta


TEXTS = {
    'Davis17_annot1.txt': b'bear 1 "a brown bear"\nclasic-car 1 "a red car"\nclasic-car 2 "a driver"\nkoala 1 "it"\n',
    'Davis17_annot1_full_video.txt': b'bear 1 "a bear walking"\nclasic-car 1 "a car"\nclasic-car 2 "a man in a car"\n',
    'Davis17_annot2.txt': b'bear 1 "a bear with \xe9lan"\r\nclasic-car 1 "the man\x92s car"\r\n\r\n',
    'Davis17_annot2_full_video.txt': b'bear 1 "a brown  bear"\nclasic-car 2 "a driver"\n',
}


def write_ref_davis(root: Path) -> None:
    """Two training videos of three frames; the driver (2) is out of sight in the first two."""
    davis = root / 'DAVIS'
    (davis / 'ImageSets' / '2017').mkdir(parents=True)
    (davis / 'ImageSets' / '2017' / 'train.txt').write_text('bear\nclassic-car\n')
    names = ['00000', '00001', '00002']
    for video in ('bear', 'classic-car'):
        write_frames(davis / 'JPEGImages' / '480p' / video, names)
        for place, name in enumerate(names):
            boxes = {1: (2 + place, 3, 4, 5)}
            if video == 'classic-car' and place == 2:
                boxes[2] = (12, 12, 3, 3)
            write_palette(davis / 'Annotations' / '480p' / video / f'{name}.png', boxes)
    (root / 'davis_text_annotations').mkdir()
    for name, content in TEXTS.items():
        (root / 'davis_text_annotations' / name).write_bytes(content)


def encode_box(top: int, left: int, height: int, width: int, shape: tuple[int, int] = SHAPE) -> dict:
    """COCO run lengths of a box."""
    mask = np.zeros(shape, bool)
    mask[top : top + height, left : left + width] = True
    return encode(mask)


def write_mevis(root: Path, split: str = 'train') -> tuple[dict, dict]:
    """Two videos of four frames. In the first a bird (10) moves down and another (11) shows in the last two frames."""
    names = [f'{index:05d}' for index in range(4)]
    for video in ('0ab4', 'ff7e'):
        write_frames(root / split / 'JPEGImages' / video, names)
    masks = {
        '10': [encode_box(2 + place, 3, 4, 5) for place in range(4)],
        '11': [None, None, encode_box(12, 12, 3, 3), encode_box(12, 13, 3, 3)],
        '12': [encode_box(1, 1, 2, 2), None, None, None],
    }
    phrases = {
        '0': {'exp': 'The bird flying away', 'obj_id': [0], 'anno_id': [10]},
        '1': {'exp': 'two birds', 'obj_id': [0, 3], 'anno_id': [10, 11]},
        '2': {'exp': 'bird that comes last', 'obj_id': [3], 'anno_id': [11]},
        '3': {'exp': 'the bird flying  away', 'obj_id': [0], 'anno_id': [10]},
    }
    meta = {
        'videos': {
            '0ab4': {'expressions': phrases, 'vid_id': 0, 'frames': names},
            'ff7e': {
                'expressions': {'0': {'exp': 'a cat that leaves', 'obj_id': [0], 'anno_id': [12]}},
                'vid_id': 1,
                'frames': names,
            },
        }
    }
    write_json_file(root / split / 'meta_expressions.json', meta)
    write_json_file(root / split / 'mask_dict.json', masks)
    return meta, masks
