from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from lavida_mm.datasets import SourceMixture, VideoAnomalyDataset, VideoSampler, WeightedSourceSampler, samplers
from lavida_mm.datasets.draw import mixture_stream
from lavida_mm.datasets.samplers import assign_videos
from tests.test_datasets.test_video_anomaly_dataset import build
from tests.test_datasets.worlds import write_manifest

LENGTHS = (5, 4, 9, 17, 1, 2)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 5))
def test_ranks_share_the_videos(num_windows, world_size):
    videos = assign_videos(num_windows, world_size)
    assert sorted(video for rank in videos for video in rank) == list(range(len(num_windows)))
    assert all(rank == sorted(rank) for rank in videos)
    loads = [sum(num_windows[video] for video in rank) for rank in videos]
    assert max(loads) - min(loads) <= max(num_windows)


@pytest.fixture(scope='module')
def benchmark_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sampler')
    write_manifest(folder, LENGTHS)
    return folder


@pytest.mark.parametrize('world_size', [1, 2, 3])
@pytest.mark.parametrize(
    ('options', 'number'), [({}, 13), (dict(stride=2), 17), (dict(skip_videos=['v0', 'v3'], tail='drop'), 3)]
)
def test_every_window_goes_to_one_rank_once_and_videos_stay_whole(
    benchmark_folder, monkeypatch, world_size, options, number
):
    dataset = build(benchmark_folder, **options)
    seen = []
    for rank in range(world_size):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda rank=rank: (rank, world_size))
        sampler = VideoSampler(dataset=dataset, seed=0)
        own = list(sampler)
        assert len(own) == len(sampler) and own == sorted(own)
        videos = {dataset.data_list[index]['video'] for index in own}
        whole = [index for index, info in enumerate(dataset.data_list) if info['video'] in videos]
        assert own == whole
        seen += own
    assert sorted(seen) == list(range(len(dataset))) == list(range(number))


class Mixture:
    def __init__(self, sizes, shares):
        self.datasets = [range(size) for size in sizes]
        self.shares = shares


@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_ranks_take_turns_in_one_stream(monkeypatch, world_size):
    whole = list(islice(mixture_stream([9, 5], [0.25, 0.75], seed=3), 60))
    parts = []
    for rank in range(world_size):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda rank=rank: (rank, world_size))
        sampler = WeightedSourceSampler(dataset=Mixture([9, 5], [0.25, 0.75]), seed=3)
        parts.append(list(islice(sampler, 60 // world_size)))
        assert len(sampler) == 14
    assert [draw for turn in zip(*parts, strict=True) for draw in turn] == whole


def test_seeds_differ():
    first, again, other = (
        list(islice(WeightedSourceSampler(dataset=Mixture([50], [1]), seed=seed), 20)) for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ('dataset', 'message'),
    [
        (range(3), 'dataset must be a SourceMixture, got range'),
        (Mixture([3, 3], [0.5, 0.6]), 'shares must sum to 1'),
        (Mixture([3, 0], [0.5, 0.5]), r'shares\[1\] must be 0 for an empty source'),
    ],
)
def test_no_mixture_or_bad_shares(dataset, message):
    with pytest.raises(ValueError, match=message):
        WeightedSourceSampler(dataset=dataset, seed=0)


CLIP = [
    dict(type='SampleClip', num_frames=3, intervals=(1, 2)),
    dict(type='LoadClipFrames'),
    dict(type='LoadClipObjects'),
]
IMAGE = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=False, with_label=False, with_mask=True),
    dict(type='LoadImageObjects'),
]


def test_every_source_of_the_synthetic_world(small_world):
    clips = dict(type='CocoVidSource', data_root=str(small_world / 'clips'), ann_file='clips.json')
    sources = dict(
        images=dict(
            type='CocoInstancesSource',
            data_root=str(small_world / 'images'),
            ann_file='instances.json',
            pipeline=IMAGE,
        ),
        clips=dict(clips, pipeline=CLIP),
        phrases=dict(clips, words='phrase', expressions='meta_expressions.json', pipeline=CLIP),
        mp4_clips=dict(clips, data_root=str(small_world / 'mp4_clips'), pipeline=CLIP),
    )
    mixture = SourceMixture(
        sources=sources,
        shares=dict.fromkeys(sources, 0.25),
        anomaly_sampler=dict(type='PseudoAnomalySampler', max_categories=5),
        pack=dict(type='PackVADInputs'),
    )
    loader = DataLoader(
        mixture, batch_size=4, sampler=WeightedSourceSampler(dataset=mixture, seed=0), collate_fn=pseudo_collate
    )
    seen = Counter()
    for batch in islice(loader, 12):
        for frames, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
            seen[sample.source, bool(sample.gt_category_labels.any())] += 1
            assert frames.shape == (1 if sample.source == 'images' else 3, 3, 96, 96)
            assert sample.gt_masks.shape == (len(frames), 96, 96)
            assert sample.gt_frame_labels.tolist() == sample.gt_masks.flatten(1).any(1).long().tolist()
            assert bool(sample.gt_masks.any()) == bool(sample.gt_category_labels.any())
    assert {source for source, _ in seen} == set(sources) and {positive for _, positive in seen} == {True, False}


def test_benchmark_of_the_synthetic_world(small_world):
    benchmark = dict(type='ManifestBenchmark', root=str(small_world / 'benchmark'))
    dataset = VideoAnomalyDataset(benchmark=benchmark, window=8, pipeline=[dict(type='PackVADInputs')])
    labels = Counter()
    for index in VideoSampler(dataset=dataset):
        sample = dataset[index]['data_samples']
        frames = sample.gt_masks.flatten(1).any(1).long()
        assert (frames <= sample.gt_frame_labels).all()
        labels[sample.video_id] += int(sample.gt_frame_labels[: sample.num_valid].sum())
    expected = {
        record.video_id: int(record.frame_labels(record.num_frames).sum()) for record in dataset.benchmark.records
    }
    assert dict(labels) == expected and sum(expected.values()) > 0
