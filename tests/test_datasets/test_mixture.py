from functools import partial
from itertools import islice

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from lavida_mm.datasets import SourceMixture, WeightedSourceSampler, samplers
from lavida_mm.datasets.draw import Draw
from lavida_mm.datasets.transforms import PseudoAnomalySampler
from lavida_mm.utils.errors import DataError
from tests.test_datasets.number_source import BrokenAt, NumberSource, show_draws
from tests.test_datasets.worlds import write_clips, write_images

SHARES = dict(a=0.25, b=0.75)
MORE_WORKERS_THAN_CORES = pytest.mark.filterwarnings('ignore:This DataLoader will create 3 worker:UserWarning')


def numbers(step=None, sizes=(20, 30), **options):
    pipeline = [show_draws] if step is None else [step, show_draws]
    sources = {name: NumberSource(size=size, name=name, pipeline=pipeline) for name, size in zip('ab', sizes)}
    return SourceMixture(sources=sources, shares=SHARES, **options)


def rank_samples(mixture, rank, ranks, workers, monkeypatch, skip=0, number=24):
    """The next samples of one rank, in batches of 3."""
    monkeypatch.setattr(samplers, 'get_dist_info', lambda: (rank, ranks))
    sampler = WeightedSourceSampler(dataset=mixture, seed=11)
    sampler.skip(skip)
    loader = DataLoader(mixture, batch_size=3, sampler=sampler, num_workers=workers, collate_fn=list)
    return [sample for batch in islice(loader, number // 3) for sample in batch]


@MORE_WORKERS_THAN_CORES
@pytest.mark.parametrize('workers', [0, 1, 3])
@pytest.mark.parametrize('ranks', [1, 2])
def test_samples_are_the_same_whoever_makes_them(workers, ranks, monkeypatch):
    mixture = numbers()
    whole = [mixture[draw] for draw in islice(WeightedSourceSampler(dataset=mixture, seed=11), 48)]
    assert len({sample[3] for sample in whole}) == 48
    parts = [rank_samples(mixture, rank, ranks, workers, monkeypatch) for rank in range(ranks)]
    assert [sample for turn in zip(*parts, strict=True) for sample in turn] == whole[: 24 * ranks]
    for rank in range(ranks):  # what follows when 5 batches are done
        rest = rank_samples(mixture, rank, ranks, workers, monkeypatch, skip=15, number=9)
        assert rest == parts[rank][15:]


def test_a_draw_leaves_the_generators_alone_and_an_index_uses_them():
    mixture = numbers()
    np.random.seed(3)
    first = mixture[5]
    np.random.seed(3)
    assert mixture[Draw(5, 1)] == mixture[Draw(5, 1)] != mixture[Draw(5, 2)]
    assert mixture[5][3] == first[3]


def test_bad_item_ends_the_run_or_is_replaced_by_its_own_source(warned):
    with pytest.raises(DataError, match='number 7 is broken'):
        numbers(BrokenAt([7]))[Draw(7, 0)]
    mixture = numbers(BrokenAt([7]), on_error='replace')
    samples = [mixture[Draw(item, seed)] for item in (7, 27) for seed in range(30)]
    assert [sample[0] for sample in samples] == ['a'] * 30 + ['b'] * 30
    assert mixture.replaced == dict(a=30, b=30)
    found = {sample[1] for sample in samples}
    assert 7 not in found and len(found) > 12
    messages = warned()
    assert len(messages) == 60
    assert messages[0] == ("source 'a': item 7 is replaced by another (1 so far in this process): number 7 is broken")
    assert samples[:3] == [numbers(BrokenAt([7]), on_error='replace')[Draw(7, seed)] for seed in range(3)]


def test_good_samples_do_not_depend_on_what_happens_to_bad_ones():
    raising, replacing = (numbers(BrokenAt([7]), on_error=on_error) for on_error in ('raise', 'replace'))
    for item in (3, 8, 40):
        assert raising[Draw(item, 5)] == replacing[Draw(item, 5)]
    assert replacing[Draw(7, 5)] == numbers(BrokenAt([7]), on_error='replace')[Draw(7, 5)]
    np.random.seed(0)
    assert replacing[7][1] != 7  # a plain index is replaced too


def test_replacement_is_any_other_item():
    mixture = numbers(BrokenAt([2]), sizes=(4, 1), on_error='replace')
    assert {mixture[Draw(2, seed)][1] for seed in range(40)} == {0, 1, 3}


def test_only_data_errors_are_replaced():
    with pytest.raises(KeyError, match='number 7 is broken'):
        numbers(BrokenAt([7], KeyError), on_error='replace')[7]


def test_no_more_than_a_share_is_replaced():
    mixture = numbers(BrokenAt([7]), on_error='replace', max_replaced=0.02)
    for item in [7, 7, 7, *[3] * 96]:
        mixture[Draw(item, 0)]
    with pytest.raises(
        DataError, match=r"4 of 100 samples .*'a': 4.* share of max_replaced=0.02 .*: number 7 is broken"
    ):
        mixture[Draw(7, 0)]


def test_a_source_of_bad_items_ends_the_run_soon():
    with pytest.raises(DataError, match=r"source 'b': 10 items in a row cannot be loaded"):
        numbers(BrokenAt(range(30)), on_error='replace')[Draw(33, 0)]
    with pytest.raises(DataError, match='number 0 is broken'):
        numbers(BrokenAt([0]), sizes=(1, 1), on_error='replace')[Draw(0, 0)]


def test_mixture_by_name(tmp_path):
    write_images(tmp_path / 'a')
    write_clips(tmp_path / 'b')
    sources = dict(
        images=dict(type='CocoInstancesSource', data_root=str(tmp_path / 'a'), ann_file='instances.json'),
        clips=dict(type='CocoVidSource', data_root=str(tmp_path / 'b'), ann_file='clips.json'),
        gone=dict(type='CocoVidSource', data_root='nowhere', ann_file='clips.json'),
    )
    mixture = SourceMixture(sources=sources, shares=dict(images=0.25, clips=0.75, gone=0))
    assert mixture.names == ['clips', 'images'] and mixture.shares == [0.75, 0.25] and len(mixture) == 4
    assert [mixture[index]['source'] for index in range(4)] == ['clips', 'clips', 'images', 'images']


build_two = partial(SourceMixture, sources=dict(a=dict(type='NumberSource'), b=dict(type='NumberSource')))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(shares=dict(a=1)), r"difference in \['b'\]"),
        (dict(shares=dict(a=0.5, b=0.5, c=0)), r"difference in \['c'\]"),
        (dict(shares=dict(a=0.5, b=0.4)), r'shares must sum to 1, .* sum to 0.9'),
        (dict(shares=dict(a=0, b=0)), r'shares must sum to 1, .* sum to 0'),
        (dict(shares=SHARES, on_error='skip'), "on_error must be 'raise' or 'replace', got 'skip'"),
        (dict(shares=SHARES, max_replaced=1.5), r'max_replaced must be in \[0, 1\], got 1.5'),
    ],
)
def test_arguments_that_break_a_rule(options, message):
    with pytest.raises(ValueError, match=message):
        build_two(**options)


def build_samplers(own, common=None):
    """The samplers of two sources, the second of which has its own values."""
    sources = dict(
        a=dict(type='NumberSource', pipeline=[BrokenAt([])]), b=dict(type='NumberSource', anomaly_sampler=own)
    )
    mixture = SourceMixture(sources=sources, shares=SHARES, anomaly_sampler=common, pack=dict(type='PackVADInputs'))
    steps = [source.pipeline.transforms for source in mixture.datasets]
    assert [type(each[-1]).__name__ for each in steps] == ['PackVADInputs'] * 2
    return steps[0][-2], steps[1][-2]


def test_a_source_changes_values_of_the_sampler_or_takes_another():
    common = dict(type='PseudoAnomalySampler', max_categories=3, anomaly_ratio=0.25)
    first, second = build_samplers(dict(max_categories=2), common)
    assert (first.max_categories, first.anomaly_ratio) == (3, 0.25)
    assert (second.max_categories, second.anomaly_ratio) == (2, 0.25)
    _, second = build_samplers(dict(type='PseudoAnomalySampler', max_categories=2), common)
    assert (second.max_categories, second.anomaly_ratio) == (2, 0.5)
    assert common == dict(type='PseudoAnomalySampler', max_categories=3, anomaly_ratio=0.25)
    with pytest.raises(ValueError, match=r'sources.b.anomaly_sampler must have a type, since the mixture has none'):
        build_samplers(dict(max_categories=2))


MIXED = dict(
    type='RandomChoice',
    prob=[0.75, 0.25],
    transforms=[
        dict(type='PseudoAnomalySampler', max_categories=3, anomaly_ratio=1.0),
        dict(type='PseudoAnomalySampler', max_categories=3, anomaly_ratio=0.0),
    ],
)


def test_small_vocabulary_is_an_error_at_build_wherever_the_sampler_stands():
    too_many = [dict(type='PseudoAnomalySampler', max_categories=4)]
    message = r"source 'a': max_categories must be at most 3, since its vocabulary has 3 words, got 4"
    for sampler in (*too_many, dict(type='RandomChoice', transforms=too_many)):
        with pytest.raises(ValueError, match=message):
            SourceMixture(sources=dict(a=dict(type='NumberSource')), shares=dict(a=1), anomaly_sampler=sampler)


@MORE_WORKERS_THAN_CORES
def test_samplers_mixed_by_weight(small_world):
    clips = dict(
        type='CocoVidSource',
        data_root=str(small_world / 'clips'),
        ann_file='clips.json',
        pipeline=[
            dict(type='SampleClip', num_frames=2, intervals=(1, 2)),
            dict(type='LoadClipFrames'),
            dict(type='LoadClipObjects'),
        ],
    )
    mixture = SourceMixture(
        sources=dict(clips=clips), shares=dict(clips=1), anomaly_sampler=MIXED, pack=dict(type='PackVADInputs')
    )
    draws = list(islice(WeightedSourceSampler(dataset=mixture, seed=2), 60))
    found = [mixture[draw] for draw in draws]
    positives = sum(bool(each['data_samples'].gt_category_labels.any()) for each in found)
    assert 34 <= positives <= 55  # 99.9 % of the binomial distribution of 60 with 0.75
    for workers in (0, 1, 3):
        loader = DataLoader(mixture, batch_size=4, sampler=draws[:12], num_workers=workers, collate_fn=pseudo_collate)
        again = [sample for batch in loader for sample in batch['data_samples']]
        frames = [frames for batch in loader for frames in batch['inputs']]
        for old, new, images in zip(found, again, frames, strict=False):
            assert new.categories == old['data_samples'].categories and new.template == old['data_samples'].template
            assert (images == old['inputs']).all() and (new.gt_masks == old['data_samples'].gt_masks).all()


def test_transforms_find_our_samplers_without_a_default_scope():
    mixture = SourceMixture(sources=dict(a=dict(type='NumberSource')), shares=dict(a=1), anomaly_sampler=MIXED)
    choices = mixture.datasets[0].pipeline.transforms[0].transforms
    assert [type(each.transforms[0]) for each in choices] == [PseudoAnomalySampler] * 2
