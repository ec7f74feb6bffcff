"""Ref-DAVIS17 as downloaded and as ReferFormer's converter leaves it, whole and broken."""

import numpy as np
import pytest

from lavida_mm.datasets import RefDAVIS17
from lavida_mm.utils.errors import DataError
from tests.test_datasets.test_sources.video_worlds import SHAPE, write_palette, write_ref_davis, write_ref_youtube_vos
from tests.test_datasets.worlds import write_json_file

CLIP = [dict(type='SampleClip', num_frames=3), dict(type='LoadClipFrames'), dict(type='LoadPaletteMasks')]
CAR = ['a red car', 'a car', 'the man\u2019s car']
DRIVER = ['a driver', 'a man in a car']


@pytest.fixture
def root(tmp_path):
    write_ref_davis(tmp_path)
    return tmp_path


def read(root, **options):
    return RefDAVIS17(data_root=str(root), **dict(pipeline=CLIP) | options)


def test_reads_the_downloads(root):
    source = read(root)
    bear = ['a brown bear', 'a bear walking', 'a bear with \u00e9lan']
    assert source.vocabulary == [*bear, *CAR, *DRIVER]  # each once, koala is no training video
    assert source.counts() == dict(videos=2, objects=3, phrases=10)
    assert RefDAVIS17.PUBLISHED['train'].keys() <= source.counts().keys()
    first, second = source[0], source[1]
    assert first['video_id'] == 'bear' and first['object_words'] == [bear]
    assert first['frames'].shape == (3, *SHAPE, 3) and first['frames'][:, 0, 0, 0].tolist() == [0, 10, 20]
    assert second['object_words'] == [CAR, DRIVER]
    assert second['object_masks'].sum(axis=(2, 3)).tolist() == [[20] * 3, [0, 0, 9]]
    assert np.flatnonzero(second['object_masks'][0, 1].any(axis=1)).tolist() == [3, 4, 5, 6]


def test_text_files_are_a_choice(root):
    source = read(root, text_files=['Davis17_annot1.txt'])
    assert source.vocabulary == ['a brown bear', 'a red car', 'a driver']


def test_reads_the_converted_form(tmp_path):
    write_ref_youtube_vos(tmp_path)
    (tmp_path / 'train/meta.json').unlink()
    source = read(tmp_path, layout='youtube_vos')
    assert source.counts() == dict(videos=2, objects=2, phrases=4)
    assert source[0]['object_words'][0] == ['a panda that walks down', 'the black and white animal']
    assert source.vocabulary == [*source[0]['object_words'][0], 'a man']


def test_words_of_the_video_are_no_distractors(root):
    expose = dict(type='PseudoAnomalySampler', anomaly_ratio=0.0, max_categories=9)
    source = read(root, pipeline=[dict(type='SampleClip', num_frames=1), *CLIP[1:], expose])
    seen = {word for _ in range(20) for word in source[1]['categories']}
    assert seen and not seen & {*CAR, *DRIVER}


def test_objects_without_a_phrase_are_left_out(root):
    for frame in (1, 2):
        write_palette(root / f'DAVIS/Annotations/480p/bear/{frame:05d}.png', {1: (0, 0, 5, 5), 4: (9, 9, 2, 2)})
    clip = read(root)[0]
    assert len(clip['object_words']) == 1 and clip['object_masks'].sum(axis=(2, 3)).tolist() == [[20, 25, 25]]
    assert 'other_objects' not in clip


def test_reads_no_disk_before_full_init(tmp_path):
    source = read(tmp_path, lazy_init=True)
    assert [path.relative_to(tmp_path).as_posix() for path in source.index_files()] == [
        'DAVIS/ImageSets/2017/train.txt',
        'davis_text_annotations/Davis17_annot1.txt',
        'davis_text_annotations/Davis17_annot1_full_video.txt',
        'davis_text_annotations/Davis17_annot2.txt',
        'davis_text_annotations/Davis17_annot2_full_video.txt',
        'DAVIS/JPEGImages/480p',
        'DAVIS/Annotations/480p',
    ]
    with pytest.raises(DataError, match=r'ImageSets/2017/train\.txt: No such file'):
        source.full_init()


def append_text(line):
    def change(root):
        file = root / 'davis_text_annotations/Davis17_annot1.txt'
        file.write_bytes(file.read_bytes() + line)

    return change


def remove(path):
    return lambda root: (root / path).unlink()


BAD = {
    'phrase of an object in no mask': (
        append_text(b'bear 3 "a cub"\n'),
        'bear: phrases must refer to objects that its masks show, got object 3',
    ),
    'object that is no number': (
        append_text(b'bear x "a cub"\n'),
        r"annot1\.txt:5: must be a video, an object 1\.\.254 and a phrase, got 'bear x ",
    ),
    'line without a phrase': (append_text(b'bear 1\n'), r'annot1\.txt:5: must be a video'),
    'empty phrase': (append_text(b'bear 1 " "\n'), r'annot1\.txt:5: must be a video'),
    'frame without its mask': (
        remove('DAVIS/Annotations/480p/bear/00001.png'),
        r"Annotations/480p/bear: frame '00001' must have a mask",
    ),
    'mask without its frame': (
        remove('DAVIS/JPEGImages/480p/bear/00001.jpg'),
        r'00001\.png: must have an image of its name',
    ),
    'unreadable first mask': (
        lambda root: (root / 'DAVIS/Annotations/480p/bear/00000.png').write_bytes(b'no image'),
        r'00000\.png: is no mask that can be read',
    ),
}


@pytest.mark.parametrize('case', BAD)
def test_bad_input(root, case):
    change, message = BAD[case]
    change(root)
    with pytest.raises(DataError, match=message) as error:
        read(root)
    assert '\n' not in str(error.value)
    source = read(root, bad_annotations='skip')
    assert source.counts() == dict(videos=2, objects=3, phrases=10)


def test_videos_without_phrases(root):
    (root / 'DAVIS/ImageSets/2017/train.txt').write_text('bear\nlucia\n')
    with pytest.raises(DataError, match=r'train\.txt: lucia must have at least one phrase in .*davis_text_annotations'):
        read(root)
    assert len(read(root, bad_annotations='skip')) == 1


def test_files_that_are_missing_or_no_text(root):
    videos = root / 'DAVIS/ImageSets/2017/train.txt'
    text = root / 'davis_text_annotations/Davis17_annot2.txt'
    text.write_bytes(b'bear 1 "\x81"')
    with pytest.raises(DataError, match=r'annot2\.txt: must be text in UTF-8 or Windows-1252'):
        read(root)
    text.unlink()
    with pytest.raises(DataError, match=r'annot2\.txt: No such file'):
        read(root)
    videos.write_bytes(b'\xff')
    with pytest.raises(DataError, match=r'train\.txt: '):
        read(root)
    videos.write_text('\n')
    with pytest.raises(DataError, match=r'train\.txt: must name at least one video'):
        read(root)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(layout='official'), "layout must be 'davis' or 'youtube_vos', got 'official'"),
        (dict(text_files=[]), r'text_files must be a list of at least one file, got \[\]'),
        (dict(text_files='a.txt'), "text_files must be a list of at least one file, got 'a.txt'"),
    ],
)
def test_bad_arguments(root, options, message):
    with pytest.raises(ValueError, match=message):
        read(root, **options)


def test_converted_form_without_phrases(tmp_path):
    write_ref_youtube_vos(tmp_path)
    entry = {'expressions': {}, 'frames': ['00000']}
    write_json_file(tmp_path / 'meta_expressions/train/meta_expressions.json', {'videos': {'0a1b': entry}})
    with pytest.raises(DataError, match=r'videos\.0a1b\.expressions must hold at least one phrase'):
        read(tmp_path, layout='youtube_vos')
