"""The tools that show, count and check what a config trains on."""

import json
import runpy
import sys

import cv2
import numpy as np
import pytest

from lavida_mm.utils.errors import UsageError
from tests.conftest import ROOT

TINY = str(ROOT / 'configs/lavida_tiny.py')
FOLDERS = {'images': 'images', 'clips': 'clips', 'clips_phrases': 'clips', 'mp4_clips': 'mp4_clips'}


@pytest.fixture
def run(small_world, monkeypatch):
    """Runs a tool with the tiny config on the small world."""
    paths = [
        f'train_dataloader.dataset.sources.{name}.data_root={small_world}/{part}' for name, part in FOLDERS.items()
    ]

    def call(tool, *args, options=()):
        command = [tool, TINY, *args, '--cfg-options', *paths, *options]
        monkeypatch.setattr(sys, 'argv', [str(part) for part in command])
        return runpy.run_path(str(ROOT / f'tools/{tool}.py'))['main']()

    return call


def test_browse_dataset_shows_the_samples_of_its_seed(run, tmp_path, capsys):
    pictures = []
    for out, seed in (('a', 1), ('b', 1), ('c', 2)):
        run('analysis_tools/browse_dataset', '--num', 5, '--seed', seed, '--out', tmp_path / out)
        assert str(tmp_path / out / 'index.html') in capsys.readouterr().out
        files = sorted((tmp_path / out).glob('*.png'))
        assert [file.name for file in files] == [f'{number:04d}.png' for number in range(5)]
        page = (tmp_path / out / 'index.html').read_text(encoding='utf-8')
        assert all(f'src="{file.name}"' in page for file in files)
        pictures.append([cv2.imread(str(file)) for file in files])
    assert all(np.array_equal(*pair) for pair in zip(pictures[0], pictures[1], strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(pictures[0], pictures[2], strict=True))


def test_dataset_stats_counts_and_draws(run, tmp_path, capsys):
    run('analysis_tools/dataset_stats', '--num', 40, '--out', tmp_path)
    found = json.loads((tmp_path / 'dataset_stats.json').read_text())['sources']
    assert list(found) == sorted(FOLDERS)
    assert sum(row['samples'] for row in found.values()) == 40
    assert sum(row['configured_share'] for row in found.values()) == pytest.approx(1)
    assert all(row['words_per_prompt']['max'] <= 6 for row in found.values() if row['samples'])
    assert (tmp_path / 'dataset_stats.md').read_text(encoding='utf-8') in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / 'dataset_stats.png')) is not None


@pytest.mark.parametrize('tool', ['browse_dataset', 'dataset_stats'])
def test_a_config_without_training_data_is_refused(monkeypatch, tmp_path, tool):
    command = [tool, TINY, '--out', str(tmp_path / 'out'), '--cfg-options', 'train_dataloader=None']
    monkeypatch.setattr(sys, 'argv', command)
    with pytest.raises(UsageError, match=r'train_dataloader\.dataset must be set'):
        runpy.run_path(str(ROOT / f'tools/analysis_tools/{tool}.py'))['main']()
    assert not (tmp_path / 'out').exists()


def test_check_sources_finds_what_is_there(run, capsys):
    run('dataset_tools/check_sources', '--deep')
    text = capsys.readouterr().out
    assert [line.split()[1] for line in text.splitlines() if line.startswith('FOUND')] == list(FOLDERS)
    assert '12 images' in text and '4 videos' in text and 'files opened' in text


def test_check_sources_looks_at_what_is_pasted_too(small_world, monkeypatch, capsys):
    config = str(ROOT / 'configs/examples/tiny_paste.py')
    paths = ['train_dataloader.dataset.anomaly_sampler.objects.data_root=nowhere']
    paths += [f'train_dataloader.dataset.sources.normal.data_root={small_world}/normal']
    only = ['--only', 'normal', 'anomaly_sampler.objects']
    monkeypatch.setattr(sys, 'argv', ['check_sources', config, *only, '--json', '--cfg-options', *paths])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / 'tools/dataset_tools/check_sources.py'))['main']()
    found = {report['name']: report['state'] for report in json.loads(capsys.readouterr().out)}
    assert found == {'normal': 'found', 'anomaly_sampler.objects': 'missing'}


def test_check_sources_says_what_is_missing_and_fails(run, tmp_path, capsys):
    moved = [f'train_dataloader.dataset.sources.images.data_root={tmp_path}']
    with pytest.raises(SystemExit) as left:
        run('dataset_tools/check_sources', '--json', '--only', 'images', 'clips', options=moved)
    assert left.value.code == 1
    images, clips = json.loads(capsys.readouterr().out)
    assert (images['name'], images['state']) == ('images', 'missing') and clips['state'] == 'found'
    assert images['faults'] == [f'{tmp_path}/instances.json: not found', f'{tmp_path}/images: not found']
    with pytest.raises(UsageError, match=r'--only must name sources .* got nope'):
        run('dataset_tools/check_sources', '--only', 'nope')
