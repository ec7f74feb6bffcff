import pickle
import shutil

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavida_mm.datasets.benchmarks.ubnormal import ObjectMasks, ObjectTrack, ObjectTracks, UBnormal, parse_track_line
from lavida_mm.datasets.video_reader import open_video
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError, UsageError
from tests.videos import red_square_frames, write_video

NUM_FRAMES, HEIGHT, WIDTH = 8, 24, 32
FALL = 'abnormal_scene_1_scenario_2'
FOG = 'abnormal_scene_12_scenario_4_fog'
CALM = 'normal_scene_1_scenario_7'
NAMES = [FALL, FOG, CALM]
TRACKS = {FALL: '3,2,4\n', FOG: '1.0000e+00,0.0000e+00,1.0000e+00\r\n2.0000e+00,1.0000e+00,3.0000e+00'}


def object_ids(frame):
    """Objects 1 to 3 as boxes, drawn by hand; object 3 moves right by a pixel per frame and has a speck apart."""
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[2:6, 1:4] = 1
    image[10:14, 20:30] = 2
    image[16:22, 4 + frame : 9 + frame] = 3
    image[0, 31] = 3
    return image


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return write_video(
        tmp_path_factory.mktemp('clip') / 'clip.mp4', red_square_frames(NUM_FRAMES, height=HEIGHT, width=WIDTH)
    )


def write_names(root, abnormal=(FALL, FOG), normal=(CALM,)):
    root.mkdir(parents=True, exist_ok=True)
    (root / 'abnormal_test_video_names.txt').write_text('\n'.join(abnormal))
    (root / 'normal_test_video_names.txt').write_text('\n'.join(normal))


def write_masks(folder, name, frames=range(NUM_FRAMES)):
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        cv2.imwrite(str(folder / f'{name}_{frame:04d}_gt.png'), object_ids(frame))


def scene(name):
    return f'Scene{name.split("_")[2]}'


def write_world(root, clip=None, *, place=scene, masks=True, lists='scripts'):
    write_names(root / lists)
    for name in NAMES:
        folder = root / place(name) / f'{name}_annotations'
        folder.mkdir(parents=True)
        if clip is not None:
            shutil.copy(clip, root / place(name) / f'{name}.mp4')
        if masks:
            write_masks(folder, name)
        if name in TRACKS:
            (folder / f'{name}_tracks.txt').write_bytes(TRACKS[name].encode())
    return root


def codes(benchmark, level='error'):
    return [finding.code for finding in benchmark.findings if finding.level == level]


@pytest.mark.parametrize(
    ('place', 'lists', 'layout'),
    [
        (scene, 'scripts', 'SceneN; masks and tracks'),
        (scene, '', 'SceneN; masks and tracks'),
        (lambda name: f'UBnormal/{scene(name)}', 'a/b', 'UBnormal/SceneN; masks and tracks'),
        (lambda name: '', '', 'flat; masks and tracks'),
    ],
)
def test_layouts(tmp_path, clip, place, lists, layout):
    benchmark = UBnormal(root=write_world(tmp_path, clip, place=place, lists=lists))
    assert benchmark.layout == layout and not benchmark.findings
    assert [record.video_id for record in benchmark.records] == NAMES
    for record in benchmark.records:
        with open_video(record.path, 'pyav') as reader:
            assert reader.num_frames == NUM_FRAMES
    fall, fog, calm = benchmark.records
    assert fall.intervals == [(2, 5)] and fog.intervals == [(0, 4)] and calm.intervals == []
    assert all(record.has_ground_truth and record.masks is not None for record in benchmark.records)
    assert fall.interval_categories == [''] and benchmark.options == {'subset': 'all'} and not benchmark.frame_only


def test_masks_are_the_objects_of_the_tracks_in_their_frames(tmp_path):
    fall, fog, calm = UBnormal(root=write_world(tmp_path)).records
    masks = fall.pixel_masks(np.arange(NUM_FRAMES), HEIGHT, WIDTH)
    assert masks.shape == (NUM_FRAMES, HEIGHT, WIDTH) and masks.dtype == bool
    for frame in range(NUM_FRAMES):
        assert np.array_equal(masks[frame], (object_ids(frame) == 3) & (2 <= frame <= 4))
    masks = fog.pixel_masks([3, 1, 0, 1], HEIGHT, WIDTH)
    active = [{2}, {1, 2}, {1}, {1, 2}]
    for mask, frame, ids in zip(masks, [3, 1, 0, 1], active, strict=True):
        assert np.array_equal(mask, np.isin(object_ids(frame), list(ids)))
    assert not calm.pixel_masks([0, 7], HEIGHT, WIDTH).any() and calm.tracks.read().shape == (0, 6)
    assert np.array_equal(pickle.loads(pickle.dumps(fog)).pixel_masks([1], HEIGHT, WIDTH)[0], masks[1])


def test_nothing_is_opened_before_it_is_asked_for(tmp_path):
    write_world(tmp_path)
    for file in tmp_path.rglob('*_gt.png'):
        file.write_bytes(b'no image')
    fall, *_ = UBnormal(root=tmp_path).records
    assert not fall.pixel_masks([0, 1, 5], HEIGHT, WIDTH).any()  # normal frames need no image
    with pytest.raises(DataError, match=rf'{FALL}_0002_gt\.png: is no image that can be read \(8 bytes\)'):
        fall.pixel_masks([2], HEIGHT, WIDTH)


def test_boxes_enclose_the_largest_part_of_each_object(tmp_path):
    fall, fog, _ = UBnormal(root=write_world(tmp_path)).records
    assert fall.tracks.read().tolist() == [[0, frame, 4 + frame, 16, 8 + frame, 21] for frame in (2, 3, 4)]
    assert fog.tracks.read().tolist() == [
        [0, 0, 1, 2, 3, 5],
        [0, 1, 1, 2, 3, 5],
        [1, 1, 20, 10, 29, 13],
        [1, 2, 20, 10, 29, 13],
        [1, 3, 20, 10, 29, 13],
    ]
    assert fog.tracks.read().dtype == np.float64


def grown_parts(pixels):
    """Boxes of the connected parts by growing them pixel by pixel: the slow reference."""
    todo = {(int(y), int(x)) for y, x in np.argwhere(pixels)}
    boxes = []
    while todo:
        part, edge = set(), [todo.pop()]
        while edge:
            y, x = edge.pop()
            part.add((y, x))
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in todo:
                    todo.remove(near)
                    edge.append(near)
        ys, xs = [y for y, _ in part], [x for _, x in part]
        boxes.append((min(xs), min(ys), max(xs), max(ys)))
    return boxes


@pytest.fixture(scope='module')
def mask_folder(tmp_path_factory):
    return tmp_path_factory.mktemp('masks')


@given(st.lists(st.lists(st.integers(0, 2), min_size=7, max_size=7), min_size=5, max_size=5))
def test_box_equals_that_of_a_slow_search(mask_folder, rows):
    image = np.asarray(rows, np.uint8)
    cv2.imwrite(str(mask_folder / 'v_0000_gt.png'), image)
    boxes = grown_parts(image == 2)
    tracks = ObjectTracks(ObjectMasks(mask_folder, 'v', [ObjectTrack(2, 0, 0)]), None, 'v_tracks.txt')
    if not boxes:
        with pytest.raises(
            DataError, match=r'v_tracks\.txt: object_id 2 must be seen in the masks of its frames 0 to 0'
        ):
            tracks.read()
        return
    ((number, frame, *box),) = tracks.read().tolist()
    areas = {found: (found[2] - found[0] + 1) * (found[3] - found[1] + 1) for found in boxes}
    assert (number, frame) == (0, 0) and areas[tuple(box)] == max(areas.values())


def test_an_object_that_hides_has_no_box_then(tmp_path):
    write_masks(tmp_path, 'v', [0, 2])
    cv2.imwrite(str(tmp_path / 'v_0001_gt.png'), np.zeros((HEIGHT, WIDTH), np.uint8))
    tracks = ObjectTracks(ObjectMasks(tmp_path, 'v', [ObjectTrack(1, 0, 2)]), None, 'v_tracks.txt')
    assert tracks.read()[:, 1].tolist() == [0, 2]


def test_new_tracks_win(tmp_path):
    write_world(tmp_path)
    folder = tmp_path / scene(FALL) / f'{FALL}_annotations'
    (folder / f'{FALL}_new_tracks.txt').write_text('1,5,6\n')
    fall = UBnormal(root=tmp_path).records[0]
    assert fall.intervals == [(5, 7)] and fall.tracks.read()[:, 1].tolist() == [5, 6]
    assert fall.tracks.origin == str(folder / f'{FALL}_new_tracks.txt')


def test_subset_of_the_abnormal_videos(tmp_path, clip):
    write_world(tmp_path, clip)
    (tmp_path / 'num_frames.csv').write_text('video,num_frames\n' + ''.join(f'{name},{NUM_FRAMES}\n' for name in NAMES))
    benchmark = UBnormal(root=tmp_path, subset='abnormal')
    assert [record.video_id for record in benchmark.records] == [FALL, FOG] and not benchmark.findings
    assert benchmark.options == {'subset': 'abnormal'}
    (tmp_path / 'scripts' / 'normal_test_video_names.txt').unlink()
    assert len(UBnormal(root=tmp_path, subset='abnormal').records) == 2
    with pytest.raises(DataError, match=r'must hold normal_test_video_names\.txt'):
        UBnormal(root=tmp_path)
    with pytest.raises(UsageError, match=r"subset must be one of \('all', 'abnormal'\), got 'normal'"):
        UBnormal(root=tmp_path, subset='normal')


@pytest.mark.parametrize('place', ['Scene1/{}_annotations', 'Scene1', '', 'tracks', 'gt'])
def test_tracks_alone_are_enough_for_frames(tmp_path, place):
    write_names(tmp_path, [FALL])
    folder = tmp_path / place.format(FALL)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{FALL}_tracks.txt').write_text('3,2,4\n1,4,6\n2,7,7\n')
    benchmark = UBnormal(root=tmp_path)
    fall, calm = benchmark.records
    assert fall.intervals == [(2, 8)] and fall.masks is None and fall.tracks is None
    assert calm.has_ground_truth and calm.intervals == [] and calm.masks is None
    assert codes(benchmark, 'warning') == ['no-masks'] and benchmark.layout == 'no videos; tracks only'


def test_lists_alone(tmp_path):
    write_names(tmp_path)
    benchmark = UBnormal(root=tmp_path, strict=False)
    assert [record.has_ground_truth for record in benchmark.records] == [False, False, True]
    assert codes(benchmark) == ['missing-tracks']
    with pytest.raises(DataError, match='holds no tracks file of any of the 2 abnormal videos'):
        UBnormal(root=tmp_path)


def test_tracks_end_with_the_video(tmp_path):
    write_world(tmp_path)
    (tmp_path / scene(FALL) / f'{FALL}_annotations' / f'{FALL}_tracks.txt').write_text('3,6,9')
    benchmark = UBnormal(root=tmp_path)  # the length is unknown, the masks end at 7
    assert codes(benchmark, 'warning') == ['annotation-beyond-end']
    assert benchmark.records[0].intervals == [(6, 10)]
    assert benchmark.records[0].tracks.read()[:, 1].tolist() == [6, 7]
    (tmp_path / 'num_frames.csv').write_text('video,num_frames\n' + ''.join(f'{name},{NUM_FRAMES}\n' for name in NAMES))
    benchmark = UBnormal(root=tmp_path)
    assert codes(benchmark, 'warning') == ['annotation-beyond-end']
    assert benchmark.records[0].intervals == [(6, 8)] and len(benchmark.records[0].tracks.read()) == 2
    (tmp_path / 'num_frames.csv').write_text('video,num_frames\n' + ''.join(f'{name},9\n' for name in NAMES))
    with pytest.raises(DataError, match=rf'lacks the masks of 1 anomalous frames, first {FALL}_0008_gt\.png'):
        UBnormal(root=tmp_path)


def remove(root, pattern):
    found = sorted(root.rglob(pattern))
    assert found
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def renumber(root):
    folder = root / scene(FALL) / f'{FALL}_annotations'
    for frame in reversed(range(NUM_FRAMES)):
        (folder / f'{FALL}_{frame:04d}_gt.png').rename(folder / f'{FALL}_{frame + 1:04d}_gt.png')


@pytest.mark.parametrize(
    ('change', 'code', 'message'),
    [
        (
            lambda root: remove(root, f'{FALL}_annotations'),
            'missing-tracks',
            f'video {FALL} must have {FALL}_tracks.txt',
        ),
        (lambda root: remove(root, f'{FALL}_tracks.txt'), 'missing-tracks', f'must have {FALL}_tracks.txt'),
        (
            lambda root: remove(root, f'{FALL}_*_gt.png'),
            'missing-masks',
            f'{FALL} must have masks as the other videos do',
        ),
        (lambda root: remove(root, f'{FALL}_0003_gt.png'), 'missing-masks', f'1 anomalous frames, first {FALL}_0003'),
        (renumber, 'mask-numbering', 'must be numbered from 0000 as the tracks are, got 0001'),
        (lambda root: remove(root, f'{FALL}.mp4'), 'missing-video', f'no file of video {FALL} is there'),
    ],
)
def test_missing_files(tmp_path, clip, change, code, message):
    change(write_world(tmp_path, clip))
    benchmark = UBnormal(root=tmp_path, strict=False)
    assert codes(benchmark) == [code] and message in str(benchmark.errors[0])
    with pytest.raises(DataError):
        UBnormal(root=tmp_path)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('3,2\n', r"_tracks\.txt:1: must hold 'object_id,start,end', got '3,2'"),
        ('3,2,4\n3,9,7\n', r"_tracks\.txt:2: start must be at most end, got 9 7 in '3,9,7'"),
        ('3,2.5,4\n', r"_tracks\.txt:1: start must be a whole number, got '2.5' in '3,2.5,4'"),
        ('0,2,4\n', r'_tracks\.txt:1: object_id must be in 1\.\.255, got 0'),
        ('3,-1,4\n', r'_tracks\.txt:1: start must be at least 0, got -1'),
        ('', r'_tracks\.txt: tracks of an abnormal video must hold a line, got none'),
    ],
)
def test_bad_tracks(tmp_path, text, message):
    write_world(tmp_path)
    (tmp_path / scene(FALL) / f'{FALL}_annotations' / f'{FALL}_tracks.txt').write_text(text)
    with pytest.raises(DataError, match=message):
        UBnormal(root=tmp_path)
    benchmark = UBnormal(root=tmp_path, strict=False)
    assert codes(benchmark) == ['malformed-line'] and not benchmark.records[0].has_ground_truth


def test_tracks_that_are_really_numpy(tmp_path):
    """Releases for pose methods ship labels per frame under the names of the tracks, with 0 for abnormal."""
    write_names(tmp_path)
    (tmp_path / 'gt').mkdir()
    for name in (FALL, FOG):
        with (tmp_path / 'gt' / f'{name}_tracks.txt').open('wb') as file:
            np.save(file, np.ones(8))
    with pytest.raises(
        DataError, match=r'_tracks\.txt: must be text, but is a NumPy array .* 0 means abnormal'
    ) as caught:
        UBnormal(root=tmp_path)
    assert str(caught.value).count(f'{FALL}_tracks.txt') == 1


@pytest.mark.parametrize(
    ('line', 'code', 'message'),
    [
        (CALM, 'malformed-line', "name must be like 'abnormal_scene_1_scenario_2', got 'normal_scene_1"),
        ('scene_1', 'malformed-line', "got 'scene_1'"),
        (f'{FALL}.mp4', 'duplicate-line', f'video {FALL} must stand here once; first: '),
    ],
)
def test_bad_names(tmp_path, line, code, message):
    write_world(tmp_path)
    write_names(tmp_path / 'scripts', [FALL, FOG, line])
    benchmark = UBnormal(root=tmp_path, strict=False)
    assert codes(benchmark) == [code] and 'abnormal_test_video_names.txt:3: ' in str(benchmark.errors[0])
    assert message in str(benchmark.errors[0]) and len(benchmark.records) == 3


def test_bad_masks(tmp_path):
    write_world(tmp_path)
    fall = UBnormal(root=tmp_path).records[0]
    with pytest.raises(DataError, match=rf'{FALL}_0002_gt\.png: must be 48 x 64 pixels as its frame, got 24 x 32'):
        fall.pixel_masks([2], 48, 64)
    file = tmp_path / scene(FALL) / f'{FALL}_annotations' / f'{FALL}_0002_gt.png'
    gray = cv2.cvtColor(object_ids(2), cv2.COLOR_GRAY2BGR)
    cv2.imwrite(str(file), gray)
    assert np.array_equal(fall.pixel_masks([2], HEIGHT, WIDTH)[0], object_ids(2) == 3)
    gray[0, 0, 0] = 9
    cv2.imwrite(str(file), gray)
    with pytest.raises(DataError, match='pixels must be ids of objects in gray, got colours'):
        fall.pixel_masks([2], HEIGHT, WIDTH)
    cv2.imwrite(str(file), object_ids(2).astype(np.uint16))
    with pytest.raises(DataError, match='pixels must be ids of objects in 8 bits, got uint16'):
        fall.pixel_masks([2], HEIGHT, WIDTH)
    file.unlink()
    with pytest.raises(DataError, match=r'_0002_gt\.png: No such file'):
        fall.pixel_masks([2], HEIGHT, WIDTH)


def test_parse_track_line():
    assert parse_track_line('2, 10,20') == parse_track_line('2.0 1.0e1 2.0e1') == ObjectTrack(2, 10, 20)


def test_real_names(shared_data):
    root = shared_data / 'annotations' / 'ubnormal'
    benchmark = DATASETS.build(dict(type='UBnormal', root=str(root), strict=False))
    names = [record.video_id for record in benchmark.records]
    assert len(names) == len(set(names)) == 211 == benchmark.totals.videos
    assert sum(name.startswith('abnormal') for name in names) == 158
    assert sum(name.startswith('normal') for name in names) == 53
    assert codes(benchmark) == ['missing-tracks']
    assert len(UBnormal(root=root, strict=False, subset='abnormal').records) == 158


def test_real_names_with_tracks(shared_data, tmp_path):
    """The real lists, with tracks made up for every abnormal video: nothing is left to be found."""
    real = shared_data / 'annotations' / 'ubnormal'
    for file in real.glob('*.txt'):
        shutil.copy(file, tmp_path)
    for name in (real / 'abnormal_test_video_names.txt').read_text().split():
        folder = tmp_path / scene(name) / f'{name}_annotations'
        folder.mkdir(parents=True)
        (folder / f'{name}_tracks.txt').write_text('1.0000e+00,3.0000e+00,7.0000e+00\r\n')
    benchmark = UBnormal(root=tmp_path)
    assert sum(record.intervals == [(3, 8)] for record in benchmark.records) == 158
    assert codes(benchmark, 'warning') == ['no-masks']
