"""Ref-YouTube-VOS in its official layout (youtube-vos.org/dataset/rvos), whole and broken."""

import json

import numpy as np
import pytest

from lavida_mm.datasets import RefYouTubeVOS
from lavida_mm.utils.errors import DataError
from tests.test_datasets.test_sources.video_worlds import NAMES, SHAPE, write_ref_youtube_vos
from tests.test_datasets.worlds import write_json_file

CLIP = [dict(type='SampleClip', num_frames=4), dict(type='LoadClipFrames'), dict(type='LoadPaletteMasks')]
PHRASES = ['a panda that walks down', 'the black and white animal']


@pytest.fixture
def root(tmp_path):
    write_ref_youtube_vos(tmp_path)
    return tmp_path


def read(root, **options):
    return RefYouTubeVOS(data_root=str(root), **dict(pipeline=CLIP) | options)


def change_expressions(root, change):
    file = root / 'meta_expressions/train/meta_expressions.json'
    content = json.loads(file.read_text())
    change(content['videos'])
    write_json_file(file, content)


def test_reads_frames_masks_and_phrases(root):
    source = read(root)
    assert source.vocabulary == [*PHRASES, 'a man']  # a phrase that differs in case alone is the same
    assert source.counts() == dict(videos=2, objects=2, phrases=4)
    assert RefYouTubeVOS.PUBLISHED[source.split].keys() == source.counts().keys()
    clip = source[0]
    assert clip['frames'].shape == (4, *SHAPE, 3) and clip['frames'][:, 0, 0, 0].tolist() == [0, 10, 20, 30]
    assert clip['object_words'] == [PHRASES, []]  # no phrase names the second
    assert clip['object_masks'].sum(axis=(2, 3)).tolist() == [[20] * 4, [0, 0, 9, 9]]
    assert np.flatnonzero(clip['object_masks'][0, 3].any(axis=1)).tolist() == [5, 6, 7, 8]
    assert source[1]['object_words'] == [['a man']]


def test_categories_that_are_present_are_no_distractors(root):
    expose = dict(type='PseudoAnomalySampler', anomaly_ratio=0.0, max_categories=9)
    source = read(root, extra_words=['person', 'Giant panda', 'cat'], pipeline=[*CLIP, expose])
    seen = {word for _ in range(20) for word in source[0]['categories']}
    assert seen == {'a man', 'cat'}


def test_only_phrases_make_targets(root):
    expose = dict(type='PseudoAnomalySampler', anomaly_ratio=1.0, max_categories=9)
    source = read(root, pipeline=[*CLIP, expose])
    for _ in range(20):
        sample = source[0]
        assert sample['gt_masks'].sum(axis=(1, 2)).tolist() == [20] * 4  # the panda's, never the person's
        assert sample['gt_category_labels'].sum() == 1


def test_a_phrase_of_two_objects_means_both(root):
    twins = {str(place): {'exp': 'a twin', 'obj_id': number} for place, number in enumerate(('1', '2', 1))}
    change_expressions(root, lambda videos: videos['0a1b'].update(expressions=twins))
    expose = dict(type='PseudoAnomalySampler', anomaly_ratio=1.0, max_categories=9)
    source = read(root, pipeline=[*CLIP, expose])
    assert source[0]['gt_masks'].sum(axis=(1, 2)).tolist() == [20, 20, 29, 29]
    assert source.counts() == dict(videos=2, objects=3, phrases=4)


def test_reads_no_disk_before_full_init(tmp_path):
    source = read(tmp_path, lazy_init=True)
    assert [path.relative_to(tmp_path).as_posix() for path in source.index_files()] == [
        'meta_expressions/train/meta_expressions.json',
        'train/meta.json',
        'train/JPEGImages',
        'train/Annotations',
    ]


EXPRESSIONS = {
    'empty phrase list': ({}, r'videos\.0a1b\.expressions must hold at least one phrase'),
    'no phrase list': (None, r'videos\.0a1b\.expressions must be an object, got None'),
    'blank phrase': (
        {'0': {'exp': ' ', 'obj_id': '1'}},
        r"videos\.0a1b\.expressions\.0\.exp must be a phrase, got ' '",
    ),
    'no record': ({'0': 'a man'}, r'expressions\.0\.exp must be a phrase, got None'),
    'unknown object': ({'0': {'exp': 'a', 'obj_id': '3'}}, r"0\.obj_id must be one of the objects \[1, 2\], got '3'"),
    'no object': ({'0': {'exp': 'a'}}, r'0\.obj_id must be the number of an object, 1\.\.254, got None'),
    'object that is no number': ({'0': {'exp': 'a', 'obj_id': True}}, r'must be the number of an object, .*got True'),
}


@pytest.mark.parametrize('case', EXPRESSIONS)
def test_bad_phrases(root, case):
    expressions, message = EXPRESSIONS[case]
    change_expressions(root, lambda videos: videos['0a1b'].update(expressions=expressions))
    with pytest.raises(DataError, match=message) as error:
        read(root)
    assert str(error.value).startswith(f'{root}/meta_expressions/train/meta_expressions.json: ')
    source = read(root, bad_annotations='skip')
    assert len(source) == 1 and source[0]['video_id'] == 'ff00'
    assert source.counts() == dict(videos=1, objects=1, phrases=1) and source.vocabulary == ['a man']


def test_a_bad_phrase_among_good_ones_is_left_out_alone(root):
    change_expressions(root, lambda videos: videos['0a1b']['expressions'].update({'1': {'exp': 'b', 'obj_id': '9'}}))
    source = read(root, bad_annotations='skip')
    assert source[0]['object_words'] == [PHRASES[:1], []] and source.counts()['phrases'] == 3


@pytest.mark.parametrize(
    ('frames', 'message'),
    [
        ([], r'videos\.0a1b\.frames must be a list of at least one name, got \[\]'),
        (None, 'frames must be a list of at least one name, got None'),
        ([0, 5], r'frames must be a list of at least one name, got \[0, 5\]'),
        ([*NAMES, '00020'], r"Annotations/0a1b: frame '00020' must have a mask"),
    ],
)
def test_bad_frames(root, frames, message):
    change_expressions(root, lambda videos: videos['0a1b'].update(frames=frames))
    with pytest.raises(DataError, match=message):
        read(root)


def test_videos_and_objects_come_from_the_file_of_objects(root):
    change_expressions(root, lambda videos: videos.update(new=videos['ff00']))
    with pytest.raises(DataError, match=r'meta_expressions\.json: videos\.new must be a video of .*train/meta\.json'):
        read(root)
    assert len(read(root, bad_annotations='skip')) == 2
    file = root / 'train/meta.json'
    content = json.loads(file.read_text())
    content['videos']['0a1b']['objects'] = {}
    write_json_file(file, content)
    with pytest.raises(DataError, match=r'train/meta\.json: videos\.0a1b\.objects must hold at least one object'):
        read(root)
    assert len(read(root, bad_annotations='skip')) == 1
    file.unlink()
    with pytest.raises(DataError, match=r'train/meta\.json: No such file'):
        read(root)
