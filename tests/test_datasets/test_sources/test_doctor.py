"""The doctor of sources opens what a training would meet sooner or later, and survives it."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from lavida_mm.datasets.sources.doctor import check_source
from tests.test_datasets.worlds import write_clips, write_images

READ = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_mask=True),
    dict(type='LoadImageObjects'),
]
CLIP = [dict(type='SampleClip', num_frames=1), dict(type='LoadClipFrames'), dict(type='LoadClipObjects')]
PLAIN = [dict(type='SampleClip', num_frames=1), dict(type='LoadClipFrames'), dict(type='LoadForegroundMasks')]


def images(root):
    return dict(type='CocoInstancesSource', data_root=str(root), ann_file='instances.json', pipeline=READ)


def clips(root):
    return dict(type='CocoVidSource', data_root=str(root), ann_file='clips.json', pipeline=CLIP)


def change(file, edit):
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_whole_sources_are_found(tmp_path):
    write_images(tmp_path / 'a')
    write_clips(tmp_path / 'b')
    for config in (images(tmp_path / 'a'), clips(tmp_path / 'b')):
        report = check_source('d', config, deep=True)
        assert report.ok and not report.faults and report.num_opened > 0, report.faults


def test_a_far_polygon_is_a_fault_and_no_crash(tmp_path):
    """pycocotools walks along every edge of it in 32 bits."""
    write_images(tmp_path)
    far = [[0, 0, 1e9, 0, 1e9, 1e9, 0, 1e9]]
    change(tmp_path / 'instances.json', lambda content: content['annotations'][0].update(segmentation=far))
    report = check_source('d', images(tmp_path), deep=True)
    assert report.state == 'broken' and 'a polygon must stay within' in report.faults[0]


def test_run_lengths_of_every_frame_are_read(tmp_path):
    write_clips(tmp_path)

    def spoil(content):
        last = content['annotations'][-1]
        size = [content['videos'][0]['height'], content['videos'][0]['width']]
        last['segmentation'] = dict(size=size, counts=[1, 2, 3])

    change(tmp_path / 'clips.json', spoil)
    report = check_source('d', clips(tmp_path), deep=True)
    assert report.state == 'broken' and any('must sum to' in fault for fault in report.faults), report.faults


def test_every_mask_of_a_folder_is_opened(tmp_path):
    for folder in ('videos/v', 'masks/v'):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(6):
        cv2.imwrite(str(tmp_path / f'videos/v/{number}.png'), np.full((8, 8, 3), number, np.uint8))
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(tmp_path / f'masks/v/{number}.png')
    config = dict(type='PlainVideoSource', data_root=str(tmp_path / 'videos'), mask_folder='../masks', pipeline=PLAIN)
    assert check_source('d', config, deep=True).ok
    for number in range(1, 6):
        file = tmp_path / f'masks/v/{number}.png'
        data = bytearray(file.read_bytes())
        data[40] ^= 0xFF  # a damaged chunk: Pillow calls that a SyntaxError
        file.write_bytes(data)
    report = check_source('d', config, deep=True)
    assert report.num_faults >= 5 and all('masks/v' in fault for fault in report.faults), report.faults


def test_what_is_on_disk_counts_and_not_what_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr('lavida_mm.datasets.sources.base_source.CACHE_FROM', 1)
    monkeypatch.setenv('LAVIDA_MM_CACHE', str(tmp_path / 'cache'))
    write_images(tmp_path / 'a')
    assert check_source('d', images(tmp_path / 'a')).ok
    assert not (tmp_path / 'cache').exists()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ('bus', "extra_words must be a list of words, got 'bus'"),
        (['', 'dog'], "extra_words must hold words that are not blank, got ''"),
        ([1], 'extra_words must hold words that are not blank, got 1'),
        (['Dog', 'dog'], "extra_words must name each word once, got 'dog' twice"),
    ],
)
def test_extra_words_are_words(tmp_path, words, message):
    write_images(tmp_path)
    with pytest.raises(ValueError, match=message):
        check_source('d', dict(images(tmp_path), extra_words=words))


def test_an_image_that_does_not_decode_is_named(tmp_path):
    write_images(tmp_path)
    file = sorted((tmp_path / 'images').iterdir())[0]
    file.write_bytes(b'')
    report = check_source('d', images(tmp_path), deep=True)
    assert report.num_faults >= 1 and all(file.name in fault for fault in report.faults), report.faults
