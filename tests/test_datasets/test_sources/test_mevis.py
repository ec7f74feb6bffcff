"""MeViS in its official layout (github.com/henghuiding/MeViS), whole and broken."""

import numpy as np
import pytest

from lavida_mm.datasets import MeViS
from lavida_mm.utils.errors import DataError
from tests.test_datasets.test_sources.video_worlds import SHAPE, encode_box, write_frames, write_mevis
from tests.test_datasets.worlds import write_json_file

CLIP = [dict(type='SampleClip', num_frames=4), dict(type='LoadClipFrames'), dict(type='LoadClipObjects')]
AWAY, TWO, LAST, CAT = 'The bird flying away', 'two birds', 'bird that comes last', 'a cat that leaves'


@pytest.fixture
def world(tmp_path):
    return tmp_path, *write_mevis(tmp_path)


def read(root, meta=None, masks=None, **options):
    if meta is not None:
        write_json_file(root / 'train/meta_expressions.json', meta)
    if masks is not None:
        write_json_file(root / 'train/mask_dict.json', masks)
    return MeViS(data_root=str(root), **dict(pipeline=CLIP) | options)


def box(top, left, height, width):
    mask = np.zeros(SHAPE, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def test_reads_frames_masks_and_phrases(world):
    source = read(world[0])
    assert source.vocabulary == [AWAY, TWO, LAST, CAT]
    assert source.counts() == dict(videos=2, objects=3, phrases=5)
    assert MeViS.PUBLISHED[source.split].keys() <= source.counts().keys()
    clip = source[0]
    assert clip['frames'].shape == (4, *SHAPE, 3) and clip['frames'][:, 0, 0, 0].tolist() == [0, 10, 20, 30]
    assert clip['object_words'] == [[AWAY, TWO], [TWO, LAST]]
    first, second = clip['object_masks']
    assert np.array_equal(first, [box(2 + place, 3, 4, 5) for place in range(4)])
    assert np.array_equal(second, [box(0, 0, 0, 0), box(0, 0, 0, 0), box(12, 12, 3, 3), box(12, 13, 3, 3)])
    assert source[1]['object_words'] == [[CAT]]
    assert source[1]['object_masks'].sum(axis=(2, 3)).tolist() == [[4, 0, 0, 0]]


def test_a_phrase_of_several_objects_means_all_of_them(world):
    expose = dict(type='PseudoAnomalySampler', anomaly_ratio=1.0, max_categories=3)
    source = read(world[0], pipeline=[*CLIP, expose])
    areas = {AWAY: [20, 20, 20, 20], TWO: [20, 20, 29, 29], LAST: [0, 0, 9, 9]}
    seen = set()
    for _ in range(40):
        sample = source[0]
        target = sample['categories'][int(sample['gt_category_labels'].argmax())]
        assert sample['gt_masks'].sum(axis=(1, 2)).tolist() == areas[target]
        assert sample['gt_frame_labels'].tolist() == [int(area > 0) for area in areas[target]]
        seen.add(target)
    assert seen == {AWAY, TWO, LAST}


def test_phrases_beyond_the_first_are_present_but_no_targets(world):
    source = read(world[0], max_phrases=1)
    assert source[0]['object_words'] == [[AWAY], []] and source.vocabulary == [AWAY, TWO, LAST, CAT]
    expose = dict(type='PseudoAnomalySampler', anomaly_ratio=0.5, max_categories=5)
    source = read(world[0], max_phrases=1, pipeline=[*CLIP, expose])
    assert {word for _ in range(30) for word in source[0]['categories']} == {AWAY, CAT}
    assert source.counts()['phrases'] == 5


def test_phrases_that_name_no_object_are_distractors_of_their_own_video(world):
    root, meta, _ = world
    meta['videos']['ff7e']['expressions']['1'] = {'exp': 'a dog that barks', 'obj_id': [], 'anno_id': []}
    expose = dict(type='PseudoAnomalySampler', anomaly_ratio=0.0, max_categories=9)
    source = read(root, meta, pipeline=[*CLIP, expose])
    assert source.counts()['phrases'] == 6 and source.vocabulary[-1] == 'a dog that barks'
    assert {word for _ in range(30) for word in source[1]['categories']} == {AWAY, TWO, LAST, 'a dog that barks'}


def test_an_item_holds_the_run_lengths_of_its_own_objects(world):
    item = read(world[0], pipeline=[])[1]
    assert [target['masks'] for target in item['objects']] == [{0: encode_box(1, 1, 2, 2)}]


def test_the_file_of_the_phrases_is_a_choice(world):
    root, meta, _ = world
    meta['videos'].pop('ff7e')
    write_json_file(root / 'train/meta_expressions_v2.json', meta)
    assert len(read(root, expressions='meta_expressions_v2.json')) == 1


def test_reads_no_disk_before_full_init(tmp_path):
    source = read(tmp_path, lazy_init=True)
    train = tmp_path / 'train'
    assert source.index_files() == [train / 'meta_expressions.json', train / 'mask_dict.json', train / 'JPEGImages']


EXPRESSIONS = {
    'empty phrase list': ({}, r'videos\.0ab4\.expressions must hold at least one phrase'),
    'blank phrase': ({'0': {'exp': '', 'obj_id': [0], 'anno_id': [10]}}, r"0\.exp must be a phrase, got ''"),
    'unknown object': (
        {'0': {'exp': 'a', 'obj_id': [0], 'anno_id': [99]}},
        r'0\.anno_id: 99 must be a key in .*mask_dict\.json',
    ),
    'one number': ({'0': {'exp': 'a', 'obj_id': 0, 'anno_id': 10}}, r'0\.obj_id must be a list of numbers, got 0'),
    'no masks named': ({'0': {'exp': 'a', 'obj_id': [0]}}, r'0\.anno_id must be a list of numbers, got None'),
    'lists of two lengths': (
        {'0': {'exp': 'a', 'obj_id': [0], 'anno_id': [10, 11]}},
        r'0\.anno_id must be one per obj_id, got 2 for 1',
    ),
}


@pytest.mark.parametrize('case', EXPRESSIONS)
def test_bad_phrases(world, case):
    root, meta, _ = world
    expressions, message = EXPRESSIONS[case]
    meta['videos']['0ab4']['expressions'] = expressions
    with pytest.raises(DataError, match=message) as error:
        read(root, meta)
    assert str(error.value).startswith(f'{root}/train/meta_expressions.json: ') and '\n' not in str(error.value)
    source = read(root, bad_annotations='skip')
    assert len(source) == 1 and source[0]['video_id'] == 'ff7e' and source.vocabulary == [CAT]


TRACKS = {
    'object that never appears': ([None] * 4, '10 must show its object in at least one frame, got null in 4', []),
    'too short': ([None] * 3, r'anno_id: 10 must be a list of a mask or null for each of 4 frames, got 3', []),
    'no list': (None, r'anno_id: 10 must be a list of a mask or null for each of 4 frames, got None', []),
    'another size': (
        [encode_box(1, 1, 2, 2), encode_box(1, 1, 2, 2, (8, 8)), None, None],
        r"10\[1\]: segmentation\.size must be the frame's \[20, 24\], got \[8, 8\]",
        [1],
    ),
    'no counts': (
        [encode_box(1, 1, 2, 2), None, {'size': [20, 24]}, None],
        r'10\[2\]: segmentation\.counts must be a string or a list of run lengths, got None',
        [2],
    ),
    'polygons': ([encode_box(1, 1, 2, 2), [[1, 1, 5, 1, 5, 5]], None, None], r'10\[1\]: must be run lengths', [1]),
    'no size': ([{'counts': 'x'}, encode_box(1, 1, 2, 2), None, None], r'10\[0\]: must be run lengths', [0]),
}


@pytest.mark.parametrize('case', TRACKS)
def test_bad_masks(world, case):
    """With 'skip' frames of a bad mask are never drawn: their object is in sight, no one knows where."""
    root, _, masks = world
    track, message, lost = TRACKS[case]
    masks['10'] = track
    with pytest.raises(DataError, match=message) as error:
        read(root, masks=masks)
    assert str(error.value).startswith(f'{root}/train/') and '\n' not in str(error.value)
    source = read(root, bad_annotations='skip', pipeline=[])
    assert source[0]['frame_ids'] == [frame for frame in range(4) if frame not in lost]
    clip = read(root, bad_annotations='skip')[0]
    if lost or case == 'object that never appears':
        assert clip['object_words'] == ([[AWAY, TWO], [TWO, LAST]] if lost else [[TWO, LAST]])
    else:
        assert clip['object_words'] == [[LAST]]  # one of the two birds alone is not what "two birds" means


@pytest.mark.parametrize('counts', ['0', 'zz', '\u00e9', [1, 2], [2000, -1520]])
def test_wrong_run_lengths_are_named_when_they_are_read(world, counts):
    root, _, masks = world
    masks['10'][2]['counts'] = counts
    source = read(root, masks=masks)
    with pytest.raises(DataError, match=r"mask_dict\.json: annotation '10': segmentation\.counts"):
        source[0]


def test_missing_and_odd_frames(world):
    root, meta, _ = world
    (root / 'train/JPEGImages/0ab4/00001.jpg').unlink()
    with pytest.raises(DataError, match=r"JPEGImages/0ab4: frame '00001' must have an image"):
        read(root)
    assert read(root, bad_annotations='skip', pipeline=[])[0]['frame_ids'] == [0, 2, 3]
    (root / 'train/JPEGImages/0ab4').rename(root / 'train/elsewhere')
    with pytest.raises(DataError, match='JPEGImages/0ab4: no such folder'):
        read(root)
    write_frames(root / 'train/JPEGImages/0ab4', meta['videos']['0ab4']['frames'], shape=(20, 20))
    with pytest.raises(DataError, match=r'is 20 x 20 pixels, its annotation says \(20, 24\)'):
        read(root)[0]
    (root / 'train/JPEGImages/0ab4/00002.jpg').write_bytes(b'no image')
    with pytest.raises(DataError, match=r'00002\.jpg: is no image that can be read'):
        read(root)[0]
    meta['videos']['0ab4']['frames'] = []
    with pytest.raises(DataError, match=r'videos\.0ab4\.frames must be a list of at least one name'):
        read(root, meta)


def test_files_that_are_no_index(world):
    with pytest.raises(DataError, match=r'mask_dict\.json: must hold an object, got list'):
        read(world[0], masks=[])
    (world[0] / 'train/mask_dict.json').write_text('{"10": [')
    with pytest.raises(DataError, match=r'mask_dict\.json: is no whole JSON file'):
        read(world[0])


def test_bad_argument():
    with pytest.raises(ValueError, match='max_phrases must be at least 1, or None, got 0'):
        MeViS(max_phrases=0)
