"""Cityscapes, ADE20K and Mapillary Vistas on miniatures in the official layout."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lavida_mm.datasets import ADE20K, Cityscapes, LabelMapSource, MapillaryVistas
from lavida_mm.datasets.sources.ade20k import BACKGROUND as ADE20K_BACKGROUND
from lavida_mm.datasets.sources.label_map_source import LabelTable, list_files
from lavida_mm.utils.errors import DataError
from tests.test_datasets.worlds import write_json_file

READ = [dict(type='SampleClip', num_frames=1), dict(type='LoadClipFrames'), dict(type='LoadLabelMap')]
HEIGHT, WIDTH = 12, 16


def blocks(**places):
    """A map of ids in blocks of 4 x 4 pixels: ``b12=7`` is id 7 in block row 1, column 2; the rest is ``rest``."""
    ids = np.full((HEIGHT, WIDTH), places.pop('rest'), np.uint8)
    for place, label in places.items():
        row, column = 4 * int(place[1]), 4 * int(place[2])
        ids[row : row + 4, column : column + 4] = label
    return ids


def write_pair(image, label_map, ids, palette=False):
    image.parent.mkdir(parents=True, exist_ok=True)
    label_map.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*ids.shape, 3), 60, np.uint8)
    pixels[:4, :4] = (0, 0, 250)  # BGR: red
    cv2.imwrite(str(image), pixels)
    drawn = Image.fromarray(ids)
    if palette:
        drawn.putpalette([(7 * value) % 256 for value in range(768)])
    drawn.save(label_map)


def write_cityscapes(root):
    """Layout and ids: readme and helpers/labels.py of github.com/mcordts/cityscapesScripts."""
    for city, stem, ids in (
        ('aachen', 'aachen_000000_000019', blocks(rest=7, b00=33, b11=26, b23=19, b02=3)),
        ('aachen', 'aachen_000001_000019', blocks(rest=7, b12=23)),
        ('bochum', 'bochum_000000_000313', blocks(rest=11, b00=33, b01=33, b22=28)),
    ):
        image = root / 'leftImg8bit' / 'train' / city / f'{stem}_leftImg8bit.png'
        folder = root / 'gtFine' / 'train' / city
        write_pair(image, folder / f'{stem}_gtFine_labelIds.png', ids)
        for kind in ('color.png', 'instanceIds.png', 'polygons.json'):
            (folder / f'{stem}_gtFine_{kind}').write_bytes(b'not read')
    return root


OBJECT_INFO = """Idx\tRatio\tTrain\tVal\tName
1\t0.1576\t11664\t1172\twall
2\t0.0878\t8265\t796\tsky
3 \t0.0104\t2149\t217\tcar, auto; machine
4\t0.0015\t139\t18\tscreen door, screen
5\t0.0004\t108\t13\tscreen, silver screen
6\t0.0231\t1906\t199\tbed 
"""  # noqa: W291 -- the owners' file has such blanks


def write_ade20k(root):
    """Layout: readme of github.com/CSAILVision/sceneparsing; the names are some of its objectInfo150.txt."""
    for number, ids in ((1, blocks(rest=1, b00=3, b12=4, b23=0)), (2, blocks(rest=2, b11=5))):
        stem = f'ADE_train_{number:08d}'
        write_pair(root / f'images/training/{stem}.jpg', root / f'annotations/training/{stem}.png', ids)
    (root / 'objectInfo150.txt').write_text(OBJECT_INFO)
    return root


def mapillary_labels(*names):
    return dict(
        labels=[
            dict(color=[1, 2, 3], instances=True, readable=readable, name=name, evaluate=True)
            for name, readable in names
        ],
        version=1.1,
        mapping='public',
        folder_structure='{split}/{content}/{key:.{22}}.{ext}',
    )


LABELS = (
    ('animal--bird', 'Bird'),
    ('construction--flat--road', 'Road'),
    ('object--traffic-sign--back', 'Traffic Sign (Back)'),
    ('void--ego-vehicle', 'Ego Vehicle'),
    ('void--unlabeled', 'Unlabeled'),
)


def write_mapillary(root, label_folder='labels', config='config.json'):
    """Layout and config: the archives' demo.py; pixel values: readme of github.com/mapillary/mapillary_vistas."""
    for stem, ids in (('aaa', blocks(rest=1, b00=2, b13=4, b22=3)), ('bbb', blocks(rest=4, b01=0))):
        write_pair(root / f'training/images/{stem}.jpg', root / f'training/{label_folder}/{stem}.png', ids, True)
    write_json_file(root / config, mapillary_labels(*LABELS))
    return root


SOURCES = {'cityscapes': (Cityscapes, write_cityscapes), 'ade20k': (ADE20K, write_ade20k)}
SOURCES['mapillary'] = (MapillaryVistas, write_mapillary)
BACKGROUND = dict(background_classes=['wall', 'sky'])  # those of the default that the miniature has


def read(kind, root, **options):
    given = dict(BACKGROUND if kind == 'ade20k' else {}, pipeline=READ) | options
    return SOURCES[kind][0](data_root=str(root), **given)


def mask_blocks(item):
    """Which blocks each object covers, by its first word: word -> list of row and column."""
    found = {}
    for words, mask in zip(item['object_words'], item['object_masks'][:, 0], strict=True):
        grid = mask.reshape(HEIGHT // 4, 4, WIDTH // 4, 4)
        assert np.array_equal(grid.all(axis=(1, 3)), grid.any(axis=(1, 3)))  # whole blocks
        found[words[0]] = np.argwhere(grid.any(axis=(1, 3))).tolist()
    return found


def test_cityscapes(tmp_path):
    source = read('cityscapes', write_cityscapes(tmp_path))
    assert source.vocabulary == [
        'traffic light', 'traffic sign', 'terrain', 'truck', 'bus', 'train', 'motorcycle', 'bicycle'
    ]  # fmt: skip
    assert source.counts() == dict(images=3)
    assert source.index_files() == [tmp_path / 'leftImg8bit/train', tmp_path / 'gtFine/train']
    items = {item['video_id']: item for item in (source[index] for index in range(3))}
    first = items['aachen_000000_000019']
    assert first['frames'].shape == (1, HEIGHT, WIDTH, 3) and first['frames'][0, 0, 0].tolist() == [250, 0, 0]
    assert first['frame_inds'].tolist() == [0] and first['ori_shape'] == (HEIGHT, WIDTH)
    assert mask_blocks(first) == {'traffic light': [[2, 3]], 'bicycle': [[0, 0]]}
    assert first['present_words'] == ['road', 'traffic light', 'car', 'bicycle']  # id 3 is void
    assert first['source'] == 'cityscapes' and first['vocabulary'] == source.vocabulary
    assert items['aachen_000001_000019']['object_masks'].shape == (0, 1, HEIGHT, WIDTH)
    assert mask_blocks(items['bochum_000000_000313']) == {'bus': [[2, 2]], 'bicycle': [[0, 0], [0, 1]]}


def test_anomaly_classes_of_cityscapes_are_a_config_value(tmp_path):
    source = read('cityscapes', write_cityscapes(tmp_path), anomaly_classes=['car', 'sky'], extra_words=['train'])
    assert source.vocabulary == ['sky', 'car', 'train']
    assert mask_blocks(source[0]) == {'car': [[1, 1]]}
    void = read('cityscapes', tmp_path, anomaly_classes=['rectification border', 'out of roi'], ignored_ids=[0])
    assert mask_blocks(void[0]) == {'out of roi': [[0, 2]]}
    with pytest.raises(ValueError, match=r"anomaly_classes must be classes of Cityscapes .* got 'zebra'"):
        read('cityscapes', tmp_path, anomaly_classes=['car', 'zebra'])
    with pytest.raises(ValueError, match="not ignored, got 'dynamic'"):
        read('cityscapes', tmp_path, anomaly_classes=['car', 'dynamic'])


def test_ade20k(tmp_path):
    source = read('ade20k', write_ade20k(tmp_path))
    assert source.vocabulary == ['car', 'screen door', 'screen', 'bed']
    assert source.index_files()[0] == tmp_path / 'objectInfo150.txt' and len(source.index_files()) == 3
    first, second = source[0], source[1]
    assert mask_blocks(first) == {'car': [[0, 0]], 'screen door': [[1, 2]]}
    assert first['object_words'] == [['car'], ['screen door']]
    assert first['present_words'] == ['wall', 'car', 'auto', 'machine', 'screen door', 'screen']
    assert mask_blocks(second) == {'screen': [[1, 1]]}
    assert second['present_words'] == ['sky', 'screen', 'silver screen']


def test_synonyms_of_ade20k(tmp_path):
    source = read('ade20k', write_ade20k(tmp_path), synonyms=True, ignored_ids=[0, 4])
    assert source.vocabulary == ['car', 'auto', 'machine', 'screen', 'silver screen', 'bed']
    assert source[0]['object_words'] == [['car', 'auto', 'machine']]
    assert 'screen door' not in source[0]['present_words']


@pytest.mark.parametrize(
    ('version', 'label_folder', 'config', 'options'),
    [
        ('v1.2', 'labels', 'config.json', {}),
        ('v2.0', 'v2.0/labels', 'config_v2.0.json', {}),
        ('v1.2', 'v1.2/labels', 'config_v1.2.json', dict(label_folder='v1.2/labels', config_file='config_v1.2.json')),
    ],
)
def test_mapillary(tmp_path, version, label_folder, config, options):
    source = read('mapillary', write_mapillary(tmp_path, label_folder, config), version=version, **options)
    assert source.vocabulary == ['bird', 'road', 'traffic sign (back)']
    assert source.index_files()[0] == tmp_path / config
    first = source[0]
    assert mask_blocks(first)['traffic sign (back)'] == [[0, 0]] and len(mask_blocks(first)['road']) == 9
    assert first['present_words'] == ['road', 'traffic sign (back)']
    assert mask_blocks(source[1]) == {'bird': [[0, 1]]} and source[1]['present_words'] == ['bird']


def test_ignored_and_background_classes_of_mapillary(tmp_path):
    source = read('mapillary', write_mapillary(tmp_path), ignored_ids=[4], background_classes=['road'])
    assert source.vocabulary == ['bird', 'traffic sign (back)', 'ego vehicle']
    assert mask_blocks(source[0]) == {'traffic sign (back)': [[0, 0]], 'ego vehicle': [[2, 2]]}
    assert 'road' in source[0]['present_words']


@pytest.mark.parametrize('kind', SOURCES)
def test_prompts_never_name_what_the_map_shows(tmp_path, kind):
    """The whole way to packed samples: positives name one visible class, negatives none."""
    expose = [dict(type='PseudoAnomalySampler', max_categories=6), dict(type='PackVADInputs')]
    source = read(kind, SOURCES[kind][1](tmp_path), pipeline=[*READ, *expose], extra_words=['zebra'])
    bare = read(kind, tmp_path, extra_words=['zebra'])
    visible = {bare[index]['video_id']: set(bare[index]['present_words']) for index in range(len(bare))}
    seen = set()
    np.random.seed(0)
    for index in [0, 1] * 10:
        packed = source[index]
        sample = packed['data_samples']
        named = visible[sample.video_id] & set(sample.categories)
        assert packed['inputs'].shape == (1, 3, HEIGHT, WIDTH) and len(sample.categories) <= 6
        assert len(named) == int(sample.gt_masks.any()) == int(sample.gt_category_labels.sum())
        seen.add(bool(named))
    assert seen == {True, False}


@pytest.fixture
def said(monkeypatch):
    """What was logged about bad annotations."""
    lines = []
    monkeypatch.setattr('lavida_mm.datasets.sources.base_source.print_log', lambda text, **_: lines.append(text))
    return lines


@pytest.mark.parametrize('kind', SOURCES)
def test_images_and_maps_without_each_other_are_refused_or_counted(tmp_path, kind, said):
    source = read(kind, SOURCES[kind][1](tmp_path))
    infos = [source.get_data_info(index) for index in range(len(source))]
    Path(infos[0]['label_file']).unlink()
    with pytest.raises(DataError, match=rf"image '{infos[0]['frame_files'][0]}' must have a label map"):
        read(kind, tmp_path)
    assert len(read(kind, tmp_path, bad_annotations='skip')) == len(infos) - 1
    assert len(said) == 1 and '1 bad annotations left out; the first: image' in said[0]
    Path(infos[0]['frame_files'][0]).unlink()
    Path(infos[1]['frame_files'][0]).unlink()
    with pytest.raises(DataError, match=rf"label map '{infos[1]['label_file']}' must have an image"):
        read(kind, tmp_path)
    Path(infos[1]['label_file']).unlink()
    if len(infos) == 2:
        with pytest.raises(DataError, match='holds no sample'):
            read(kind, tmp_path)
    else:
        assert len(read(kind, tmp_path)) == len(infos) - 2


@pytest.mark.parametrize('kind', SOURCES)
def test_hidden_files_do_not_count(tmp_path, kind):
    SOURCES[kind][1](tmp_path)
    for file in [*tmp_path.rglob('*.jpg'), *tmp_path.rglob('*_leftImg8bit.png')]:
        (file.parent / f'._{file.name}').write_bytes(b'left by an archiver')
    assert len(read(kind, tmp_path)) >= 2


@pytest.mark.parametrize('kind', SOURCES)
def test_missing_folders(tmp_path, kind):
    with pytest.raises(DataError, match=r'[Nn]o such f'):
        read(kind, tmp_path)
    SOURCES[kind][1](tmp_path)
    with pytest.raises(DataError, match=r'[Nn]o such f'):
        read(kind, tmp_path, split='elsewhere')


@pytest.mark.parametrize('kind', SOURCES)
def test_bad_files_are_named(tmp_path, kind):
    source = read(kind, SOURCES[kind][1](tmp_path))
    image, label_map = source.get_data_info(0)['frame_files'][0], source.get_data_info(0)['label_file']
    Image.fromarray(np.zeros((HEIGHT, WIDTH + 1), np.uint8)).save(label_map)
    with pytest.raises(DataError, match=f'{label_map}: is 12 x 17 pixels, its image 12 x 16'):
        source[0]
    Image.fromarray(np.full((HEIGHT, WIDTH), 200, np.uint8)).save(label_map)
    with pytest.raises(DataError, match=f'{label_map}: shows id 200'):
        source[0]
    with open(image, 'wb') as file:
        file.write(b'no image')
    with pytest.raises(DataError, match=f'{image}: is no image that can be read'):
        source[0]


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('1\t0.1576', '2\t0.1576', 'line 3: id must be unique, got 2 twice'),
        ('11664\t', '', "line 2 must be id, ratio, two counts and names, got '1"),
        ('1\t0.1576', 'one\t0.1576', "line 2 must be id, .*, got 'one"),
        ('car, auto; machine', ' , ; ', 'line 4 must be id, .* and names'),
        ('bed ', 'Car', "class names must not repeat, got 'Car' for 3 and 6"),
        ('wall', 'fence', "must hold every class of background_classes, has no 'wall'"),
        (OBJECT_INFO, 'Idx\tRatio\tTrain\tVal\tName\n', 'must name at least one class'),
    ],
)
def test_bad_names_of_ade20k(tmp_path, old, new, message):
    write_ade20k(tmp_path)
    (tmp_path / 'objectInfo150.txt').write_text(OBJECT_INFO.replace(old, new))
    with pytest.raises(DataError, match=r'objectInfo150\.txt: ' + message):
        read('ade20k', tmp_path)


def test_names_of_ade20k_that_are_no_text(tmp_path):
    write_ade20k(tmp_path)
    (tmp_path / 'objectInfo150.txt').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(DataError, match='must be text in UTF-8'):
        read('ade20k', tmp_path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (dict(labels='Bird'), "labels must be a list of objects, got 'Bird'"),
        (dict(labels=[dict(name='animal--bird')]), r'labels\[0\]\.readable must be text, got None'),
        (dict(labels=[dict(name='', readable='Bird')]), r"labels\[0\]\.name must be text, got ''"),
        (mapillary_labels(('a--bird', 'Bird'), ('b--bird', 'bird ')), "must not repeat, got 'bird' for 0 and 1"),
        (mapillary_labels(('a--bird', 'Bird')), "has no 'road'"),
    ],
)
def test_bad_config_of_mapillary(tmp_path, content, message):
    write_mapillary(tmp_path)
    write_json_file(tmp_path / 'config.json', content)
    background = ['road'] if message == "has no 'road'" else []
    with pytest.raises(DataError, match=r'config\.json: .*' + message):
        read('mapillary', tmp_path, background_classes=background)


def test_versions_of_mapillary():
    with pytest.raises(ValueError, match=r"version must be one of \['v1\.2', 'v2\.0'\], got '1\.2'"):
        MapillaryVistas(version='1.2')


def test_an_image_with_every_word_present_says_so(tmp_path):
    """Eight classes are few: with all of them in one image there is no distractor left, which is a clear error."""
    expose = dict(type='PseudoAnomalySampler', max_categories=6)
    root = write_cityscapes(tmp_path)
    source = read('cityscapes', root, anomaly_classes=['bicycle', 'traffic light'], pipeline=[*READ, expose])
    with pytest.raises(DataError, match="source 'cityscapes', 'aachen_000000_000019': every one of the 2 words"):
        source[0]
    assert read('cityscapes', root, anomaly_classes=['bicycle', 'train'], pipeline=[*READ, expose])[0]['categories']


def test_published_totals_are_of_splits_that_can_be_read():
    assert Cityscapes.PUBLISHED['train'] == dict(images=2975) and ADE20K.PUBLISHED['training'] == dict(images=20210)
    for kind in (Cityscapes, ADE20K, MapillaryVistas):
        source = kind(lazy_init=True)
        assert source.split in kind.PUBLISHED and set(kind.PUBLISHED[source.split]) == {'images'}


def test_tables_with_a_name_twice():
    with pytest.raises(DataError, match="here: class names must not repeat, got 'Dog' for 1 and 5"):
        LabelTable({1: ['dog'], 5: ['Dog', 'hound']}, {}, frozenset()).check('here')


def test_a_source_of_ones_own(tmp_path):
    class Yard(LabelMapSource):
        def __init__(self, root):
            super().__init__(
                name='yard', data_root=str(root), split='all', image_folder=root / 'a', map_folder=root / 'b',
                pipeline=READ, extra_words=[], bad_annotations='error', lazy_init=False,
            )  # fmt: skip

        def read_table(self):
            return LabelTable({1: ['hen'], 2: ['grass']}, {1: ['hen']}, frozenset({0}))

        def list_images(self):
            return list_files([self._images], '.png')

        def list_maps(self):
            return list_files([self._maps], '.png')

    write_pair(tmp_path / 'a/0.png', tmp_path / 'b/0.png', blocks(rest=2, b00=1, b01=0))
    source = Yard(tmp_path)
    assert mask_blocks(source[0]) == {'hen': [[0, 0]]} and source.vocabulary == ['hen']
    assert source[0]['present_words'] == ['hen', 'grass']


def test_background_classes_of_ade20k_are_its_classes():
    """By the list that mmdet keeps, which has one name per class."""
    from mmdet.datasets import ADE20KSegDataset

    classes = ADE20KSegDataset.METAINFO['classes']
    assert len(set(classes)) == 150 and len(set(ADE20K_BACKGROUND)) == 20
    assert set(ADE20K_BACKGROUND) <= set(classes)
