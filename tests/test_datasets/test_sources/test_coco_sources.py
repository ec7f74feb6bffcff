"""Image and video sources on miniature files, their bad inputs, and the whole way to packed samples."""

import copy
import json

import numpy as np
import pytest

from lavida_mm.datasets import CocoInstancesSource, CocoVidSource
from lavida_mm.utils.errors import DataError
from tests.test_datasets.worlds import SIDE, box_mask, write_clips, write_images, write_json_file

LOAD_IMAGE = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=False, with_label=False, with_mask=True),
    dict(type='LoadImageObjects'),
]
LOAD_CLIP = [dict(type='SampleClip', num_frames=3), dict(type='LoadClipFrames'), dict(type='LoadClipObjects')]
EXPOSE = [dict(type='PseudoAnomalySampler', anomaly_ratio=1.0, max_categories=4), dict(type='PackVADInputs')]


@pytest.fixture
def images(tmp_path):
    return tmp_path, write_images(tmp_path)


@pytest.fixture
def clips(tmp_path):
    return tmp_path, write_clips(tmp_path)


def read_images(root, content=None, **options):
    if content is not None:
        write_json_file(root / 'instances.json', content)
    return CocoInstancesSource(data_root=str(root), ann_file='instances.json', **options)


def read_clips(root, content=None, **options):
    if content is not None:
        write_json_file(root / 'clips.json', content)
    return CocoVidSource(data_root=str(root), ann_file='clips.json', **options)


def test_images_come_in_the_common_form(images):
    source = read_images(images[0], pipeline=LOAD_IMAGE, extra_words=['dog', 'Red star'])
    assert len(source) == 2
    assert source.vocabulary == ['red star', 'red', 'star', 'blue ring', 'blue', 'ring', 'green cross', 'dog']
    first, second = source[0], source[1]
    assert first['frames'].shape == (1, SIDE, SIDE, 3) and first['frames'].dtype == np.uint8
    assert first['frames'][0, 5, 5].tolist() == [255, 0, 0]  # RGB
    assert first['object_words'] == [['red star', 'red', 'star'], ['blue ring', 'blue', 'ring']]
    assert np.array_equal(first['object_masks'][0, 0], box_mask(4, 4))
    assert first['object_masks'][1, 0, 17:23, 17:23].all() and first['object_masks'].shape == (2, 1, SIDE, SIDE)
    assert first['source'] == 'coco_instances' and first['vocabulary'] == source.vocabulary
    assert second['object_masks'].shape == (0, 1, SIDE, SIDE) and second['object_words'] == []


def test_objects_without_a_visible_pixel_are_left_out(images):
    root, content = images
    content['annotations'][1]['segmentation'] = [[16.1, 16.1, 16.2, 16.1, 16.2, 16.2]]
    assert read_images(root, content, pipeline=LOAD_IMAGE)[0]['object_words'] == [['red star', 'red', 'star']]
    content['annotations'][1]['area'] = 0
    assert read_images(root, content, pipeline=LOAD_IMAGE)[0]['object_words'] == [['red star', 'red', 'star']]


def test_crowds_count_as_objects(images):
    root, content = images
    content['annotations'][0]['iscrowd'] = 1
    assert len(read_images(root, content, pipeline=LOAD_IMAGE)[0]['object_words']) == 2


@pytest.mark.parametrize('video_file', [False, True])
def test_clips_come_in_the_common_form(tmp_path, video_file):
    write_clips(tmp_path, video_file=video_file)
    source = read_clips(tmp_path, pipeline=LOAD_CLIP)
    assert len(source) == 2
    rings = 0
    for seed in range(12):
        np.random.seed(seed)
        clip = source[0]
        start = int(clip['frame_inds'][0])
        assert clip['frame_inds'].tolist() == [start, start + 1, start + 2]
        assert clip['frames'].shape == (3, SIDE, SIDE, 3) and clip['ori_shape'] == (SIDE, SIDE)
        for place, index in enumerate(clip['frame_inds']):
            assert np.array_equal(clip['object_masks'][0, place], box_mask(2 * index, 4))
            red = clip['frames'][place, ..., 0] > 150
            assert (red & box_mask(2 * index, 4)).sum() > 50 and (red & ~box_mask(2 * index, 4)).sum() < 12
        seen = start < 2
        rings += seen
        assert clip['object_words'] == [['red star', 'red', 'star'], ['blue ring', 'blue', 'ring']][: 1 + seen]
        if seen:
            assert clip['object_masks'][1].any(axis=(1, 2)).tolist() == [index < 2 for index in range(start, start + 3)]
    assert 0 < rings < 12


def test_phrases(clips):
    root, _ = clips
    source = read_clips(root, words='phrase', expressions='meta_expressions.json', pipeline=LOAD_CLIP)
    assert len(source) == 1 and source.vocabulary == ['the star that is red', 'a ring in blue']
    np.random.seed(1)
    assert source[0]['object_words'][0] == ['the star that is red']


@pytest.mark.parametrize(('part', 'source'), [('images', read_images), ('clips', read_clips)])
def test_whole_way_to_packed_samples(tmp_path, part, source):
    (write_images if part == 'images' else write_clips)(tmp_path)
    load = LOAD_IMAGE if part == 'images' else LOAD_CLIP
    source = source(tmp_path, pipeline=[*load, dict(type='ResizeFrames', scale=(16, 16)), *EXPOSE], name='mine')
    packed = source[0]
    sample = packed['data_samples']
    num_frames = 1 if part == 'images' else 3
    assert packed['inputs'].shape == (num_frames, 3, 16, 16) and sample.gt_masks.shape == (num_frames, 16, 16)
    assert sample.source == 'mine' and sample.gt_frame_labels.any() and sample.gt_category_labels.sum() == 1
    assert sample.ori_shape == (SIDE, SIDE) and sample.img_shape == (16, 16)


def cut(path):
    path.write_text(path.read_text()[:-40])


@pytest.mark.parametrize(('write', 'read', 'name'), [
    (write_images, read_images, 'instances.json'), (write_clips, read_clips, 'clips.json')
])  # fmt: skip
def test_files_that_are_no_annotation_file(tmp_path, write, read, name):
    with pytest.raises(DataError, match=f'{name}: No such file'):
        read(tmp_path)
    write(tmp_path)
    cut(tmp_path / name)
    with pytest.raises(DataError, match=f'{name}: is no whole JSON file') as error:
        read(tmp_path)
    assert '\n' not in str(error.value)
    (tmp_path / name).write_text('')
    with pytest.raises(DataError, match='is no whole JSON file'):
        read(tmp_path)
    (tmp_path / name).write_bytes(b'\xff\xfe\x00')
    with pytest.raises(DataError, match='is no whole JSON file'):
        read(tmp_path)
    (tmp_path / name).write_text('[1, 2]')
    with pytest.raises(DataError, match=r'must hold an object with .*, got list'):
        read(tmp_path)
    (tmp_path / name).write_text('{"images": 5}')
    with pytest.raises(DataError, match='must be a list of objects, got'):
        read(tmp_path)


BAD_ANNOTATIONS = [
    (dict(image_id=99), 'image_id must name one of the 2 listed, got 99'),
    (dict(category_id=99), 'category_id must name one of the 3 listed, got 99'),
    (dict(category_id=[3]), r'category_id must name one of the 3 listed, got \[3\]'),
    (dict(bbox=[1, 2, 3]), 'bbox must be four finite numbers'),
    (dict(bbox=[1, 2, 3, None]), 'bbox must be four finite numbers'),
    (dict(bbox=[40, 2, 3, 3]), 'bbox must touch the image of 32 x 32 pixels'),
    (dict(area='big'), 'area must be a number'),
    (dict(area=10**400), 'area must be a number'),
    (dict(bbox=[1, 2, 3, 10**400]), 'bbox must be four finite numbers'),
    (dict(segmentation=[[1, 2, 3, 4, 5, 10**400]]), 'a polygon must hold numbers'),
    (dict(segmentation=[]), 'segmentation must hold at least one polygon'),
    (dict(segmentation=[[1, 2, 3, 4]]), 'a polygon must be an even number of at least 6 coordinates'),
    (dict(segmentation=[[50, 50, 60, 50, 60, 60]]), 'a polygon must touch the frame of 32 x 32 pixels'),
    (dict(segmentation={'size': [32, 16], 'counts': '0'}), r"segmentation.size must be the frame's \[32, 32\]"),
    (dict(segmentation={'size': [32, 32], 'counts': None}), 'segmentation.counts must be'),
]


@pytest.mark.parametrize(('change', 'rule'), BAD_ANNOTATIONS)
def test_bad_annotations_are_named_before_training(images, change, rule):
    root, content = images
    content = copy.deepcopy(content)
    content['annotations'][0].update(change)
    with pytest.raises(DataError, match=rule) as error:
        read_images(root, content)
    assert str(error.value).startswith(f'{root}/instances.json: annotation 100: ') and '\n' not in str(error.value)
    skipped = read_images(root, content, bad_annotations='skip', pipeline=LOAD_IMAGE)
    assert skipped[0]['object_words'] == [['blue ring', 'blue', 'ring']]


@pytest.mark.parametrize('counts', ['0', 'zz', '\u00e9', 'o', [1, 2], [2000, -976]])
def test_bad_run_lengths_are_named_when_they_are_read(images, clips, counts):
    root, content = images
    content['annotations'][0]['segmentation']['counts'] = counts
    source = read_images(root, content, pipeline=LOAD_IMAGE)
    with pytest.raises(DataError, match=r'instances\.json: annotation 100: segmentation\.counts'):
        source[0]
    root, content = clips
    for annotation in content['annotations']:
        annotation['segmentation']['counts'] = counts
    source = read_clips(root, content, pipeline=LOAD_CLIP)
    with pytest.raises(DataError, match=r'clips\.json: annotation \d+: segmentation\.counts'):
        source[0]


def test_missing_and_odd_images(images):
    root, content = images
    (root / 'images' / '12.png').unlink()
    with pytest.raises(DataError, match=r"image 12: file_name must be an existing file, got '.*12\.png'"):
        read_images(root)
    assert len(read_images(root, bad_annotations='skip')) == 1
    (root / 'images' / '11.png').rename(root / 'images' / '12.png')
    with pytest.raises(DataError, match='holds no sample'):
        read_images(root, {**content, 'images': content['images'][:1]}, bad_annotations='skip')
    content['images'] = [{**content['images'][1], 'height': 40}]
    content['annotations'] = []
    with pytest.raises(DataError, match=r'12\.png: is 32 x 32 pixels, its annotation says 40 x 32'):
        read_images(root, content, pipeline=LOAD_IMAGE)[0]


@pytest.mark.parametrize(
    ('section', 'change', 'rule'),
    [
        ('images', dict(id=None), r'images\[0\].id must be a number or text'),
        ('images', dict(id=12), r'images\[1\].id must be unique, got 12 twice'),
        ('images', dict(file_name=5), 'images 11: file_name must be text, got 5'),
        ('images', dict(height=0), 'images 11: height must be positive, got 0'),
        ('images', dict(width='32'), "images 11: width must be a whole number, got '32'"),
        ('categories', dict(name=None), 'categories 3: name must be text'),
        ('categories', dict(words=[]), 'category 3: words must be a list of at least one word'),
        ('categories', dict(words=['a', ' ']), "category 3: words must not be blank, got ' '"),
        ('annotations', dict(id=101), r'annotations\[1\].id must be a unique number or text, got 101'),
    ],
)
def test_bad_records(images, section, change, rule):
    root, content = images
    content[section][0].update(change)
    with pytest.raises(DataError, match=rule) as error:
        read_images(root, content)
    assert str(error.value).startswith(f'{root}/instances.json: ')


@pytest.mark.parametrize(
    ('section', 'place', 'change', 'rule'),
    [
        ('images', 0, dict(video_id=7), 'image 0: video_id must name a listed video, got 7'),
        ('images', 0, dict(video_id=[0]), r'image 0: video_id must name a listed video, got \[0\]'),
        ('images', 1, dict(frame_id=0), 'image 1: frame_id must be 0 or more, once in its video, got 0'),
        ('images', 0, dict(frame_id=-1), 'got -1'),
        ('images', 0, dict(frame_id='0'), "images 0: frame_id must be a whole number, got '0'"),
        ('images', 0, dict(file_name=None), 'image 0: file_name must be text where the video has none'),
        ('images', 0, dict(file_name='c0/none.png'), r'video, frame \(0, 0\): file_name must be an existing file'),
        ('images', 0, dict(width=31), "image 0: width must be its video's 32, got 31"),
        ('videos', 0, dict(fps='8'), "video 0: fps must be a number of at least 0, got '8'"),
        ('videos', 0, dict(fps=10**400), 'video 0: fps must be a number of at least 0, got 1000'),
        ('videos', 0, dict(file_name=5), 'video 0: file_name must be text, got 5'),
        ('videos', 0, dict(file_name='none.mp4'), 'file_name must be an existing file'),
        ('annotations', 0, dict(instance_id=None), 'annotation 0: instance_id must be a number or text'),
        ('annotations', 2, dict(category_id=7), 'category_id must be 3 as in the other frames of instance 0, got 7'),
        ('annotations', 1, dict(instance_id=0, category_id=3), 'instance_id 0 must stand once in frame 0'),
    ],
)
def test_bad_video_records(clips, section, place, change, rule):
    root, content = clips
    content[section][place].update(change)
    with pytest.raises(DataError, match=rule) as error:
        read_clips(root, content)
    assert str(error.value).startswith(f'{root}/clips.json: ')


@pytest.mark.parametrize(
    ('content', 'rule'),
    [
        ({}, 'videos must be an object'),
        ({'videos': {'c9': {'expressions': {}}}}, r'videos\.c9 must be a video of .*clips\.json'),
        ({'videos': {'c0': {}}}, r'videos\.c0\.expressions must be an object'),
        ({'videos': {'c0': {'expressions': {'0': {'exp': ' ', 'obj_id': '0'}}}}}, r"expressions\.0\.exp .*, got ' '"),
        ({'videos': {'c0': {'expressions': {'0': {'exp': 'a'}}}}}, r'expressions\.0\.obj_id must name an object'),
    ],
)
def test_bad_phrases(clips, content, rule):
    write_json_file(clips[0] / 'meta_expressions.json', content)
    with pytest.raises(DataError, match=rule):
        read_clips(clips[0], words='phrase', expressions='meta_expressions.json')


@pytest.mark.parametrize(
    'options',
    [dict(words='sentence'), dict(words='phrase'), dict(expressions='x.json'), dict(bad_annotations='ignore')],
)
def test_options_out_of_range(clips, options):
    with pytest.raises(ValueError, match=r"must be ('|a file|given)"):
        read_clips(clips[0], **options)


def test_video_file_that_ends_before_its_annotations(tmp_path):
    content = write_clips(tmp_path, video_file=True)
    content['images'] += [{'id': 900 + index, 'video_id': 1, 'frame_id': 6 + index} for index in range(9)]
    source = read_clips(tmp_path, content, pipeline=[dict(type='SampleClip', num_frames=15), *LOAD_CLIP[1:]])
    with pytest.raises(DataError, match=r'clip\.mp4: frame 6 was asked for, the video has 6 frames'):
        source[1]


def test_broken_frame(clips):
    root, _ = clips
    for file in (root / 'c0').iterdir():
        file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(DataError, match=r'c0/0000\d\.png: is no image'):
        read_clips(root, pipeline=LOAD_CLIP)[0]


def test_real_coco(shared_data):
    """mmdet reads the 50 panoptic segments; an independent decode of the file gives the same pixels per word."""
    from pycocotools import mask as coco_mask

    root = shared_data / 'media' / 'coco'
    name = 'panoptic_coco_detection_format.json'
    source = CocoInstancesSource(data_root=str(root), ann_file=name, image_folder='input_images', pipeline=LOAD_IMAGE)
    content = json.loads((root / name).read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    assert len(source) == 2 and len(source.vocabulary) == len(set(names.values()))
    total = 0
    for sample in (source[0], source[1]):
        own = [item for item in content['annotations'] if str(item['image_id']) == sample['video_id']]
        assert [words[0] for words in sample['object_words']] == [names[item['category_id']] for item in own]
        for mask, item in zip(sample['object_masks'], own, strict=True):
            assert int(mask.sum()) == int(coco_mask.area(item['segmentation'])) == item['area']
        total += len(own)
    assert total == 50
