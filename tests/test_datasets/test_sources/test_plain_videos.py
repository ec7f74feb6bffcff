import cv2
import numpy as np
import pytest

from lavida_mm.datasets import PlainVideoSource
from lavida_mm.utils.errors import DataError
from tests.videos import red_square_frames, write_video

LOADING = [
    dict(type='SampleClip', num_frames=3),
    dict(type='LoadClipFrames', backend='pyav'),
    dict(type='LoadForegroundMasks'),
]


@pytest.fixture
def footage(tmp_path):
    """A video file of 5 frames, and in a folder below a folder of 4 images."""
    root = tmp_path / 'normal'
    (root / 'gate' / 'monday').mkdir(parents=True)
    write_video(root / 'yard.mp4', red_square_frames(5), fps=8)
    for number, frame in enumerate(red_square_frames(4, 24, 40)):
        cv2.imwrite(str(root / 'gate' / 'monday' / f'{number + 8}.png'), frame)  # 8, 9, 10, 11
    return root


def write_masks(folder, names):
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        mask = np.zeros((32, 32), np.uint8) if len(names) == 5 else np.zeros((24, 40), np.uint8)
        mask[number] = 255
        cv2.imwrite(str(folder / f'{name}.png'), mask)


def test_video_files_and_folders_of_images_are_videos(footage):
    source = PlainVideoSource(data_root=str(footage), normal_words=['person', 'red  car'], pipeline=LOADING)
    assert [(info['video_id'], info['num_frames'], info['fps']) for info in map(source.get_data_info, range(2))] == [
        ('gate/monday', 4, 0.0),
        ('yard', 5, 8.0),
    ]
    assert source.counts() == dict(videos=2, frames=9) and source.index_files() == [footage]
    for item in source:
        assert item['source'] == 'plain_videos' and item['vocabulary'] == []
        assert item['present_words'] == ['person', 'red car']
        assert item['object_masks'].shape == (0, *item['frames'].shape[:3]) and item['object_words'] == []
        assert len(item['frames']) == 3 and item['frames'].shape[1:3] == item['ori_shape']


def test_frames_are_those_of_the_video(footage):
    source = PlainVideoSource(data_root=str(footage), pipeline=[*LOADING])
    frames = np.stack(red_square_frames(5)).astype(int)
    for item in (source[1] for _ in range(5)):
        assert np.abs(item['frames'].astype(int) - frames[item['frame_inds']]).max() < 12  # compressed


def test_masks_are_no_videos(footage):
    write_masks(footage / 'masks' / 'gate' / 'monday', ['8', '9', '10', '11'])
    source = PlainVideoSource(data_root=str(footage), mask_folder='masks', pipeline=LOADING)
    assert source.index_files() == [footage, footage / 'masks']
    item = source[0]
    for frame, index in zip(item['object_masks'][0], item['frame_inds'], strict=True):
        assert frame[index].all() and frame.sum() == 40
    assert source[1]['object_masks'].shape[0] == 0  # yard has none


def test_masks_of_a_video_file_follow_its_frames(footage):
    write_masks(footage / 'masks' / 'yard', [f'{number:04d}' for number in range(5)])
    item = PlainVideoSource(data_root=str(footage), mask_folder='masks', pipeline=LOADING)[1]
    assert all(frame[index].all() for frame, index in zip(item['object_masks'][0], item['frame_inds'], strict=True))


def cut_video(root):
    (root / 'yard.mp4').write_bytes((root / 'yard.mp4').read_bytes()[:-200])


BROKEN = {
    'a video that is cut short': (cut_video, r'yard\.mp4: '),
    'a file that is no video': (lambda root: (root / 'yard.mp4').write_bytes(b'text, no video'), r'yard\.mp4: '),
    'an empty file': (lambda root: (root / 'yard.mp4').write_bytes(b''), r'yard\.mp4: the file is empty'),
    'an image that is none': (
        lambda root: (root / 'gate/monday/8.png').write_bytes(b'x'),
        r'8\.png: is no image that can be read',
    ),
    'a mask too few': (
        lambda root: write_masks(root / 'masks' / 'yard', ['0', '1', '2', '3']),
        r'masks/yard: must hold a mask for each of the 5 frames of .*yard\.mp4, has 4',
    ),
    'a mask of another name': (
        lambda root: write_masks(root / 'masks' / 'gate/monday', ['8', '9', '10', '12']),
        r"12\.png: must be named like the frame '11' of .*gate/monday",
    ),
}


@pytest.mark.parametrize('case', BROKEN)
def test_a_broken_video_is_an_error_or_is_left_out(footage, case):
    damage, message = BROKEN[case]
    (footage / 'masks').mkdir()
    damage(footage)
    masks = 'masks' if 'mask' in case else None
    with pytest.raises(DataError, match=message):
        PlainVideoSource(data_root=str(footage), mask_folder=masks)
    if masks:  # with none left at all, it would be an error again
        other, names = ('yard', '01234') if 'name' in case else ('gate/monday', ['8', '9', '10', '11'])
        write_masks(footage / 'masks' / other, names)
    assert len(PlainVideoSource(data_root=str(footage), mask_folder=masks, bad_annotations='skip')) == 1


def test_two_videos_of_one_name(footage):
    write_video(footage / 'yard.avi', red_square_frames(3), codec='mpeg4')
    with pytest.raises(DataError, match=r"yard\.mp4: has the name 'yard' of .*yard\.avi"):
        PlainVideoSource(data_root=str(footage))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(data_root='nowhere'), r'nowhere: .*must be an existing folder'),
        (dict(data_root='empty'), r'empty: holds no video'),
        (dict(data_root='empty', bad_annotations='skip'), r"empty: source 'plain_videos' holds no sample"),
        (dict(mask_folder='../nowhere'), r'nowhere: mask_folder .* must be an existing folder'),
        (dict(mask_folder='../empty'), r'empty: must hold a folder of masks named like a video of'),
    ],
)
def test_folders_that_hold_nothing(footage, monkeypatch, changes, message):
    monkeypatch.chdir(footage.parent)
    (footage.parent / 'empty').mkdir()
    with pytest.raises(DataError, match=message):
        PlainVideoSource(**{'data_root': 'normal', **changes})


@pytest.mark.parametrize('words', [['car', ' Car'], [' '], 'car'])
def test_bad_normal_words(footage, words):
    with pytest.raises(ValueError, match='normal_words must'):
        PlainVideoSource(data_root=str(footage), normal_words=words)
