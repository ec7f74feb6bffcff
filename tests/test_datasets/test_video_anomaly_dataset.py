import copy
import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from lavida_mm.datasets import (
    ManifestBenchmark,
    VideoAnomalyDataset,
    VideoRecord,
    open_video,
    video_anomaly_dataset,
)
from lavida_mm.datasets.benchmarks.doctor import find_benchmarks
from lavida_mm.datasets.readers import video_probe
from lavida_mm.datasets.video_anomaly_dataset import (
    WindowList,
    count_windows,
    find_scored,
    shuffle_prompts,
    tile_windows,
)
from lavida_mm.utils.errors import DataError
from tests.test_datasets.test_benchmarks.miniatures import MINIATURES
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


TILINGS = dict(
    num_frames=st.integers(1, 90), window=st.integers(1, 9), interval=st.integers(1, 12), gap=st.integers(0, 8)
)


def scored_frames(num_frames: int, window: int, interval: int, stride: int, tail: str) -> list[int]:
    """Every frame that gets a score, in order, once for each score it gets."""
    tiles = tile_windows(num_frames, window, interval, stride, tail)
    assert tiles.shape == (count_windows(num_frames, window, interval, stride, tail), window)
    scored = []
    for place, inds in enumerate(tiles):
        first_scored, num_valid = find_scored(inds, place, stride)
        assert inds[0] == place * stride * interval and set(inds[num_valid:]) <= {inds[num_valid - 1]}
        assert (np.diff(inds[:num_valid]) == interval).all() and 0 <= first_scored < num_valid <= window
        for start in inds[first_scored:num_valid].tolist():
            scored += range(start, min(start + interval, num_frames))
    return scored


@given(**TILINGS)
def test_padded_windows_score_every_frame_once(num_frames, window, interval, gap):
    stride = max(window - gap, 1)
    assert scored_frames(num_frames, window, interval, stride, 'pad') == list(range(num_frames))
    assert len(tile_windows(num_frames, window, interval)) == -(-num_frames // (window * interval))


@given(**TILINGS)
def test_dropped_tails_leave_whole_windows_only(num_frames, window, interval, gap):
    stride = max(window - gap, 1)
    scored = scored_frames(num_frames, window, interval, stride, 'drop')
    number = count_windows(num_frames, window, interval, stride, 'drop')
    span, step = window * interval, stride * interval
    assert number == sum(start + span <= num_frames for start in range(0, num_frames, step))
    assert scored == list(range(span + (number - 1) * step if number else 0))


def test_dropped_tails_of_ucf_crime(shared_data):
    """The authors' windows, 8 frames at an interval of 128, leave out a quarter of the videos."""
    lines = (shared_data / 'annotations' / 'ucf_crime' / 'num_frames.csv').read_text().split()[1:]
    lengths = [int(line.split(',')[1]) for line in lines]
    assert len(lengths) == 290 and sum(lengths) == 1_111_808
    scored = [len(scored_frames(length, 8, 128, 8, 'drop')) for length in lengths]
    assert scored.count(0) == 71
    assert sum(lengths) - sum(scored) == 152_320


def test_window_list_knows_video_and_place():
    windows = WindowList([2, 0, 3, 0])
    assert len(windows) == 5 and len(WindowList([])) == len(WindowList([0])) == 0
    expected = [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2)]
    assert [(window['video'], window['place']) for window in windows] == expected
    assert windows[-1] == windows[4] == dict(video=2, place=2) and windows[1:3] == [windows[1], windows[2]]
    with pytest.raises(IndexError):
        windows[5]


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


def test_interval_labels_the_sampled_frames(folder):
    sample = build(folder, window=2, frame_interval=2)[0]['data_samples']
    assert sample.frame_inds.tolist() == [0, 2] and sample.frame_interval == 2
    assert sample.gt_frame_labels.tolist() == [0, 1]


@pytest.mark.parametrize('backend', ['pyav', 'decord'])
def test_overlapping_windows(folder, backend, monkeypatch):
    opened = []

    def open_counted(path, *args, **options):
        reader = open_video(path, *args, **options)
        read = reader._read
        reader._read = lambda inds: opened[-1][1].extend(inds) or read(inds)
        opened.append((path.stem, []))
        return reader

    whole = build(folder, window=9, reader=dict(backend=backend))
    expected = whole[2]['inputs']
    monkeypatch.setattr(video_anomaly_dataset, 'open_video', open_counted)
    dataset = build(folder, stride=2, reader=dict(backend=backend))
    assert dataset.num_windows == [2, 1, 4] and dataset.window_starts == [0, 2, 3]
    items = [dataset[index] for index in range(len(dataset))]
    assert opened == [('v0', [0, 1, 2, 3, 4]), ('v1', [0, 1, 2, 3]), ('v2', list(range(9)))]
    spans = [(item['data_samples'].first_scored, item['data_samples'].num_valid) for item in items]
    assert spans == [(0, 4), (2, 3), (0, 4), (0, 4), (2, 4), (2, 4), (2, 3)]
    for item in items[3:]:
        assert (item['inputs'] == expected[item['data_samples'].frame_inds]).all()
    assert items[1]['data_samples'].gt_frame_labels.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(('window', 'stride', 'tail'), [(4, 1, 'pad'), (4, 2, 'pad'), (4, 3, 'drop'), (4, 4, 'pad')])
def test_windows_that_are_averaged_say_which_frames_no_later_one_holds(folder, window, stride, tail):
    dataset = build(folder, window=window, stride=stride, overlap='mean', tail=tail)
    samples = [dataset[index]['data_samples'] for index in range(len(dataset))]
    held = [(one.video_id, one.frame_inds[: one.num_valid].tolist()) for one in samples]
    for number, sample in enumerate(samples):
        assert sample.first_scored == 0
        later = {frame for video_id, inds in held[number + 1 :] if video_id == sample.video_id for frame in inds}
        settled = [frame not in later for frame in held[number][1]]
        assert settled == [place < sample.num_settled for place in range(sample.num_valid)]
    assert dataset.metainfo['evaluation_options']['overlap'] == 'mean'


def test_dropped_tails_have_no_window(folder):
    dataset = build(folder, window=2, frame_interval=2, tail='drop')
    assert dataset.num_windows == [1, 1, 2] and dataset.metainfo['video_lengths'] == {'v0': 5, 'v1': 4, 'v2': 9}
    assert [dataset[index]['data_samples'].num_valid for index in range(4)] == [2, 2, 2, 2]
    assert len(build(folder, window=10, tail='drop')) == 0


def test_template_and_skipped_videos(folder):
    dataset = build(folder, template=3, skip_videos=['v0', 'v2'])
    assert dataset.num_windows == [0, 1, 0] and dataset.window_starts == [0, 0, 1]
    assert dataset[0]['data_samples'].video_id == 'v1' and dataset[0]['data_samples'].template == 3
    assert list(dataset.metainfo['video_lengths']) == ['v0', 'v1', 'v2']
    assert len(build(folder, skip_videos=['v0', 'v1', 'v2'])) == 0
    with pytest.raises(ValueError, match=r"skip_videos must name videos of benchmark \w+, got 'gone', one of 1"):
        build(folder, skip_videos=['v0', 'gone'])


def test_metainfo_is_what_a_metric_needs_and_is_not_copied(folder):
    dataset = build(folder, window=2, stride=1, frame_interval=2, tail='drop', template=1, prompt_words=['fire'])
    dataset.benchmark.options = dict(interval_ends='inclusive')
    dataset.load_data_list()
    metainfo = dataset.metainfo
    assert metainfo['records'] is dataset.benchmark.records and metainfo['benchmark'] == dataset.benchmark.name
    assert [record.num_frames for record in metainfo['records']] == [5, 4, 9]
    assert metainfo['evaluation_options'] == dict(
        window=2,
        frame_interval=2,
        stride=1,
        overlap='first',
        tail='drop',
        template=1,
        prompt_words=['fire'],
        interval_ends='inclusive',
    )
    metainfo.clear()
    assert dataset.metainfo


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
        (dict(window=True), 'window must be a whole number of at least 1, got True'),
        (dict(stride=0), r'stride must be a whole number in 1..4 \(window\), got 0'),
        (dict(stride=5), r'stride must be a whole number in 1..4 \(window\), got 5'),
        (dict(overlap='last'), r"overlap must be one of \('first', 'mean'\), got 'last'"),
        (dict(tail='cut'), r"tail must be one of \('pad', 'drop'\), got 'cut'"),
        (dict(template=-1), 'template must be a whole number of at least 0, got -1'),
        (dict(skip_videos='v0'), "skip_videos must be a list of video ids, got 'v0'"),
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


def test_annotation_beyond_a_counted_video_is_cut_with_a_warning(tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(video_anomaly_dataset, 'print_log', lambda text, **options: warnings.append(text))
    anomalies = [{'category': 'red star', 'start': 1, 'end': 9}, {'category': 'gone', 'start': 5, 'end': 7}]
    root = change(tmp_path, 'long', num_frames=None, anomalies=anomalies)
    dataset = build(root)
    assert len(warnings) == 1 and "video 'v0': end must be at most 5, the frames of" in warnings[0]
    (record, _) = dataset.metainfo['records']
    assert record.intervals == [(1, 5)] and record.interval_categories == ['red star']
    assert dataset[0]['data_samples'].gt_frame_labels.tolist() == [0, 1, 1, 1]
    assert len(warnings) == 1
    with pytest.raises(DataError, match='end'):
        build(change(tmp_path, 'stated', num_frames=5, anomalies=anomalies))


def test_a_video_that_is_not_at_hand():
    class Annotation:
        name = 'ucf_crime'
        records = [VideoRecord(video_id='Abuse001', num_frames=9, origin='list.txt:1')]

    with pytest.raises(DataError, match=r"list.txt:1: video 'Abuse001' must be at hand"):
        VideoAnomalyDataset(benchmark=Annotation(), prompt_words=['arson'])


def test_absent_words_that_nobody_gave(tmp_path):
    root = change(tmp_path, 'none')
    benchmark = ManifestBenchmark(root=str(root))
    benchmark.records[1].absent_categories = []
    with pytest.raises(DataError, match="video 'v1': absent_categories must hold words for prompt_words='absent'"):
        VideoAnomalyDataset(benchmark=benchmark, prompt_words='absent')


@pytest.mark.parametrize('words', ['own', 'shuffled'])
def test_a_benchmark_that_names_no_words(folder, words):
    benchmark = ManifestBenchmark(root=str(folder))
    benchmark.records[1].categories = []
    with pytest.raises(ValueError, match=rf"prompt_words must be a list of words, got '{words}': .* video 'v1'"):
        VideoAnomalyDataset(benchmark=benchmark, prompt_words=words)
    assert VideoAnomalyDataset(benchmark=benchmark, prompt_words=['fire'], window=4).prompts[1] == ['fire']


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


def test_a_forked_worker_opens_its_own_video(folder, monkeypatch):
    """A decoder's threads are not in a forked process: to read on there, or to close it, would wait for ever."""
    monkeypatch.setattr(video_probe, 'THREADED_PIXELS', 1)
    dataset = build(folder, window=2, reader=dict(backend='pyav'))
    expected = [dataset[index]['inputs'] for index in range(len(dataset))]
    dataset[1]  # leaves a video open
    loader = DataLoader(dataset, num_workers=1, multiprocessing_context='fork', collate_fn=pseudo_collate, timeout=20)
    found = [batch['inputs'][0] for batch in loader]
    assert all((own == other).all() for own, other in zip(found, expected, strict=True))
    assert (dataset[2]['inputs'] == expected[2]).all()


@pytest.mark.parametrize('name', MINIATURES)
def test_windows_of_every_benchmark(tmp_path, name):
    """Every frame comes once, in order, with the label and the mask that its record has for it."""
    MINIATURES[name](tmp_path)
    dataset = VideoAnomalyDataset(
        benchmark=find_benchmarks()[name](root=tmp_path), window=4, stride=3, prompt_words=['fire'], pipeline=PACK
    )
    labels = {record.video_id: [] for record in dataset.metainfo['records']}
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        scored = slice(sample.first_scored, sample.num_valid)
        (record,) = (each for each in dataset.records if each.video_id == sample.video_id)
        assert sample.frame_inds[scored][0] == len(labels[sample.video_id])
        assert dataset[index]['inputs'].shape == (4, 3, *sample.ori_shape)
        labels[sample.video_id] += sample.get('gt_frame_labels', np.full(4, -1))[scored].tolist()
        assert ('gt_masks' in sample) == (record.masks is not None)
        if record.masks is not None:
            assert sample.gt_masks.shape == (4, *sample.ori_shape)
            shown = sample.gt_masks.flatten(1).any(1).long()
            assert (shown <= sample.gt_frame_labels).all()
    for record in dataset.records:
        expected = record.frame_labels(record.num_frames) if record.has_ground_truth else np.full(record.num_frames, -1)
        assert labels[record.video_id] == expected.tolist()
