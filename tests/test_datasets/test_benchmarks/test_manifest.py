import copy

import numpy as np
import pytest

from lavida_mm.datasets.benchmarks import ManifestBenchmark
from lavida_mm.utils.errors import DataError
from tests.test_datasets.worlds import SIDE, box_mask, write_json_file, write_manifest


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
    assert second.has_ground_truth and second.intervals == [] and second.masks == {}


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
