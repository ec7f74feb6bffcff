"""COCO panoptic annotations: a miniature by https://cocodataset.org/#format-data, and the real sample."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from lavida_mm.datasets import CocoInstancesSource, CocoPanopticSource
from lavida_mm.datasets.sources.coco_panoptic import plain_stuff_name
from lavida_mm.utils.errors import DataError
from tests.test_datasets.worlds import write_json_file

READ = [dict(type='SampleClip', num_frames=1), dict(type='LoadClipFrames'), dict(type='LoadLabelMap', rgb_ids=True)]
SHAPE = (8, 10)
DOG, OTHER_DOG, WALL = 3, 700, 65540  # (3, 0, 0), (188, 2, 0) and (4, 0, 1)


def colour_map():
    colours = np.zeros((*SHAPE, 3), np.uint8)
    colours[:4] = (4, 0, 1)
    colours[4:6, :2] = (3, 0, 0)
    colours[4:6, 5:8] = (188, 2, 0)
    return colours


def segment(key, category):
    return dict(id=key, category_id=category, area=1, bbox=[0, 0, 1, 1], iscrowd=0)


def write(root):
    for folder in ('images', 'panoptic'):
        (root / folder).mkdir()
    cv2.imwrite(str(root / 'images/a.jpg'), np.full((*SHAPE, 3), 90, np.uint8))
    Image.fromarray(colour_map()).save(root / 'panoptic/a.png')
    content = dict(
        images=[dict(id=5, file_name='a.jpg', height=SHAPE[0], width=SHAPE[1])],
        annotations=[
            dict(
                image_id=5,
                file_name='a.png',
                segments_info=[segment(DOG, 18), segment(OTHER_DOG, 18), segment(WALL, 199), segment(99, 1)],
            )
        ],
        categories=[
            dict(id=1, name='person', supercategory='person', isthing=1, color=[220, 20, 60]),
            dict(id=18, name='dog', supercategory='animal', isthing=1, color=[1, 2, 3], words=['dog', 'hound']),
            dict(id=199, name='wall-other-merged', supercategory='wall', isthing=0, color=[1, 2, 4]),
        ],
    )
    write_json_file(root / 'panoptic.json', content)
    return content


def read(root, content=None, **options):
    if content is not None:
        write_json_file(root / 'panoptic.json', content)
    return CocoPanopticSource(data_root=str(root), ann_file='panoptic.json', **dict(pipeline=READ) | options)


def test_segments_are_objects(tmp_path):
    write(tmp_path)
    source = read(tmp_path, extra_words=['cat'])
    assert source.vocabulary == ['person', 'dog', 'hound', 'wall', 'cat']
    assert source.counts() == dict(images=1, objects=4)
    assert source.index_files() == [tmp_path / 'panoptic.json', tmp_path / 'images', tmp_path / 'panoptic']
    item = source[0]
    assert item['object_words'] == [['dog', 'hound'], ['dog', 'hound'], ['wall']]  # the person has no pixel
    assert item['object_masks'].sum(axis=(1, 2, 3)).tolist() == [4, 6, 40]
    assert np.argwhere(item['object_masks'][0, 0]).tolist() == [[4, 0], [4, 1], [5, 0], [5, 1]]
    assert item['object_masks'][2, 0, :4].all() and set(item['present_words']) == {'dog', 'hound', 'wall'}


def test_stuff_may_be_present_only(tmp_path):
    write(tmp_path)
    source = read(tmp_path, stuff=False)
    assert source.vocabulary == ['person', 'dog', 'hound']
    assert source[0]['object_words'] == [['dog', 'hound'], ['dog', 'hound']] and 'wall' in source[0]['present_words']


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('wall-other-merged', 'wall'),
        ('wall-brick', 'wall brick'),
        ('tree-merged', 'tree'),
        ('door-stuff', 'door'),
        ('dining table', 'dining table'),
    ],
)
def test_names_of_stuff_as_one_would_say_them(name, said):
    assert plain_stuff_name(name) == said


def segments_of(content):
    return content['annotations'][0]['segments_info']


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda found: segments_of(found)[0].update(category_id=7),
            r'segments_info\[0\]\.category_id must name one of',
        ),
        (lambda found: segments_of(found)[1].update(id=DOG), r'segments_info\[1\]\.id must be a unique number, got 3'),
        (lambda found: segments_of(found)[1].pop('id'), r'segments_info\[1\]\.id must be a unique number, got None'),
        (lambda found: segments_of(found).append('dog'), r'segments_info\[4\]\.id must be a unique number, got None'),
        (lambda found: found['annotations'][0].pop('segments_info'), 'segments_info must be a list, got None'),
        (lambda found: found['annotations'][0].update(image_id=6), r'annotations\[0\]\.image_id must name a listed'),
        (lambda found: found['annotations'][0].update(file_name=3), r'annotations\[0\]\.file_name must be text, got 3'),
        (lambda found: found['annotations'].pop(0), 'image 5: must have an annotation'),
        (lambda found: found['annotations'][0].update(file_name='b.png'), 'annotation of image 5: file_name must be'),
        (lambda found: found['images'][0].update(file_name='b.jpg'), 'image 5: file_name must be an existing file'),
    ],
)
def test_bad_annotations_are_refused_or_left_out(tmp_path, change, message):
    content = write(tmp_path)
    content['images'].append(dict(id=8, file_name='a.jpg', height=SHAPE[0], width=SHAPE[1]))
    content['annotations'].append(
        dict(image_id=8, file_name='a.png', segments_info=[segment(key, 1) for key in (DOG, OTHER_DOG, WALL)])
    )
    change(content)
    with pytest.raises(DataError, match=r'panoptic\.json: .*' + message):
        read(tmp_path, content)
    left = read(tmp_path, bad_annotations='skip')
    assert len(left) == 1 and left[0]['video_id'] == '8'


def test_an_image_annotated_twice(tmp_path):
    content = write(tmp_path)
    content['annotations'].append(content['annotations'][0])
    with pytest.raises(DataError, match=r'annotations\[1\]\.image_id must name a listed image, each once, got 5'):
        read(tmp_path, content)


def test_category_names_that_repeat(tmp_path):
    content = write(tmp_path)
    content['categories'][2]['name'] = 'person-other'
    with pytest.raises(DataError, match=r"category names must not repeat, got 'person' for 1 and 199"):
        read(tmp_path, content)


def test_a_map_that_shows_another_segment(tmp_path):
    content = write(tmp_path)
    segments_of(content).pop(1)
    with pytest.raises(DataError, match=r'a\.png: shows id 700'):
        read(tmp_path, content)[0]
    assert read(tmp_path, ignored_ids=[0, 700])[0]['object_words'] == [['dog', 'hound'], ['wall']]
    assert 'cat' not in read(tmp_path, ignored_ids=[0, 700])[0]['present_words']


def test_a_map_of_another_size_than_its_image(tmp_path):
    content = write(tmp_path)
    Image.fromarray(colour_map()[:, 1:]).save(tmp_path / 'panoptic/a.png')
    with pytest.raises(DataError, match=r'a\.png: is 8 x 9 pixels, its image 8 x 10'):
        read(tmp_path, content)[0]


def test_real_sample_as_panoptic_and_as_instances(shared_data):
    """COCO's own sample holds the same segments in both formats: their masks and words must be the same."""
    root = shared_data / 'media' / 'coco'
    panoptic = CocoPanopticSource(
        data_root=str(root),
        ann_file='panoptic_examples.json',
        image_folder='input_images',
        map_folder='panoptic_examples',
        pipeline=READ,
    )
    instances = CocoInstancesSource(
        data_root=str(root),
        ann_file='panoptic_coco_detection_format.json',
        image_folder='input_images',
        pipeline=[
            dict(type='mmdet.LoadImageFromFile'),
            dict(type='mmdet.LoadAnnotations', with_bbox=False, with_label=False, with_mask=True),
            dict(type='LoadImageObjects'),
        ],
    )
    content = json.loads((root / 'panoptic_examples.json').read_text())
    assert panoptic.counts() == dict(images=2, objects=sum(len(a['segments_info']) for a in content['annotations']))
    assert len(panoptic.vocabulary) == 133 and 'sky' in panoptic.vocabulary and 'tree-merged' not in panoptic.vocabulary
    assert panoptic[0]['video_id'] == instances[0]['video_id']
    for index in range(2):
        one, other = panoptic[index], instances[index]
        assert np.array_equal(one['frames'], other['frames'])
        first = {mask.tobytes(): words[0] for mask, words in zip(one['object_masks'], one['object_words'], strict=True)}
        second = {
            mask.tobytes(): plain_stuff_name(words[0])
            for mask, words in zip(other['object_masks'], other['object_words'], strict=True)
        }
        assert first == second and len(first) == len(content['annotations'][index]['segments_info'])
        areas = sorted(segment['area'] for segment in content['annotations'][index]['segments_info'])
        assert sorted(one['object_masks'].sum(axis=(1, 2, 3)).tolist()) == areas
