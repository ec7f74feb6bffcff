import copy
import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lavida_mm.datasets import ManifestBenchmark, VideoAnomalyDataset, VideoRecord
from lavida_mm.datasets.video_anomaly_dataset import shuffle_prompts, tile_windows
from lavida_mm.utils.errors import DataError
from tests.test_datasets.worlds import SIDE, box_mask, clip_frames, write_json_file, write_manifest
from tests.videos import write_video

PACK = [dict(type='PackVADInputs')]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('benchmark')
    write_manifest(folder, (5, 4, 9))
    return folder


def build(folder, **options):
    options = dict(window=4, reader=dict(backend='pyav'), pipeline=PACK) | options
    return VideoAnomalyDataset(benchmark=dict(type='ManifestBenchmark', root=str(folder)), **options)


@given(num_frames=st.integers(1, 70), window=st.integers(1, 9), interval=st.integers(1, 12))
def test_windows_score_every_frame_once(num_frames, window, interval):
    tiles = tile_windows(num_frames, window, interval)
    assert tiles.shape[1] == window
    sampled = tiles.ravel().tolist()
    real = sampled[: sampled.index(max(sampled)) + 1]
    held = [frame for start in real for frame in range(start, min(start + interval, num_frames))]
    assert held == list(range(num_frames))
    assert set(sampled[len(real) :]) <= {real[-1]} and len(sampled) - len(real) < window


@given(st.lists(st.lists(st.sampled_from('abcd'), min_size=1, max_size=2), min_size=2, max_size=8))
def test_shuffled_prompts_are_a_derangement_and_a_permutation(prompts):
    assume(len(set(map(frozenset, prompts))) > 1)
    order = shuffle_prompts(prompts)
    assert sorted(order) == list(range(len(prompts)))
    assert all(place != source for place, source in enumerate(order))


def test_shuffled_prompts_avoid_equal_words():
    prompts = [['a'], ['A'], ['b'], [' b'], ['c'], ['c']]
    order = shuffle_prompts(prompts)
    assert all(
        prompts[place][0].strip().lower() != prompts[source][0].strip().lower() for place, source in enumerate(order)
    )
    with pytest.raises(ValueError, match='at least 2 videos'):
        shuffle_prompts([['a']])


def test_shuffled_prompts_refuse_the_same_words_for_all():
    with pytest.raises(ValueError, match=r'different words .*, got 3 with the same'):
        shuffle_prompts([['a', 'b'], ['B', 'a'], ['a', ' b']])


@pytest.mark.parametrize('backend', ['pyav', 'decord'])
def test_windows_of_a_benchmark(folder, backend):
    dataset = build(folder, reader=dict(backend=backend))
    assert len(dataset) == 6 and dataset.num_windows == [2, 1, 3] and dataset.window_starts == [0, 2, 3]
    assert dataset.metainfo['video_lengths'] == {'v0': 5, 'v1': 4, 'v2': 9}
    first, second = dataset[0], dataset[1]
    sample = first['data_samples']
    assert first['inputs'].shape == (4, 3, SIDE, SIDE)
    assert sample.video_id == 'v0' and sample.categories == ['red star', 'word 0'] and sample.source == 'mini'
    assert sample.frame_inds.tolist() == [0, 1, 2, 3] and sample.num_valid == 4 and sample.num_frames == 5
    assert sample.fps == 8.0 and sample.ori_shape == (SIDE, SIDE) and sample.template == 0
    assert sample.gt_frame_labels.tolist() == [0, 1, 1, 0]
    assert sample.gt_category_labels.tolist() == [1, 0]
    assert np.array_equal(sample.gt_masks[2].numpy(), box_mask(4, 4))
    for index in range(4):  # the red box of frame i stands at column 2 i
        red = first['inputs'][index, 0].numpy() > 150
        assert abs(np.flatnonzero(red.any(0))[0] - 2 * index) <= 1
    last = second['data_samples']
    assert last.frame_inds.tolist() == [4, 4, 4, 4] and last.num_valid == 1
    assert (second['inputs'] == second['inputs'][:1]).all()
    assert last.gt_category_labels.tolist() == [0, 0] and not last.gt_masks.any()
    normal = dataset[2]['data_samples']
    assert normal.gt_masks.shape == (4, SIDE, SIDE) and not normal.gt_masks.any()
    with pytest.raises(IndexError):
        dataset[6]


def test_interval_keeps_the_labels_between(folder):
    sample = build(folder, window=2, frame_interval=2)[0]['data_samples']
    assert sample.frame_inds.tolist() == [0, 2] and sample.frame_interval == 2
    assert sample.gt_frame_labels.tolist() == [0, 1] and sample.video_labels.tolist() == [0, 1, 1, 0, 0]


def test_reading_out_of_order_gives_the_same(folder):
    dataset = build(folder)
    forward = [dataset[index]['inputs'] for index in range(6)]
    for index in (5, 0, 3, 1):
        assert (dataset[index]['inputs'] == forward[index]).all()


def test_prompt_words(folder):
    assert build(folder, prompt_words='absent')[0]['data_samples'].categories == ['green cross', 'blue ring']
    shuffled = build(folder, prompt_words='shuffled')
    assert [shuffled[index]['data_samples'].categories[1] for index in (0, 2, 3)] == ['word 1', 'word 2', 'word 0']
    own = build(folder, prompt_words=[' Fire ', 'smoke'])
    assert own[0]['data_samples'].categories == own[5]['data_samples'].categories == ['Fire', 'smoke']
    labels = [
        build(folder, prompt_words=words)[0]['data_samples'].gt_frame_labels.tolist() for words in ('own', 'absent')
    ]
    assert labels[0] == labels[1] == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(window=0), 'window must be a whole number of at least 1, got 0'),
        (dict(frame_interval=0), 'frame_interval'),
        (dict(prompt_words='mine'), "prompt_words must be a list of words or one of .*, got 'mine'"),
        (dict(prompt_words=[]), 'prompt_words must hold at least one word'),
        (dict(prompt_words=['a', 'A ']), 'prompt_words must name each word once'),
        (dict(prompt_words=['a', '']), 'not blank'),
        (dict(reader=dict(backend='cv2')), r"reader\.backend must be one of .*, got 'cv2'"),
        (dict(reader=dict(threads=2)), r"reader must hold backend only, got \['threads'\]"),
    ],
)
def test_options_out_of_range(folder, options, message):
    with pytest.raises(ValueError, match=message):
        build(folder, **options)


def test_two_hundred_words_pass(folder):
    words = [f'word {number}' for number in range(200)]
    assert build(folder, prompt_words=words)[0]['data_samples'].gt_category_labels.shape == (200,)


def change(folder, name, **values):
    content = write_manifest(folder / name, (5, 4))
    content['videos'][0].update(copy.deepcopy(values))
    write_json_file(folder / name / 'manifest.json', content)
    return folder / name


def test_counts_what_the_manifest_leaves_out(tmp_path):
    root = change(tmp_path, 'open', num_frames=None, fps=None, height=None, width=None)
    dataset = build(root)
    sample = dataset[0]['data_samples']
    assert (sample.num_frames, sample.fps, sample.ori_shape) == (5, 8.0, (SIDE, SIDE))


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (dict(num_frames=6), r"video 'v0': num_frames must be what the file has, got 6, .*v0\.mp4 has 5"),
        (dict(height=40, anomalies=[]), "video 'v0': height must be what the file has, got 40"),
    ],
)
def test_a_file_at_odds_with_the_manifest(tmp_path, values, message):
    dataset = build(change(tmp_path, 'odd', **values))
    with pytest.raises(DataError, match=message):
        dataset[0]
    assert dataset[len(dataset) - 1]['data_samples'].video_id == 'v1'


def test_interval_beyond_a_counted_video(tmp_path):
    anomalies = [{'category': 'red star', 'start': 1, 'end': 9}]
    with pytest.raises(DataError, match="video 'v0': end must be at most 5"):
        build(change(tmp_path, 'long', num_frames=None, anomalies=anomalies))


def test_absent_words_that_nobody_gave(tmp_path):
    root = change(tmp_path, 'none')
    benchmark = ManifestBenchmark(root=str(root))
    benchmark.records[1].absent_categories = []
    with pytest.raises(DataError, match="video 'v1': absent_categories must hold words for prompt_words='absent'"):
        VideoAnomalyDataset(benchmark=benchmark, prompt_words='absent')


def test_bad_run_lengths_of_a_mask(tmp_path):
    anomalies = [{'category': 'x', 'start': 1, 'end': 3, 'masks': {'1': {'size': [SIDE, SIDE], 'counts': '1'}}}]
    dataset = build(change(tmp_path, 'rle', anomalies=anomalies))
    with pytest.raises(DataError, match=r"video 'v0': masks of frame 1: segmentation.counts must sum to"):
        dataset[0]


def test_videos_without_ground_truth(tmp_path):
    path = write_video(tmp_path / 'v.mp4', clip_frames(3))

    class Folder:
        name = 'own'
        records = [VideoRecord(video_id='v', path=path, categories=['x'], has_ground_truth=False)]

    sample = VideoAnomalyDataset(benchmark=Folder(), window=8, reader=dict(backend='pyav'), pipeline=PACK)[0]
    sample = sample['data_samples']
    assert sample.num_valid == 3 and sample.frame_inds.tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
    assert 'gt_frame_labels' not in sample and 'gt_masks' not in sample


def test_an_open_video_does_not_travel_to_workers(folder):
    dataset = build(folder)
    dataset[0]
    twin = pickle.loads(pickle.dumps(dataset))
    assert (twin[1]['inputs'] == dataset[1]['inputs']).all()
