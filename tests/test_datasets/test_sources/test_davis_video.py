import cv2
import numpy as np
import pytest
from PIL import Image

from lavida_mm.datasets import DavisVideoSource
from lavida_mm.utils.errors import DataError

LOAD = [dict(type='LoadClipFrames'), dict(type='LoadPaletteMasks')]
WORDS = {'v': {'1': ['red dog'], 2: ['boy', 'child']}}


@pytest.fixture
def root(tmp_path):
    """Four frames, of which 1 and 3 have masks: object 1 in both, object 2 in the second only."""
    for folder in ('images/v', 'masks/v'):
        (tmp_path / folder).mkdir(parents=True)
    for index in range(4):
        cv2.imwrite(str(tmp_path / f'images/v/{index:03d}.jpg'), np.full((20, 24, 3), 10 * index, np.uint8))
    for index in (1, 3):
        write_mask(tmp_path, index)
    return tmp_path


def write_mask(root, index, width=24, extra=0):
    ids = np.zeros((20, width), np.uint8)
    ids[2:6, 2:6] = 1
    if index == 3:
        ids[10:14, 10:14] = 2
    ids[0, 0] = extra
    image = Image.fromarray(ids)
    image.putpalette([value for value in range(256) for _ in 'RGB'])
    image.save(root / f'masks/v/{index:03d}.png')


def read(root, num_frames=2, **options):
    clip = dict(type='SampleClip', num_frames=num_frames)
    return DavisVideoSource(data_root=str(root), **dict(words=WORDS, pipeline=[clip, *LOAD]) | options)


def test_only_frames_with_a_mask_are_drawn(root):
    source = read(root)
    clip = source[0]
    assert len(source) == 1 and source.vocabulary == ['red dog', 'boy', 'child']
    assert clip['frame_inds'].tolist() == [1, 3]
    assert clip['frames'][:, 0, 0, 0].tolist() == [10, 30]
    assert clip['object_words'] == [['red dog'], ['boy', 'child']]
    assert clip['object_masks'].sum(axis=(2, 3)).tolist() == [[16, 16], [0, 16]]


def test_words_of_unmarked_objects_are_no_distractors(root):
    expose = dict(type='PseudoAnomalySampler', anomaly_ratio=0.0, max_categories=5)
    source = read(root, extra_words=['cat'], pipeline=[dict(type='SampleClip', num_frames=1), *LOAD, expose])
    assert all(source[0]['categories'] == ['cat'] for _ in range(8))


def test_a_mask_one_pixel_off_is_stretched_and_others_are_errors(root):
    write_mask(root, 1, width=23)
    write_mask(root, 3, extra=255)
    clip = read(root)[0]
    assert clip['object_masks'].shape == (2, 2, 20, 24) and clip['object_masks'][0, 0].sum() >= 16
    write_mask(root, 1, width=20)
    with pytest.raises(DataError, match=r'001\.png: is 20 x 20 pixels, its frame 20 x 24'):
        read(root)[0]


def test_bad_masks(root):
    write_mask(root, 1, extra=7)
    with pytest.raises(DataError, match=r'001\.png: object 7 must have words in the config, which names \[1, 2\]'):
        read(root)[0]
    Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(root / 'masks/v/001.png')
    with pytest.raises(DataError, match="must be a palette or gray image, got mode 'RGB'"):
        read(root)[0]
    (root / 'masks/v/001.png').write_bytes(b'no image')
    with pytest.raises(DataError, match=r'001\.png: is no mask'):
        read(root)[0]
    (root / 'masks/v/001.png').rename(root / 'masks/v/009.png')
    with pytest.raises(DataError, match=r'009\.png: must have an image of its name'):
        read(root)


def test_frames_of_two_sizes(root):
    cv2.imwrite(str(root / 'images/v/003.jpg'), np.zeros((20, 22, 3), np.uint8))
    with pytest.raises(DataError, match=r'003\.jpg: is 20 x 22 pixels, frame 1 of its video 20 x 24|001\.jpg'):
        read(root)[0]


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ({'v': {'one': ['a']}}, r"words\.v must be keyed by the numbers of its objects, 1\.\.254, got 'one'"),
        ({'v': {0: ['a']}}, 'got 0'),
        ({'v': {1: []}}, r'words\.v\.1 must hold at least one word'),
        ({'v': {1: ['a', ' ']}}, r'words\.v\.1 must hold words that are not blank'),
    ],
)
def test_bad_words(root, words, message):
    with pytest.raises(ValueError, match=message):
        read(root, words=words)


def test_missing_folders(root):
    with pytest.raises(DataError, match='images/w: no such folder'):
        read(root, words={'w': {1: ['a']}})
    (root / 'images/w').mkdir()
    with pytest.raises(DataError, match='images/w: the folder holds no image'):
        read(root, words={'w': {1: ['a']}})


def test_real_videos(shared_data):
    """The cutie sample: four masks of judo, each of one new object and one of them a pixel narrower; one of bike."""
    words = {
        'judo': {
            1: ['fighters'],
            2: ['man with his hands behind his back'],
            3: ['man with folded arms'],
            4: ['kneeling man'],
        },
        'bike': {1: ['bicycle'], 2: ['boy']},
    }
    root = shared_data / 'media' / 'cutie'
    source = read(root, words=words, num_frames=4)
    judo, bike = source[0], source[1]
    assert judo['frame_inds'].tolist() == [0, 5, 8, 13] and bike['frame_inds'].tolist() == [0, 0, 0, 0]
    assert judo['frames'].shape == (4, 480, 854, 3)
    for number in range(4):
        assert judo['object_masks'][number].any(axis=(1, 2)).tolist() == [place == number for place in range(4)]
    for number, words in ((1, 'bicycle'), (2, 'boy')):
        ids = np.array(Image.open(root / 'masks' / 'bike' / '00000.png'))
        assert bike['object_words'][number - 1] == [words]
        assert np.array_equal(bike['object_masks'][number - 1, 0], ids == number)
