"""The pages on one's own masks and one's own sampler, followed as they stand."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow
COCO = ROOT.parent / 'shared' / 'data' / 'media' / 'coco'
SHORT = ['train_cfg.max_iters=2', 'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
UNTESTED = ['val_cfg=None', 'val_dataloader=None', 'val_evaluator=None', 'train_dataloader.batch_size=2']


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / 'docs' / page).read_text(encoding='utf-8')
    return re.findall(rf'^```{language}\n(.*?)^```', text, flags=re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    lines = '\n'.join(blocks(page, 'bash')).replace('\\\n', ' ').splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


@pytest.fixture
def checkout(tmp_path, small_world) -> Path:
    """What a user has in the folder of the repository, without writing there."""
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    for name in ('checkpoints', 'tools', 'lavida_mm'):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'synthetic_world').symlink_to(small_world)
    return tmp_path


def follow(checkout: Path, command: list[str], *options: str) -> str:
    assert command[0] == 'python'
    environment = {**os.environ, 'PYTHONPATH': str(checkout)}
    done = subprocess.run(
        [sys.executable, *command[1:], *options], cwd=checkout, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f'{" ".join(command)}\n{done.stdout}\n{done.stderr}'
    return done.stdout


@pytest.mark.skipif(not COCO.is_dir(), reason='the real COCO sample is not beside the repository')
def test_bring_your_own_masks(checkout):
    mine = checkout / 'data' / 'mine'
    mine.mkdir()
    (mine / 'instances.json').symlink_to(COCO / 'panoptic_coco_detection_format.json')
    (mine / 'images').symlink_to(COCO / 'input_images')
    (config,) = blocks('bring_your_own_masks.md', 'python')
    (checkout / 'configs' / 'mine.py').write_text(config, encoding='utf-8')
    doctor, browse, stats, train, _ = commands('bring_your_own_masks.md')

    said = follow(checkout, doctor)
    assert 'FOUND    mine (CocoInstancesSource)' in said and '2 images' in said and '50 objects' in said
    follow(checkout, browse)
    assert len(list((checkout / 'work_dirs/mine/sheets').glob('*.png'))) == 24
    follow(checkout, stats)
    rows = json.loads((checkout / 'work_dirs/mine/stats/dataset_stats.json').read_text())['sources']
    assert list(rows) == ['mine'] and rows['mine']['samples'] == 200
    assert 0.4 < rows['mine']['positives'] / 200 < 0.6
    follow(checkout, train, '--cfg-options', *SHORT, *UNTESTED)
    assert (checkout / 'work_dirs/mine/train/iter_2.pth').is_file()


def test_write_a_sampler(checkout):
    sampler, config, choice = blocks('write_a_sampler.md', 'python')
    (checkout / 'largest_object_sampler.py').write_text(sampler, encoding='utf-8')
    (checkout / 'configs' / 'largest.py').write_text(config, encoding='utf-8')
    browse, train = commands('write_a_sampler.md')
    follow(checkout, browse)
    assert len(list((checkout / 'work_dirs/largest/sheets').glob('*.png'))) == 24
    follow(checkout, train, '--cfg-options', *SHORT, *UNTESTED)
    assert (checkout / 'work_dirs/largest/train/iter_2.pth').is_file()

    head = config.split('train_dataloader')[0]
    both = [head, choice, 'train_dataloader = dict(dataset=dict(anomaly_sampler=anomaly_sampler))']
    (checkout / 'configs' / 'largest.py').write_text('\n'.join(both), encoding='utf-8')
    follow(checkout, browse)
