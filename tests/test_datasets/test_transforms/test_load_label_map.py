import numpy as np
import pytest
from PIL import Image

from lavida_mm.datasets import LoadLabelMap, ResizeFrames
from lavida_mm.datasets.transforms.load_label_map import read_label_map, split_label_map
from lavida_mm.utils.errors import DataError

IDS = np.array([[0, 1, 1, 2], [0, 1, 3, 3], [255, 255, 3, 3]], np.uint8)


def write(path, pixels, mode=None):
    image = Image.fromarray(pixels)
    if mode == 'P':
        image.putpalette([value for value in range(256) for _ in 'RGB'])
    image.save(path)
    return str(path)


def results_of(file, shape=(3, 4), num_frames=1, **more):
    return dict(
        label_file=file,
        label_words={0: ['sky'], 1: ['car', 'auto'], 2: ['dog'], 3: ['road']},
        target_words={2: ['dog'], 1: ['car'], 9: ['cat']},
        ignored_ids=[255],
        frames=np.zeros((num_frames, *shape, 3), np.uint8),
        ori_shape=shape,
        **more,
    )


@pytest.mark.parametrize('mode', ['L', 'P'])
def test_one_object_per_target_and_all_names_present(tmp_path, mode):
    found = LoadLabelMap().transform(results_of(write(tmp_path / 'm.png', IDS, mode), num_frames=2))
    assert found['object_words'] == [['dog'], ['car']]
    assert found['object_masks'].shape == (2, 2, 3, 4) and found['object_masks'].dtype == bool
    for frame in (0, 1):
        assert np.argwhere(found['object_masks'][0, frame]).tolist() == [[0, 3]]
        assert np.argwhere(found['object_masks'][1, frame]).tolist() == [[0, 1], [0, 2], [1, 1]]
    assert found['present_words'] == ['sky', 'car', 'auto', 'dog', 'road']
    assert found.keys() == {'frames', 'ori_shape', 'object_masks', 'object_words', 'present_words'}


def test_a_map_of_no_target(tmp_path):
    found = LoadLabelMap().transform(results_of(write(tmp_path / 'm.png', np.full((3, 4), 3, np.uint8))))
    assert found['object_masks'].shape == (0, 1, 3, 4) and found['object_words'] == []
    assert found['present_words'] == ['road']


def test_colour_maps_spell_ids(tmp_path):
    """The ids are those of COCO's own id2rgb: 1 + 2 * 256 + 3 * 65536 = 197121."""
    colours = np.zeros((3, 4, 3), np.uint8)
    colours[0, 0] = (1, 2, 3)
    colours[2, 3] = (255, 255, 255)
    ids = read_label_map(write(tmp_path / 'm.png', colours), rgb_ids=True)
    assert ids[0, 0] == 197121 and ids[2, 3] == 2**24 - 1 and (ids == 0).sum() == 10
    results = results_of(str(tmp_path / 'm.png'))
    results.update(label_words={197121: ['a'], 2**24 - 1: ['b']}, target_words={2**24 - 1: ['b']}, ignored_ids={0})
    found = LoadLabelMap(rgb_ids=True).transform(results)
    assert found['object_words'] == [['b']] and np.argwhere(found['object_masks'][0, 0]).tolist() == [[2, 3]]


def test_reducing_before_or_after_gives_the_same_masks(tmp_path):
    """The order spares memory, no more; a class that loses its last pixel stays a present word."""
    rng = np.random.default_rng(0)
    ids = np.kron(rng.integers(0, 3, (6, 8)), np.ones((4, 4))).astype(np.uint8)
    ids[0, 1] = 3
    file, resize = write(tmp_path / 'm.png', ids), ResizeFrames(scale=(8, 12))
    before = LoadLabelMap().transform(resize.transform(results_of(file, ids.shape)))
    after = resize.transform(LoadLabelMap().transform(results_of(file, ids.shape)))
    assert before['object_masks'].shape == (2, 1, 8, 12) and before['object_masks'].any(axis=(1, 2, 3)).all()
    assert np.array_equal(before['object_masks'], after['object_masks'])
    assert before['present_words'] == after['present_words'] == ['sky', 'car', 'auto', 'dog', 'road']
    results = results_of(file, ids.shape)
    results['target_words'] = {3: ['road']}
    lost = LoadLabelMap().transform(resize.transform(results))
    assert lost['object_words'] == [] and 'road' in lost['present_words']


def test_split_keeps_the_order_of_the_words():
    masks, words = split_label_map(IDS, {3: ['road'], 7: ['sea'], 0: ['sky']})
    assert words == [['road'], ['sky']]
    assert masks.sum(axis=(1, 2)).tolist() == [4, 2]


@pytest.mark.parametrize(
    ('pixels', 'rgb_ids', 'message'),
    [
        (np.zeros((3, 4, 3), np.uint8), False, "must be a palette or gray image of 8 bits, got mode 'RGB'"),
        (np.zeros((3, 4), np.uint16), False, 'must be a palette or gray image of 8 bits, got mode'),
        (IDS, True, "must be a colour image that spells ids .*, got mode 'L'"),
        (np.zeros((3, 5), np.uint8), False, 'is 3 x 5 pixels, its image 3 x 4'),
        (np.full((3, 4), 8, np.uint8), False, 'shows id 8, which must be one of the 4 with a name, or be ignored'),
    ],
)
def test_maps_of_the_wrong_kind(tmp_path, pixels, rgb_ids, message):
    with pytest.raises(DataError, match=r'm\.png: ' + message):
        LoadLabelMap(rgb_ids=rgb_ids).transform(results_of(write(tmp_path / 'm.png', pixels)))


@pytest.mark.parametrize('damage', [lambda data: data[:60], lambda data: b'', lambda data: data[:-30], lambda _: None])
def test_maps_that_cannot_be_read(tmp_path, damage):
    rng = np.random.default_rng(0)
    path = tmp_path / 'm.png'
    data = damage((write(path, rng.integers(0, 4, (40, 40), dtype=np.uint8)), path.read_bytes())[1])
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(DataError, match=r'm\.png: is no label map that can be read'):
        LoadLabelMap().transform(results_of(str(path), (40, 40)))
