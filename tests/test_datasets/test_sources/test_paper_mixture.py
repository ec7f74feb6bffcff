"""The paper's mixture over miniatures of its eleven sources, from files to packed samples, and its doctor."""

from collections import Counter

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from lavida_mm.datasets.sources.doctor import check_sources
from lavida_mm.datasets.training_stream import TrainingStream
from tests.conftest import ROOT
from tests.test_datasets.test_sources.test_label_map_sources import write_ade20k, write_cityscapes, write_mapillary
from tests.test_datasets.test_sources.test_ref_coco import content_of_refer, write
from tests.test_datasets.test_sources.video_worlds import (
    write_mevis,
    write_ref_davis,
    write_ref_youtube_vos,
    write_youtube_vos,
)

PARTITIONS = {'refcoco': 'unc', 'refcoco+': 'unc', 'refcocog': 'umd', 'refclef': 'unc'}
BACKGROUND = ['wall', 'sky']  # of the four classes of the miniature
DISTRACTORS = [f'thing {number}' for number in range(40)]  # miniatures have few words


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp('paper')
    write_youtube_vos(root / 'youtube_vos')
    write_ref_youtube_vos(root / 'ref_youtube_vos')
    write_mevis(root / 'mevis')
    write_ref_davis(root / 'ref_davis17')
    write_cityscapes(root / 'cityscapes')
    write_ade20k(root / 'ADEChallengeData2016')
    write_mapillary(root / 'mapillary_vistas')
    for dataset, partition in PARTITIONS.items():
        images = 'images/saiapr_tc-12' if dataset == 'refclef' else 'images/mscoco/images/train2014'
        write(root / 'refer', *content_of_refer(), dataset=dataset, partition=partition, images=images)
    config = Config.fromfile(ROOT / 'configs' / 'lavida_7b_paper.py')
    for source in config.train_dataloader.dataset.sources.values():
        source.data_root = source.data_root.replace('data/', f'{root}/')
        source.extra_words = DISTRACTORS
    config.train_dataloader.dataset.sources.ade20k.background_classes = BACKGROUND
    return config


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('lavida_mm'):
        yield


def test_samples_of_all_sources_keep_the_rules(config):
    stream = TrainingStream(config, seed=3)
    counts, positives = Counter(), Counter()
    for item in stream.draw(800):
        sample = item['data_samples']
        counts[sample.source] += 1
        positives[sample.source] += int(sample.gt_frame_labels.any())
        assert sample.gt_masks.shape == item['inputs'].shape[:1] + item['inputs'].shape[2:]
        assert sample.gt_frame_labels.tolist() == sample.gt_masks.flatten(1).any(dim=1).long().tolist()
        assert bool(sample.gt_category_labels.any()) == bool(sample.gt_masks.any())
        most = dict(cityscapes=6, mapillary=20).get(sample.source, 30)
        assert 1 <= len(set(sample.categories)) == len(sample.categories) <= most
    assert set(counts) == set(stream.configured_shares) and len(counts) == 11
    assert 0.3 < positives.total() / counts.total() < 0.6
    assert min(positives.values()) > 0 and len(positives) == 11
    video = {'youtube_vos', 'ref_youtube_vos', 'mevis', 'ref_davis17'}
    assert 0.6 < sum(counts[name] for name in video) / counts.total() < 0.8


def test_the_doctor_finds_them_and_compares_with_the_published_totals(config):
    reports = check_sources(config.train_dataloader.dataset.sources, deep=True)
    assert [report.state for report in reports] == ['found'] * 11, [report.faults for report in reports]
    by_name = {report.name: report for report in reports}
    assert by_name['ref_youtube_vos'].counts['videos'][1] == 3471
    assert any('published: 3,471' in line for line in by_name['ref_youtube_vos'].differences)
    assert 'published: 2,975' in by_name['cityscapes'].to_text()
    assert all(report.num_opened > 0 for report in reports)


def test_the_doctor_says_what_is_missing():
    config = Config.fromfile(ROOT / 'configs' / 'lavida_7b_paper.py')
    sources = config.train_dataloader.dataset.sources
    for source in sources.values():
        source.data_root = f'nowhere/{source.data_root}'
    reports = check_sources(sources)
    assert [report.state for report in reports] == ['missing'] * 11
    assert all(not any(report.paths.values()) and report.paths for report in reports)
    assert 'MISSING  mevis (MeViS)' in reports[list(sources).index('mevis')].to_text()


def test_the_doctor_lists_files_that_do_not_open(config, tmp_path):
    root = write_ade20k(tmp_path)
    image = next((root / 'images' / 'training').iterdir())
    image.write_bytes(b'no image')
    source = dict(config.train_dataloader.dataset.sources.ade20k, data_root=str(root))
    shallow, deep = (check_sources(dict(ade20k=source), deep=deep)[0] for deep in (False, True))
    assert shallow.ok and not deep.ok and deep.state == 'broken'
    assert any(str(image) in fault for fault in deep.faults)
