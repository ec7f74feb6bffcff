"""YouTube-VOS in its official layout (youtube-vos.org/dataset/vos), whole and broken."""

import json

import numpy as np
import pytest
from PIL import Image

from lavida_mm.datasets import YouTubeVOS
from lavida_mm.utils.errors import DataError
from tests.test_datasets.test_sources.video_worlds import (
    NAMES,
    SHAPE,
    write_frames,
    write_palette,
    write_youtube_vos,
)
from tests.test_datasets.worlds import write_json_file

CLIP = [dict(type='SampleClip', num_frames=4), dict(type='LoadClipFrames'), dict(type='LoadPaletteMasks')]


@pytest.fixture
def root(tmp_path):
    write_youtube_vos(tmp_path)
    return tmp_path


def read(root, **options):
    return YouTubeVOS(data_root=str(root), **dict(pipeline=CLIP) | options)


def box(top, left, height, width):
    mask = np.zeros(SHAPE, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def test_reads_frames_masks_and_words(root):
    source = read(root, extra_words=['car'])
    assert source.vocabulary == ['giant panda', 'person', 'car']
    assert source.counts() == dict(videos=2, objects=3, categories=2)
    assert YouTubeVOS.PUBLISHED[source.split].keys() <= source.counts().keys()
    clip = source[0]
    assert clip['video_id'] == '0a1b' and clip['source'] == 'youtube_vos' and clip['vocabulary'] == source.vocabulary
    assert clip['frames'].shape == (4, *SHAPE, 3) and clip['frames'][:, 0, 0, 0].tolist() == [0, 10, 20, 30]
    assert clip['object_words'] == [['giant panda'], ['person']]
    panda, person = clip['object_masks']
    assert np.array_equal(panda, [box(2 + place, 3, 4, 5) for place in range(4)])
    assert np.array_equal(person, [box(12, 12, 3, 3) & (place >= 2) for place in range(4)])
    assert source[1]['object_words'] == [['person']]


def test_categories_of_the_video_are_no_distractors_where_their_object_is_out_of_sight(root):
    expose = dict(type='PseudoAnomalySampler', anomaly_ratio=0.0, max_categories=5)
    load = [dict(type='SampleClip', num_frames=1), *CLIP[1:], expose]
    source = read(root, extra_words=['cat'], pipeline=load)
    assert all(source[0]['categories'] == ['cat'] for _ in range(8))


def test_reads_no_disk_before_full_init(tmp_path):
    source = YouTubeVOS(data_root=str(tmp_path / 'none'), lazy_init=True)
    train = tmp_path / 'none' / 'train'
    assert source.index_files() == [train / 'meta.json', train / 'JPEGImages', train / 'Annotations']
    with pytest.raises(DataError, match=r'meta\.json: No such file'):
        source.full_init()


def test_all_frames_are_a_choice_and_only_annotated_ones_are_drawn(root):
    names = [f'{index:05d}' for index in range(18)]
    for video in ('0a1b', 'ff00'):
        write_frames(root / 'train_all_frames' / 'JPEGImages' / video, names)
    clip = read(root, image_folder='train_all_frames/JPEGImages')[0]
    assert clip['frame_inds'].tolist() == [0, 5, 10, 15] and clip['num_frames'] == 18
    assert clip['frames'][:, 0, 0, 0].tolist() == [0, 50, 100, 150]


def drop_mask(root, meta):
    (root / 'train/Annotations/0a1b/00010.png').unlink()


def drop_image(root, meta):
    (root / 'train/JPEGImages/0a1b/00010.jpg').unlink()


def drop_videos_images(root, meta):
    (root / 'train/JPEGImages/0a1b').rename(root / 'train/elsewhere')


def share_no_frame(root, meta):
    for number, name in enumerate(NAMES):
        (root / f'train/Annotations/0a1b/{name}.png').rename(root / f'train/Annotations/0a1b/x{number}.png')
    for record in meta['videos']['0a1b']['objects'].values():
        record['frames'] = ['x0']


BAD = {
    'frame without its mask': (drop_mask, r"Annotations/0a1b: frame '00010' must have a mask"),
    'mask without its frame': (drop_image, r'00010\.png: must have an image of its name in .*JPEGImages/0a1b'),
    'video without images': (drop_videos_images, 'JPEGImages/0a1b: no such folder'),
    'no frame in common': (share_no_frame, r'x0\.png: must have an image of its name'),
}


@pytest.mark.parametrize('case', BAD)
def test_missing_files(root, case):
    change, message = BAD[case]
    meta = read_meta(root)
    change(root, meta)
    write_json_file(root / 'train/meta.json', meta)
    with pytest.raises(DataError, match=message) as error:
        read(root)
    assert str(error.value).startswith(f'{root}/train/meta.json: ') and '\n' not in str(error.value)
    source = read(root, bad_annotations='skip')
    if case.startswith(('frame', 'mask')):
        assert source[0]['frame_inds'].tolist() == ([0, 1, 3, 3] if 'frame without' in case else [0, 1, 2, 2])
    else:
        assert [source[index]['video_id'] for index in range(len(source))] == ['ff00']
        assert source.counts() == dict(videos=1, objects=1, categories=1)


def read_meta(root):
    return json.loads((root / 'train/meta.json').read_text())


ENTRIES = {
    'no objects': ({}, r'videos\.0a1b\.objects must hold at least one object, got \{\}'),
    'no number': (
        {'one': {'category': 'a', 'frames': ['00000']}},
        r'objects\.one: .* its number in the masks, 1\.\.254',
    ),
    'number of undecided pixels': ({'255': {'category': 'a', 'frames': ['00000']}}, "got '255'"),
    'blank category': ({'1': {'category': ' ', 'frames': ['00000']}}, r"objects\.1\.category must be a word, got ' '"),
    'no category': ({'1': {'frames': ['00000']}}, r'objects\.1\.category must be a word, got None'),
    'never appears': (
        {'1': {'category': 'a', 'frames': []}},
        r'objects\.1\.frames must be a list of at least one name',
    ),
    'no record': ({'1': 'ape'}, r'objects\.1\.category must be a word, got None'),
}


@pytest.mark.parametrize('case', ENTRIES)
def test_bad_entries(root, case):
    objects, message = ENTRIES[case]
    meta = read_meta(root)
    meta['videos']['0a1b']['objects'] = objects
    write_json_file(root / 'train/meta.json', meta)
    with pytest.raises(DataError, match=message):
        read(root)
    source = read(root, bad_annotations='skip')
    assert source[len(source) - 1]['video_id'] == 'ff00'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([], 'videos must be an object, got None'),
        ({'videos': []}, r'videos must be an object, got \[\]'),
        ({'videos': {}}, "source 'youtube_vos' holds no sample"),
        ({'videos': {'0a1b': 3}}, r'videos\.0a1b\.objects must hold'),
    ],
)
def test_files_that_are_no_index(root, content, message):
    write_json_file(root / 'train/meta.json', content)
    with pytest.raises(DataError, match=message):
        read(root)


def test_objects_without_a_sound_category_are_never_targets(root):
    meta = read_meta(root)
    meta['videos']['0a1b']['objects']['2']['category'] = ''
    write_json_file(root / 'train/meta.json', meta)
    source = read(root, bad_annotations='skip')
    assert source[0]['object_words'] == [['giant panda'], []]
    assert source.vocabulary == ['giant panda', 'person']


def test_masks_that_break_a_rule_name_their_file(root):
    file = root / 'train/Annotations/0a1b/00005.png'
    whole = file.read_bytes()
    write_palette(file, {7: (0, 0, 2, 2)})
    with pytest.raises(DataError, match=r'00005\.png: object 7 must have words in .*meta\.json, which names \[1, 2\]'):
        read(root)[0]
    write_palette(file, {1: (0, 0, 2, 2)}, shape=(20, 20))
    with pytest.raises(DataError, match=r'00005\.png: is 20 x 20 pixels, its frame 20 x 24'):
        read(root)[0]
    Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(file)
    with pytest.raises(DataError, match=r"00005\.png: must be a palette or gray image, got mode 'RGB'"):
        read(root)[0]
    damaged = bytearray(whole)
    damaged[-25] ^= 255  # a pixel: the file's end takes 12 bytes, the pixels' checksum 4
    for content in (whole[: len(whole) // 2], whole[:-25], bytes(damaged), b''):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r'00005\.png: is no mask that can be read'):
            read(root)[0]


def test_images_that_break_a_rule_name_their_file(root):
    file = root / 'train/JPEGImages/0a1b/00005.jpg'
    file.write_bytes(b'no image')
    with pytest.raises(DataError, match=r'00005\.jpg: is no image that can be read'):
        read(root)[0]
