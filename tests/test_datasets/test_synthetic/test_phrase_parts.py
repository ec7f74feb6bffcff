import filecmp
import json

import av
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from pycocotools import mask as coco_mask

from lavida_mm.datasets.draw import Draw
from lavida_mm.datasets.synthetic import BEHAVIOURS, HELD_OUT_PAIRS, TRAINED_PAIRS, build_world
from lavida_mm.datasets.word_embeddings import load_embeddings
from lavida_mm.registry import DATASETS, METRICS
from tests.conftest import ROOT

from .conftest import PHRASES

# pycocotools' decoder under numpy 2
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')

SPLITS = ['behaviour', 'relation']


def read(path):
    return json.loads(path.read_text())


def files_of(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob('*') if path.is_file())


def test_same_seed_same_bytes_whatever_the_workers(phrase_world, tmp_path):
    counts = {**PHRASES, 'relation_clips': 2}
    parts = ['behaviour', 'relation_clips']
    build_world(tmp_path, seed=3, counts=counts, parts=parts, workers=2, progress=False)
    names = [name for name in files_of(tmp_path) if name.startswith('behaviour/') or name.endswith('.jpg')]
    assert len(names) == 7 + 32
    assert filecmp.cmpfiles(tmp_path, phrase_world, names, shallow=False) == (names, [], [])


def test_world_json_says_how_it_was_made(phrase_world):
    world = read(phrase_world / 'world.json')
    assert world['counts'] == PHRASES
    assert {name: record['seed'] for name, record in world['parts'].items()} == {
        'behaviour_clips': 3, 'relation_clips': 3, 'behaviour': 1_000_006, 'relation': 1_000_006
    }  # fmt: skip
    assert (world['seed'], world['benchmark_seed']) == (3, 1_000_006)


def test_pairs_held_out_from_the_plain_parts_are_not_here_either(phrase_world):
    held_out = {str(pair) for pair in HELD_OUT_PAIRS}
    for path in phrase_world.glob('*/*.json'):
        text = path.read_text()
        assert not any(pair in text for pair in held_out), path
    for split in SPLITS:
        objects = [thing for video in read(phrase_world / split / 'objects.json').values() for thing in video]
        assert {(thing['colour'], thing['shape']) for thing in objects} <= set(TRAINED_PAIRS)


@pytest.mark.parametrize('split', SPLITS)
def test_manifest_agrees_with_tracks_and_videos(phrase_world, split):
    manifest = read(phrase_world / split / 'manifest.json')
    objects, design = (read(phrase_world / split / f'{name}.json') for name in ('objects', 'design'))
    assert manifest['name'] == f'synthetic_{split}'
    assert [bool(video['anomalies']) for video in manifest['videos']] == [True, True, False]
    for video in manifest['videos']:
        name = video['video_id']
        with av.open(str(phrase_world / split / video['path'])) as container:
            assert sum(1 for _ in container.decode(video=0)) == video['num_frames'] == 48
        twins = [thing for thing in objects[name] if [thing['colour'], thing['shape']] == design[name]['pair']]
        assert len(twins) == 2 and twins == objects[name][:2]
        assert all(len(thing['track']) == 48 for thing in twins[:1])
        assert design[name]['anomalous'] == bool(video['anomalies'])
        for anomaly in video['anomalies']:
            assert anomaly['category'] == design[name]['target'] in video['categories']
            assert sorted(map(int, anomaly['masks'])) == list(range(anomaly['start'], anomaly['end']))
            for frame, code in anomaly['masks'].items():
                assert int(coco_mask.area(code)) == twins[0]['track'][frame]['area'] >= 10


@pytest.mark.parametrize('split', SPLITS)
def test_split_fits_its_config(phrase_world, split):
    init_default_scope('lavida_mm')
    config = Config.fromfile(ROOT / f'configs/eval/lavida_tiny_synthetic_{split}.py')
    assert config.test_dataloader.dataset.benchmark.root == f'data/synthetic_world/{split}'
    config.test_dataloader.dataset.benchmark.root = str(phrase_world / split)
    dataset = DATASETS.build(config.test_dataloader.dataset)
    METRICS.build(config.test_evaluator).dataset_meta = dataset.metainfo  # refuses figures that it cannot compute
    assert config.test_evaluator.pixel and len(dataset) == 3 * 12
    videos = {video['video_id']: video for video in read(phrase_world / split / 'manifest.json')['videos']}
    sample = dataset[0]['data_samples']
    assert sample.categories == videos[sample.video_id]['categories']
    assert len(sample.frame_inds) == 4


def test_training_config_draws_from_all_sources(phrase_world, small_world):
    init_default_scope('lavida_mm')
    config = Config.fromfile(ROOT / 'configs/_base_/datasets/synthetic_behaviour.py')
    assert config.test_dataloader.dataset.benchmark.root == 'data/synthetic_world/behaviour'
    assert config.val_dataloader.dataset.benchmark.root == 'data/synthetic_world/val'
    text = json.dumps(config.train_dataloader.dataset.to_dict())
    for part in ('behaviour_clips', 'relation_clips'):
        text = text.replace(f'data/synthetic_world/{part}', str(phrase_world / part))
    text = text.replace('data/synthetic_world', str(small_world))
    mixture = DATASETS.build(json.loads(text))
    first = dict(zip(mixture.names, [0, *mixture.cumulative_sizes[:-1]], strict=True))
    assert set(first) == {'images', 'clips', 'clips_phrases', 'mp4_clips', 'behaviour_clips', 'relation_clips'}
    wordings = [wording.removeprefix('{pair} ') for own in BEHAVIOURS.values() for wording in own]
    found = []
    for seed in range(12):
        sample = mixture[Draw(first['behaviour_clips'] + seed % 6, seed)]['data_samples']
        assert sample.source == 'behaviour_clips' and np.all(np.diff(sample.frame_inds) == 1)
        assert all(any(word.endswith(wording) for wording in wordings) for word in sample.categories)
        assert bool(sample.gt_frame_labels.any()) == bool(sample.gt_category_labels.any())
        found.append(bool(sample.gt_frame_labels.any()))
    assert set(found) == {True, False}
    assert ' the ' in mixture[Draw(first['relation_clips'], 0)]['data_samples'].categories[0]


def test_embeddings_hold_all_phrases(phrase_world):
    for part in ('behaviour_clips', 'relation_clips'):
        expressions = read(phrase_world / part / 'meta_expressions.json')['videos']
        said = {entry['exp'] for video in expressions.values() for entry in video['expressions'].values()}
        words, features = load_embeddings(phrase_world / part / 'phrase_embeddings.npz')
        assert set(words) == said and len(features) == len(said)
