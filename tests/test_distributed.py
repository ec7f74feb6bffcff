"""Two processes and the tiny model: the figures of one process to the last digit, and training that resumes."""

import json
import os
import subprocess

import pytest

from tests.conftest import ROOT, run_python
from tests.test_end_to_end import TINY, world_options

CHECKPOINT = 'checkpoints/lavida_tiny.safetensors'


def run_script(script: str, *args) -> subprocess.CompletedProcess:
    """One of the launch scripts, with one thread per process."""
    environment = dict(os.environ, OMP_NUM_THREADS='1')
    command = ['bash', script, *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def as_arguments(options: dict) -> list[str]:
    return ['--cfg-options', *(f'{key}={value}' for key, value in options.items())]


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(small_world, tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    options = as_arguments({key: value for key, value in world_options(small_world).items() if key[:5] == 'test_'})
    run_python('tools/test.py', TINY, CHECKPOINT, '--work-dir', tmp_path / 'one', *options)
    run_script('tools/dist_test.sh', TINY, CHECKPOINT, 2, '--work-dir', tmp_path / 'two', *options)
    one, two = (json.loads((tmp_path / name / 'metrics.json').read_text()) for name in ('one', 'two'))
    assert one == two
    assert one['vad/num_frames'] == 3 * 48


@pytest.mark.slow
def test_two_processes_train_and_resume(small_world, tmp_path):
    options = {
        **world_options(small_world),
        'train_dataloader.batch_size': 2,
        'train_cfg.val_interval': 100,
        'default_hooks.checkpoint.interval': 2,
    }
    for iterations in (2, 4):
        arguments = as_arguments({**options, 'train_cfg.max_iters': iterations})
        done = run_script('tools/dist_train.sh', TINY, 2, '--work-dir', tmp_path, '--resume', *arguments)
        assert (tmp_path / f'iter_{iterations}.pth').is_file()
    assert f'resumed from {tmp_path / "iter_2.pth"}' in ' '.join((done.stdout + done.stderr).split()) or (
        'iter_2.pth' in done.stdout + done.stderr
    )
