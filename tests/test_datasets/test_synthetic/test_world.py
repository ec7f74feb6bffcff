import filecmp
import hashlib
import json
import os

import av
import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from lavida_mm.datasets.synthetic import HELD_OUT_PAIRS, PARTS, build_world, parts, plan_video
from lavida_mm.datasets.synthetic.media import write_mp4
from lavida_mm.datasets.synthetic.shapes import render_scene
from lavida_mm.utils.errors import DataError, UsageError

from .conftest import SMALL

# pycocotools' decoder under numpy 2
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')

TINY = {'stage0': 2, 'clips': 1, 'val': 1, 'normal': 1}
HELD_OUT = {str(pair) for pair in HELD_OUT_PAIRS}
# Of the annotation files that version 1 wrote before there were words about behaviour: first digits of SHA-256.
PLAIN_HASHES = {
    'world.json': '0310a41c0dce3640',
    'benchmark/design.json': 'f716827f42a27b6d',
    'benchmark/manifest.json': 'c89577fdcf894e03',
    'benchmark/objects.json': 'e7278b42b2f56c5f',
    'clips/clips.json': 'ddd39949503538ea',
    'clips/meta_expressions.json': '09fb1c07ade885f7',
    'images/instances.json': 'e466cc77554116df',
    'mp4_clips/clips.json': 'e2f1f397f7c26604',
    'stage0/instances.json': '2eb26655c8aac5f1',
    'val/design.json': '70cb48f2d418fb25',
    'val/manifest.json': '5ea454c4a5571da9',
    'val/objects.json': '3427de838c6ff7fb',
}


def files_of(root):
    return sorted(
        os.path.relpath(os.path.join(place, name), root) for place, _, names in os.walk(root) for name in names
    )


def assert_same_files(one, other):
    names = files_of(one)
    assert names == files_of(other)
    assert filecmp.cmpfiles(one, other, names, shallow=False) == (names, [], [])


def read(path):
    return json.loads(path.read_text())


def decode(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)])


@pytest.fixture(scope='module')
def tiny_world(tmp_path_factory):
    root = tmp_path_factory.mktemp('tiny')
    build_world(root, seed=1, counts=TINY, parts=list(TINY), progress=False)
    return root


def test_same_seed_same_bytes(tiny_world, tmp_path):
    build_world(tmp_path, seed=1, counts=TINY, parts=list(TINY), progress=False)
    assert_same_files(tiny_world, tmp_path)


def test_files_do_not_depend_on_the_number_of_workers(tiny_world, tmp_path):
    build_world(tmp_path, seed=1, counts=TINY, parts=list(TINY), workers=2, progress=False)
    assert_same_files(tiny_world, tmp_path)


def test_items_do_not_depend_on_their_number(tiny_world, tmp_path):
    build_world(tmp_path, seed=1, counts={'stage0': 3}, parts=['stage0'], progress=False)
    names = ['000000.jpg', '000001.jpg']
    assert filecmp.cmpfiles(tiny_world / 'stage0/images', tmp_path / 'stage0/images', names, shallow=False)[0] == names


def test_plain_parts_stay_as_they_are(small_world):
    found = {name: hashlib.sha256((small_world / name).read_bytes()).hexdigest()[:16] for name in PLAIN_HASHES}
    assert found == PLAIN_HASHES
    assert {path.name for path in small_world.iterdir()} == {*SMALL, 'world.json'}


def test_another_seed_gives_other_files(tiny_world, tmp_path):
    build_world(tmp_path, seed=2, counts=TINY, parts=['stage0'], progress=False)
    assert not filecmp.cmp(
        tiny_world / 'stage0/images/000000.jpg', tmp_path / 'stage0/images/000000.jpg', shallow=False
    )


def test_a_second_call_writes_nothing(tiny_world):
    before = {name: os.stat(tiny_world / name).st_mtime_ns for name in files_of(tiny_world)}
    assert build_world(tiny_world, seed=1, counts=TINY, parts=list(TINY), progress=False) == []
    assert {name: os.stat(tiny_world / name).st_mtime_ns for name in files_of(tiny_world)} == before


def test_a_part_made_otherwise_is_not_skipped_in_silence(tmp_path):
    build_world(tmp_path, counts={'stage0': 1}, parts=['stage0'], progress=False)
    with pytest.raises(DataError, match='stage0: was made with count 1 instead of 2'):
        build_world(tmp_path, counts={'stage0': 2}, parts=['stage0'], progress=False)
    assert len(files_of(tmp_path / 'stage0/images')) == 1
    assert build_world(tmp_path, counts={'stage0': 2}, parts=['stage0'], overwrite=True, progress=False) == ['stage0']
    assert len(files_of(tmp_path / 'stage0/images')) == 2
    assert sorted(os.listdir(tmp_path)) == ['stage0', 'world.json']
    assert read(tmp_path / 'world.json')['counts'] == {'stage0': 2}


@pytest.mark.parametrize('content', [None, '{"vers', '[]'])
def test_a_folder_that_is_not_ours_is_left_alone(tmp_path, content):
    (tmp_path / 'normal').mkdir()
    (tmp_path / 'normal' / 'mine.txt').touch()
    if content is not None:
        (tmp_path / 'normal' / 'part.json').write_text(content)
    with pytest.raises(DataError, match=r'no readable part\.json'):
        build_world(tmp_path, counts={'normal': 1}, parts=['normal'], progress=False)
    assert (tmp_path / 'normal' / 'mine.txt').exists()


def test_a_failure_leaves_whole_parts_only(tmp_path, monkeypatch):
    def fail(path, frames):
        raise OSError(28, 'No space left on device', str(path))

    with monkeypatch.context() as patch:
        patch.setattr(parts, 'write_mp4', fail)
        with pytest.raises(OSError, match='No space'):
            build_world(tmp_path, counts=TINY, parts=['stage0', 'normal'], progress=False)
    assert sorted(os.listdir(tmp_path)) == ['stage0', 'world.json']
    (tmp_path / '.part-left-by-a-killed-run').mkdir()
    assert build_world(tmp_path, counts=TINY, parts=['stage0', 'normal'], progress=False) == ['normal']
    assert sorted(os.listdir(tmp_path)) == ['normal', 'stage0', 'world.json']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'seed': -1}, 'seed must be in .*, got -1'),
        ({'benchmark_seed': 2**63}, 'benchmark_seed must be in'),
        ({'counts': {'clips': 0}}, 'count of clips must be at least 1, got 0'),
        ({'counts': {'clip': 3}}, "got 'clip'"),
        ({'parts': ['stage1']}, "got 'stage1'"),
        ({'parts': []}, 'got none'),
        ({'workers': 0}, 'workers must be at least 1, got 0'),
    ],
)
def test_bad_arguments_are_named(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        build_world(tmp_path / 'world', progress=False, **options)
    assert not (tmp_path / 'world').exists()


def test_the_root_must_be_a_folder(tmp_path):
    (tmp_path / 'world').touch()
    with pytest.raises(DataError, match='must be a folder'):
        build_world(tmp_path / 'world', progress=False)


def test_world_json_says_how_it_was_made(small_world):
    world = read(small_world / 'world.json')
    assert world['counts'] == SMALL
    assert (world['seed'], world['version']) == (3, 1)
    assert world['benchmark_seed'] != 3
    assert set(world['held_out_pairs']) == HELD_OUT
    assert (len(world['colours']), len(world['shapes']), len(world['trained_pairs'])) == (8, 5, 30)


@pytest.mark.parametrize('part', ['stage0', 'images'])
def test_images_are_valid_coco(small_world, part, capsys):
    coco = COCO(str(small_world / part / 'instances.json'))
    capsys.readouterr()
    assert len(coco.imgs) == SMALL[part]
    for image in coco.imgs.values():
        pixels = cv2.imread(str(small_world / part / 'images' / image['file_name']))
        assert pixels.shape == (image['height'], image['width'], 3) == (96, 96, 3)
        owned = np.zeros((96, 96), int)
        for annotation in coco.imgToAnns[image['id']]:
            mask = coco.annToMask(annotation)
            owned += mask
            assert mask.sum() == pytest.approx(annotation['area'], rel=0.03)
            rows, columns = np.nonzero(mask)
            left, top, width, height = annotation['bbox']
            assert abs(columns.min() - left) <= 1 and abs(rows.max() + 1 - top - height) <= 1
            assert width > 0 and annotation['category_id'] in coco.cats
        assert (owned > 1).mean() < 0.01
    kinds = {type(annotation['segmentation']) for annotation in coco.anns.values()}
    assert kinds == {list, dict}


def test_words_name_a_colour_only_where_it_has_a_name(small_world):
    found = read(small_world / 'stage0/instances.json')
    words = {category['id']: category['words'] for category in found['categories']}
    used = [words[annotation['category_id']] for annotation in found['annotations']]
    assert {len(entry) for entry in used} == {1, 3}
    assert all(entry[0] == ' '.join(entry[1:]) for entry in used if len(entry) == 3)


def test_held_out_pairs_stay_out_of_all_but_the_benchmark(small_world):
    for name in PARTS:
        for path in (small_world / name).glob('*.json'):
            found = [pair for pair in HELD_OUT if pair in path.read_text()]
            assert bool(found) == (name == 'benchmark' and path.name in ('manifest.json', 'design.json')), path
    objects = [thing for video in read(small_world / 'val/objects.json').values() for thing in video]
    assert not {(thing['colour'], thing['shape']) for thing in objects} & set(HELD_OUT_PAIRS)
    for name in ('clips/meta_expressions.json', 'mp4_clips/clips.json'):
        text = (small_world / name).read_text()
        assert not any(f'{pair.shape} in {pair.colour}' in text for pair in HELD_OUT_PAIRS)


@pytest.mark.parametrize('part', ['clips', 'mp4_clips'])
def test_clips_are_valid_cocovid(small_world, part):
    clips = read(small_world / part / 'clips.json')
    videos = {video['id']: video for video in clips['videos']}
    images = {image['id']: image for image in clips['images']}
    categories = {category['id']: category for category in clips['categories']}
    assert len(videos) == SMALL[part]
    owners, seen = {}, set()
    for annotation in clips['annotations']:
        image = images[annotation['image_id']]
        assert image['video_id'] == annotation['video_id'] and annotation['category_id'] in categories
        owner = (annotation['video_id'], annotation['category_id'])
        assert owners.setdefault(annotation['instance_id'], owner) == owner
        assert (annotation['instance_id'], annotation['image_id']) not in seen
        seen.add((annotation['instance_id'], annotation['image_id']))
    for video in videos.values():
        frames = [image for image in images.values() if image['video_id'] == video['id']]
        assert [image['frame_id'] for image in frames] == list(range(video['length']))
        if part == 'clips':
            assert all((small_world / part / image['file_name']).is_file() for image in frames)
        else:
            assert decode(small_world / part / video['file_name']).shape == (video['length'], 96, 96, 3)
    lengths = {instance: sum(one == instance for one, _ in seen) for instance in owners}
    assert min(lengths.values()) < max(video['length'] for video in videos.values())


def test_expressions_refer_to_objects_of_their_clip(small_world):
    clips = read(small_world / 'clips/clips.json')
    words = {category['id']: category['words'] for category in clips['categories']}
    names = {video['id']: video['name'] for video in clips['videos']}
    objects = {
        (names[annotation['video_id']], str(annotation['instance_id'])): words[annotation['category_id']]
        for annotation in clips['annotations']
    }
    expressions = read(small_world / 'clips/meta_expressions.json')['videos']
    referred = set()
    for name, entry in expressions.items():
        assert entry['frames'] == [path.stem for path in sorted((small_world / 'clips' / name).iterdir())]
        for phrase in entry['expressions'].values():
            _, colour, shape = objects[name, phrase['obj_id']]
            assert colour in phrase['exp'] and shape in phrase['exp']
            referred.add((name, phrase['obj_id']))
    assert referred == set(objects)


@pytest.mark.parametrize('part', ['val', 'benchmark'])
def test_manifest_agrees_with_its_videos(small_world, part):
    manifest = read(small_world / part / 'manifest.json')
    objects = read(small_world / part / 'objects.json')
    design = read(small_world / part / 'design.json')
    assert manifest['version'] == 1
    assert [bool(video['anomalies']) for video in manifest['videos']] == [True, True, False]
    for video in manifest['videos']:
        frames = decode(small_world / part / video['path'])
        assert frames.shape == (video['num_frames'], video['height'], video['width'], 3) == (48, 96, 96, 3)
        assert len(video['categories']) == len(video['absent_categories'])
        assert design[video['video_id']]['target'] in video['categories']
        present = {f'{thing["colour"]} {thing["shape"]}' for thing in objects[video['video_id']]}
        assert not present & set(video['absent_categories'])
        assert present & set(video['categories']) == {anomaly['category'] for anomaly in video['anomalies']}
        for anomaly in video['anomalies']:
            assert sorted(map(int, anomaly['masks'])) == list(range(anomaly['start'], anomaly['end']))
            areas = {frame: int(coco_mask.area(code)) for frame, code in anomaly['masks'].items()}
            tracks = [
                {frame: place['area'] for frame, place in thing['track'].items()}
                for thing in objects[video['video_id']]
            ]  # fmt: skip
            assert areas in tracks


def test_videos_show_what_was_rendered(small_world):
    board = plan_video('benchmark', read(small_world / 'world.json')['benchmark_seed'], 1)
    frames, masks = render_scene(board.scene)
    decoded = decode(small_world / 'benchmark/videos/b001.mp4')
    assert np.abs(decoded.astype(int) - frames.astype(int)).mean() < 8
    assert np.array_equal(masks, board.masks)


def test_video_bytes_do_not_depend_on_what_was_in_memory(tmp_path):
    """x264's fast paths read memory they never wrote: the same frames gave other bytes in another process."""
    frames = np.random.default_rng(0).integers(60, 120, (24, 96, 96, 3)).astype(np.uint8)
    frames += np.linspace(0, 100, 24).astype(np.uint8)[:, None, None, None]
    seen = set()
    for attempt in range(5):
        clutter = [np.full(200_000 + 70_000 * attempt, 50 * attempt + step, np.uint8) for step in range(4)]
        del clutter
        write_mp4(tmp_path / 'a.mp4', frames)
        seen.add((tmp_path / 'a.mp4').read_bytes())
    assert len(seen) == 1


def test_video_frames_keep_their_order(tmp_path):
    frames = np.stack([np.full((96, 96, 3), 20 * index, np.uint8) for index in range(10)])
    write_mp4(tmp_path / 'a.mp4', frames)
    assert np.abs(decode(tmp_path / 'a.mp4').mean((1, 2, 3)) - frames.mean((1, 2, 3))).max() < 4
    with av.open(str(tmp_path / 'a.mp4')) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate) == ('h264', 'yuv420p', 8)
