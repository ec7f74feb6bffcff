import copy
import json

import jsonschema
import numpy as np
import pytest

from lavida_mm.datasets.benchmarks import ManifestBenchmark
from lavida_mm.datasets.benchmarks.manifest import SCHEMA
from lavida_mm.utils.errors import DataError
from tests.test_datasets.worlds import SIDE, box_mask, encode, write_json_file, write_manifest


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('manifest')


@pytest.fixture(scope='module')
def content(folder):
    return write_manifest(folder)


def read(folder, content):
    write_json_file(folder / 'changed.json', content)
    return ManifestBenchmark(root=str(folder), ann_file='changed.json')


def test_records(folder, content):
    benchmark = ManifestBenchmark(root=str(folder))
    assert benchmark.name == 'mini'
    first, second = benchmark.records
    assert (first.video_id, first.num_frames, first.fps, first.height, first.width) == ('v0', 5, 8.0, SIDE, SIDE)
    assert first.intervals == [(1, 3)] and first.frame_labels(5).tolist() == [0, 1, 1, 0, 0]
    masks = first.pixel_masks(np.arange(5), SIDE, SIDE)
    assert masks.any(axis=(1, 2)).tolist() == [False, True, True, False, False]
    assert np.array_equal(masks[2], box_mask(4, 4))
    assert first.category_labels(['x', 'red star'], np.array([0, 1])).tolist() == [0, 1]
    assert first.category_labels(['x', 'red star'], np.array([3, 4])).tolist() == [0, 0]
    assert second.has_ground_truth and second.intervals == []
    assert not second.pixel_masks(np.arange(4), SIDE, SIDE).any()


def test_names(folder, content):
    assert ManifestBenchmark.name == 'manifest'  # as commands take it
    assert read(folder, {key: value for key, value in content.items() if key != 'name'}).name == folder.name
    with pytest.raises(DataError, match='root of benchmark manifest must be an existing folder'):
        ManifestBenchmark(root=str(folder / 'none'))


def test_masks_of_two_anomalies_are_united(folder, content):
    content = copy.deepcopy(content)
    twin = copy.deepcopy(content['videos'][0]['anomalies'][0])
    twin['masks'] = {'2': content['videos'][0]['anomalies'][0]['masks']['1']}
    content['videos'][0]['anomalies'].append(twin)
    record = read(folder, content).records[0]
    assert np.array_equal(record.pixel_masks(np.array([2]), SIDE, SIDE)[0], box_mask(2, 4) | box_mask(4, 4))


def test_optional_values(folder, content):
    content = copy.deepcopy(content)
    content['categories'] = ['fight', 'fire']
    for field in ('num_frames', 'fps', 'height', 'width', 'categories', 'absent_categories', 'anomalies'):
        content['videos'][1].pop(field)
    record = read(folder, content).records[1]
    assert record.categories == ['fight', 'fire'] and not record.has_ground_truth
    assert record.num_frames is None and record.masks is None


def test_intervals_without_masks_give_none_for_the_pixels(folder, content):
    content = copy.deepcopy(content)
    content['videos'][0]['anomalies'][0].pop('masks')
    first, second = read(folder, content).records
    assert first.masks is None and second.masks is None


def test_absent_manifest_and_broken_json(folder, content):
    with pytest.raises(DataError, match=r'missing\.json: No such file'):
        ManifestBenchmark(root=str(folder), ann_file='missing.json')
    (folder / 'cut.json').write_text((folder / 'manifest.json').read_text()[:200])
    with pytest.raises(DataError, match=r'cut\.json: is no whole JSON file'):
        ManifestBenchmark(root=str(folder), ann_file='cut.json')
    with pytest.raises(DataError, match='must hold an object, got list'):
        read(folder, [])


BAD_TOPS = [
    (dict(version=2), 'version must be 1, got 2'),
    (dict(version=True), 'version must be 1, got True'),
    (dict(video=[]), 'video is no field of a manifest'),
    (dict(name=None), 'name must be text, got None'),
    (dict(name=5), 'name must be text'),
    (dict(videos=[]), 'videos must be a list of at least one'),
    (dict(categories=['a', 'A']), "categories must name each word once, got 'A' twice"),
]
BAD_VIDEOS = [
    (dict(video_id=''), r'videos\[0\] must be an object with a video_id'),
    (dict(video_id='v1'), r"videos\[1\].video_id must be unique, got 'v1' twice"),
    (dict(path='videos/none.mp4'), "video 'v0': path must be an existing file or folder"),
    (dict(path=''), "video 'v0': path must be text"),
    (dict(num_frames=0), "video 'v0': num_frames must be a whole number of at least 1, got 0"),
    (dict(height=2.5), "video 'v0': height must be a whole number"),
    (dict(fps=10**400), "video 'v0': fps must be a number of at least 0, got 1000"),
    (dict(fps=-1), "video 'v0': fps must be a number of at least 0, got -1"),
    (dict(categories=[]), "video 'v0': categories must hold at least one word"),
    (dict(categories=['a', ' ']), "video 'v0': categories must hold words that are not blank"),
    (dict(absent_categories=['a', 'a']), "video 'v0': absent_categories must name each word once"),
    (dict(anomaly=[]), "video 'v0': anomaly is no field of a video"),
    (dict(anomalies={}), "video 'v0': anomalies must be a list of objects"),
]
BAD_ANOMALIES = [
    (dict(start=3), r'anomalies\[0\]: start and end must be whole with 0 <= start < end <= 5 frames, got 3, 3'),
    (dict(end=6), r'<= 5 frames, got 1, 6'),
    (dict(start=-1), 'got -1, 3'),
    (dict(start=1.0), 'got 1.0, 3'),
    (dict(begin=1), r'anomalies\[0\]: begin is no field of an anomaly; these are: boxes, category, end, masks, start'),
    (dict(masks=None), r'anomalies\[0\].masks must be an object with frame numbers as keys, got None'),
    (dict(masks={'01': {}}), r"masks must be keyed by frames of the interval \[1, 3\], got '01'"),
    (dict(boxes=[]), r'anomalies\[0\].boxes must be an object with frame numbers as keys, got \[\]'),
    (dict(boxes={'3': [0, 0, 1, 1]}), r"boxes must be keyed by frames of the interval \[1, 3\], got '3'"),
    (
        dict(boxes={'1': [0, 0, 1]}),
        r'boxes.1 must be \[x1, y1, x2, y2\] in whole pixels of at least 0, got \[0, 0, 1\]',
    ),
    (dict(boxes={'1': [0, 0, 1, 1.5]}), r'boxes.1 must be \[x1, y1, x2, y2\] in whole pixels'),
    (dict(boxes={'1': [-1, 0, 1, 1]}), r'boxes.1 must be \[x1, y1, x2, y2\] in whole pixels of at least 0'),
    (dict(boxes={'1': [5, 0, 4, 1]}), r'boxes.1: x1 must be at most x2 and y1 at most y2, got \[5, 0, 4, 1\]'),
    (dict(boxes={'1': [0, 0, 32, 1]}), r'boxes.1: x2 must be at most 31, the last pixel of the frame'),
    (dict(boxes={'1': [0, 0, 1, 32]}), r'boxes.1: y2 must be at most 31, the last pixel of the frame'),
    (dict(category=3), r'anomalies\[0\].category must be text, got 3'),
    (dict(masks={'3': {}}), r"masks must be keyed by frames of the interval \[1, 3\], got '3'"),
    (dict(masks={'x': {}}), "got 'x'"),
    (dict(masks={'\u00b2': {}}), "got '\u00b2'"),
    (dict(masks={'1': []}), r'masks.1: size must be \[height, width\], got None'),
    (
        dict(masks={'1': {'size': [32, 31], 'counts': 'a'}}),
        r"masks.1: segmentation.size must be the frame's \[32, 32\]",
    ),
    (dict(masks={'1': {'size': [32, 32], 'counts': 5}}), r'masks.1: segmentation.counts must be a string'),
]


@pytest.mark.parametrize(('change', 'rule'), BAD_TOPS)
def test_bad_top(folder, content, change, rule):
    with pytest.raises(DataError, match=rule) as error:
        read(folder, {**content, **change})
    assert str(error.value).startswith(str(folder / 'changed.json'))


@pytest.mark.parametrize(('change', 'rule'), BAD_VIDEOS)
def test_bad_video(folder, content, change, rule):
    content = copy.deepcopy(content)
    content['videos'][0].update(change)
    with pytest.raises(DataError, match=rule) as error:
        read(folder, content)
    assert str(error.value).startswith(str(folder / 'changed.json'))


@pytest.mark.parametrize(('change', 'rule'), BAD_ANOMALIES)
def test_bad_anomaly(folder, content, change, rule):
    content = copy.deepcopy(content)
    content['videos'][0]['anomalies'][0].update(change)
    with pytest.raises(DataError, match=rule) as error:
        read(folder, content)
    assert "video 'v0'" in str(error.value) and '\n' not in str(error.value)


def test_masks_of_some_anomalies_only(folder, content):
    content = copy.deepcopy(content)
    content['videos'][0]['anomalies'].append({'category': 'red star', 'start': 3, 'end': 4})
    with pytest.raises(DataError, match=r'anomalies\[1\].masks must be given'):
        read(folder, content)


def test_tracks_are_the_boxes_around_the_masks(folder, content):
    first, second = ManifestBenchmark(root=str(folder)).records
    rows = first.tracks.read()
    assert rows.dtype == np.float64
    assert rows.tolist() == [[0, 1, 2, 4, 9, 11], [0, 2, 4, 4, 11, 11]]  # squares of 8 pixels, both ends included
    assert second.tracks.read().shape == (0, 6)


def test_boxes_win_over_masks_and_each_anomaly_is_a_track(folder, content):
    content = copy.deepcopy(content)
    anomalies = content['videos'][0]['anomalies']
    anomalies.append(copy.deepcopy(anomalies[0]))
    anomalies[1]['boxes'] = {'2': [0, 0, 31, 31]}
    anomalies.append({'category': 'red star', 'start': 3, 'end': 4, 'masks': {'3': encode(box_mask(0, 0, size=0))}})
    rows = read(folder, content).records[0].tracks.read()
    assert rows.tolist() == [[0, 1, 2, 4, 9, 11], [0, 2, 4, 4, 11, 11], [1, 2, 0, 0, 31, 31]]  # no box of an empty mask


def test_boxes_without_masks(folder, content):
    content = copy.deepcopy(content)
    content['videos'][0]['anomalies'][0] = {'start': 1, 'end': 3, 'boxes': {'1': [3, 4, 5, 6]}}
    first, second = read(folder, content).records
    assert first.masks is None and second.masks is None
    assert first.tracks.read().tolist() == [[0, 1, 3, 4, 5, 6]] and second.tracks.read().shape == (0, 6)
    content['videos'][0]['anomalies'].append({'start': 3, 'end': 4})
    with pytest.raises(DataError, match=r'anomalies\[1\].boxes must be given, since others have them'):
        read(folder, content)


def test_neither_boxes_nor_masks(folder, content):
    content = copy.deepcopy(content)
    content['videos'][0]['anomalies'][0].pop('masks')
    assert [record.tracks for record in read(folder, content).records] == [None, None]


def test_broken_run_lengths_are_met_when_read(folder, content):
    content = copy.deepcopy(content)
    content['videos'][0]['anomalies'][0]['masks']['1']['counts'] = [5, 10**9]
    record = read(folder, content).records[0]
    for use in (lambda: record.pixel_masks([1], SIDE, SIDE), record.tracks.read):
        with pytest.raises(
            DataError, match=r"changed\.json: video 'v0': masks of frame 1: segmentation.counts must sum"
        ):
            use()


def test_videos_that_are_not_at_hand(folder, content):
    content = copy.deepcopy(content)
    content['videos'][0]['path'] = 'videos/elsewhere.mp4'
    with pytest.raises(DataError, match="video 'v0': path must be an existing file or folder"):
        read(folder, content)
    first, second = ManifestBenchmark(root=str(folder), ann_file='changed.json', videos='optional').records
    assert first.path is None and first.intervals == [(1, 3)] and second.path == folder / 'videos/v1.mp4'
    with pytest.raises(ValueError, match=r"videos must be one of \('required', 'optional'\), got 'maybe'"):
        ManifestBenchmark(root=str(folder), videos='maybe')


def test_all_faults_are_collected(folder, content):
    content = copy.deepcopy(content)
    content['videos'] += [copy.deepcopy(content['videos'][1]) for _ in range(3)]
    content['videos'][0]['path'] = 'none.mp4'
    content['videos'][3].update(video_id='v3', fps=-1)
    content['videos'][4].update(video_id='v4')
    write_json_file(folder / 'changed.json', content)
    benchmark = ManifestBenchmark(root=str(folder), ann_file='changed.json', strict=False)
    assert [finding.code for finding in benchmark.findings] == ['missing-video', 'duplicate-video', 'bad-manifest']
    assert [record.video_id for record in benchmark.records] == ['v0', 'v1', 'v4']
    (folder / 'changed.json').write_text('{')
    benchmark = ManifestBenchmark(root=str(folder), ann_file='changed.json', strict=False)
    assert [finding.code for finding in benchmark.findings] == ['bad-manifest'] and benchmark.name == 'manifest'


@pytest.fixture(scope='module')
def validator():
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def accepts(folder, content):
    try:
        read(folder, content)
    except DataError:
        return False
    return True


# What a JSON schema cannot say: sizes and intervals at odds, words and videos that stand twice, files that are missing,
# and 1.0, which is a whole number to it.
BEYOND_SCHEMA = (
    "got 'A' twice",
    "got 'v1' twice",
    'existing file',
    '<= 5 frames, got 1, 6',
    'got 3, 3',
    'got 1.0, 3',
    'each word once',
    'boxes must be keyed by frames of the interval',
    "frame's",
    'x1 must be at most x2',
    'the last pixel of the frame',
    'fps must be a number of at least 0, got 1000',
)


def test_schema_accepts_what_the_reader_accepts(folder, content, validator):
    full = copy.deepcopy(content)
    full['categories'] = ['fight']
    full['videos'][0]['anomalies'][0]['boxes'] = {'1': [0, 0, 3, 3]}
    full['videos'][0]['anomalies'][0]['masks']['2']['counts'] = [0, SIDE * SIDE]
    bare = {'version': 1, 'categories': ['fight'], 'videos': [{'video_id': 'v1', 'path': 'videos/v1.mp4'}]}
    empty = copy.deepcopy(content)
    empty['videos'][1].update(num_frames=None, fps=None, height=None, width=None, anomalies=[])
    for good in (content, full, bare, empty):
        validator.validate(good)
        assert accepts(folder, good)


@pytest.mark.parametrize(
    ('place', 'change', 'rule'),
    [('top', *row) for row in BAD_TOPS]
    + [('video', *row) for row in BAD_VIDEOS]
    + [('anomaly', *r) for r in BAD_ANOMALIES],
)
def test_schema_refuses_what_the_reader_refuses(folder, content, validator, place, change, rule):
    content = copy.deepcopy(content)
    video = content['videos'][0]
    {'top': content, 'video': video, 'anomaly': video['anomalies'][0]}[place].update(change)
    assert not accepts(folder, content)
    assert validator.is_valid(content) == any(words in rule.replace('\\', '') for words in BEYOND_SCHEMA)


@pytest.mark.parametrize('field', ['version', 'videos'])
def test_required_fields_of_the_file(folder, content, validator, field):
    content = {key: value for key, value in content.items() if key != field}
    assert not accepts(folder, content) and not validator.is_valid(content)


@pytest.mark.parametrize('field', ['video_id', 'path'])
def test_required_fields_of_a_video(folder, content, validator, field):
    content = copy.deepcopy(content)
    content['videos'][0].pop(field)
    assert not accepts(folder, content) and not validator.is_valid(content)


@pytest.mark.parametrize('field', ['start', 'end'])
def test_required_fields_of_an_anomaly(folder, content, validator, field):
    content = copy.deepcopy(content)
    content['videos'][0]['anomalies'][0].pop(field)
    assert not accepts(folder, content) and not validator.is_valid(content)


def test_schema_holds_the_fields_of_the_reader(validator):
    from lavida_mm.datasets.benchmarks import manifest

    parts = validator.schema['$defs']
    assert set(validator.schema['properties']) == manifest.TOP_FIELDS
    assert set(parts['video']['properties']) == manifest.VIDEO_FIELDS
    assert set(parts['anomaly']['properties']) == manifest.ANOMALY_FIELDS
