"""The configs of benchmarks: data sets build on miniatures, evaluators accept them, words are right."""

import json
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from lavida_mm.datasets.benchmarks.doctor import find_benchmarks
from lavida_mm.evaluation.protocols import get_protocol
from lavida_mm.registry import DATASETS, METRICS
from lavida_mm.utils.words import check_words
from tests.conftest import ROOT, run_python
from tests.test_datasets.test_benchmarks.miniatures import MINIATURES

# Those of the synthetic world's splits: tests/test_datasets/test_synthetic/test_phrase_parts.py
LEAVES = sorted(path for path in (ROOT / 'configs' / 'eval').glob('*.py') if 'synthetic' not in path.stem)
OF_THE_PAPER = ['ucf_crime', 'xd_violence', 'ubnormal', 'shanghaitech', 'ucsd_ped1', 'ucsd_ped2']


def name_of(leaf: Path) -> str:
    """Name of the benchmark of a leaf, as commands take it."""
    name = leaf.stem.removeprefix('lavida_7b_').removeprefix('lavida_tiny_')
    return 'manifest' if name == 'own_videos' else name


def load_base(name: str) -> Config:
    return Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{name}.py')


def test_every_benchmark_has_a_leaf():
    assert {name_of(leaf) for leaf in LEAVES} == set(find_benchmarks()) - {'folder'}


@pytest.mark.parametrize('leaf', LEAVES, ids=lambda leaf: leaf.stem)
def test_dataset_and_evaluator_of_a_leaf_fit_a_miniature(leaf, tmp_path):
    config = Config.fromfile(leaf)
    init_default_scope('lavida_mm')
    MINIATURES[name_of(leaf)](tmp_path)
    config.test_dataloader.dataset.benchmark.root = str(tmp_path)
    dataset = DATASETS.build(config.test_dataloader.dataset)
    METRICS.build(config.test_evaluator).dataset_meta = dataset.metainfo  # refuses figures that it cannot compute
    sample = dataset[0]['data_samples']
    assert sample.categories == list(config.get('anomaly_words', ['person']))
    assert len(sample.frame_inds) == config.test_dataloader.dataset.window
    assert config.test_cfg.type == 'TestLoop' and 'train_dataloader' not in config


@pytest.mark.parametrize('name', OF_THE_PAPER)
def test_words_and_intervals_are_those_of_the_papers_protocol(name):
    config, protocol = load_base(name), get_protocol('lavida-code')
    assert config.anomaly_words == list(protocol.words[name])
    assert config.test_dataloader.dataset.frame_interval == protocol.interval_of(name)
    assert config.test_dataloader.dataset.window == protocol.window


@pytest.mark.parametrize('name', [*OF_THE_PAPER, 'avenue'])
def test_page_states_words_and_data_root_of_the_config(name):
    config = load_base(name)
    page = ' '.join((ROOT / 'docs' / 'benchmarks' / f'{name}.md').read_text().split())
    assert check_words(config.anomaly_words, 'anomaly_words') == config.anomaly_words
    assert ', '.join(config.anomaly_words) + ':' in page
    assert f'check_benchmark.py {name} {config.data_root.rstrip("/")}' in page
    assert f'configs/eval/lavida_7b_{name}.py' in page


@pytest.mark.slow
def test_tiny_model_on_a_manifest_as_its_page_says(tmp_path):
    root = tmp_path / 'own'
    root.mkdir()
    MINIATURES['manifest'](root)
    run_python(
        'tools/test.py', 'configs/eval/lavida_tiny_own_videos.py', 'checkpoints/lavida_tiny.safetensors',
        '--work-dir', tmp_path / 'work', '--cfg-options', f'test_dataloader.dataset.benchmark.root={root}',
    )  # fmt: skip
    metrics = json.loads((tmp_path / 'work' / 'metrics.json').read_text())
    assert metrics['vad/num_videos'] == 2 and metrics['vad/num_frames'] == 14
    assert 0 <= metrics['vad/frame_auc'] <= 1


@pytest.mark.slow
def test_tiny_model_on_a_folder_as_its_page_says(tmp_path):
    page = (ROOT / 'docs' / 'benchmarks' / 'folder.md').read_text()
    leaf = re.search(r'^```python\n(.*?)^```', page, flags=re.MULTILINE | re.DOTALL).group(1)
    leaf = leaf.replace('./lavida_7b_own_videos.py', str(ROOT / 'configs' / 'eval' / 'lavida_tiny_own_videos.py'))
    root = tmp_path / 'my_videos'
    root.mkdir()
    MINIATURES['folder'](root)
    (tmp_path / 'my_videos.py').write_text(leaf.replace('data/my_videos', str(root)))
    run_python(
        'tools/test.py', tmp_path / 'my_videos.py', 'checkpoints/lavida_tiny.safetensors',
        '--work-dir', tmp_path / 'work', '--dump', tmp_path / 'predictions',
    )  # fmt: skip
    assert {path.name for path in (tmp_path / 'predictions').glob('*.npz')} == {'monday.npz', 'tuesday.npz'}
    shared = json.loads((tmp_path / 'predictions' / 'predictions.json').read_text())['shared']
    assert shared['prompt_words'] == ['person on the tracks', 'smoke']
    assert 'vad/frame_auc' not in json.loads((tmp_path / 'work' / 'metrics.json').read_text())
