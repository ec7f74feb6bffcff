"""tools/train.py, tools/test.py and their shell scripts, on the toy detector of tests/test_engine."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import ROOT, run_python
from tests.test_engine import forked
from tests.test_engine.toy import OtherDetector, ToyDetector, write_config

SECONDS = 240


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """A config and weights for it."""
    folder = tmp_path_factory.mktemp('toy')
    torch.manual_seed(0)
    state = ToyDetector().state_dict()
    save_file(state, folder / 'toy.safetensors')
    torch.save({'state_dict': state, 'meta': {}}, folder / 'toy.pth')
    return write_config(folder)


@pytest.fixture(scope='module')
def reference(toy):
    """What one process finds on the toy's test set."""
    folder = toy.parent / 'reference'
    folder.mkdir()
    done = test(toy, toy.with_suffix('.pth'), folder)
    assert done.code == 0, done.err
    return done, json.loads((folder / 'metrics.json').read_text())


def test(config, checkpoint, folder, *args):
    return forked.run('tools/test.py', config, checkpoint, '--work-dir', folder, *args, folder=folder)


test.__test__ = False  # pytest shall not collect it


def train(config, folder, *args):
    return forked.run('tools/train.py', config, '--work-dir', folder / 'work', *args, folder=folder)


def error_line(done):
    """The last line on stderr; a traceback would be longer than one."""
    assert 'Traceback' not in done.err, done.err
    return done.err.strip().splitlines()[-1]


def test_metrics_are_flat_and_the_table_shows_them(reference):
    done, metrics = reference[0], dict(reference[1])
    assert (metrics.pop('checkpoint'), metrics.pop('config')) == ('toy.pth', 'toy.py')
    assert (metrics.pop('vad/protocol'), metrics.pop('vad/protocol_version')) == ('default', 1)
    assert (metrics.pop('vad/benchmark'), metrics.pop('vad/options')) == ('toy', {'window': 3})
    coverage = dict(videos_scored=4, videos_known=4, frames_scored=26, frames_known=26, anomalous_frames=8)
    assert metrics.pop('vad/coverage') == coverage
    assert metrics.pop('vad/undefined') == {
        'far_at_0.5': 'no scored video is normal',
        'category_top1': 'the scores are of frames, not of words',
    }
    assert metrics.pop('vad/notes') == []
    assert metrics['vad/coverage_frames'] == 1
    assert metrics['vad/num_frames'] == 5 + 6 + 7 + 8
    for name, value in metrics.items():
        shown = f'{value:.4f}' if isinstance(value, float) else str(value)
        assert any(line.split() == [name, shown] for line in done.out.splitlines())


def test_safetensors_and_pth_give_the_same_figures(toy, reference, tmp_path):
    done = test(toy, toy.with_suffix('.safetensors'), tmp_path, '--device', 'cpu')
    assert done.code == 0, done.err
    assert json.loads((tmp_path / 'metrics.json').read_text()) == {**reference[1], 'checkpoint': 'toy.safetensors'}


def test_amp_seed_and_options_reach_the_run(toy, tmp_path):
    done = train(toy, tmp_path, '--amp', '--seed', '7', '--cfg-options', 'train_cfg.max_iters=2')
    assert done.code == 0, done.err
    saved = (tmp_path / 'work' / 'toy.py').read_text()
    assert "type='BF16OptimWrapper'" in saved
    assert 'seed=7' in saved
    assert [path.name for path in (tmp_path / 'work').glob('*.pth')] == ['iter_2.pth']
    assert list((tmp_path / 'work').glob('*/vis_data/events.out.tfevents*'))


def test_resume_from_a_named_checkpoint(toy, tmp_path):
    assert train(toy, tmp_path).code == 0
    done = train(toy, tmp_path, '--resume', tmp_path / 'work' / 'iter_4.pth')
    assert done.code == 0, done.err
    assert 'resumed epoch: 0, iter: 4' in done.out


@pytest.mark.parametrize(
    ('options', 'rule'),
    [
        (['model.chanels=2'], "got an unexpected keyword argument 'chanels'"),
        (['model.type=Toy'], 'Toy is not in the lavida_mm::model registry'),
        (['model.channels=0'], 'channels must be at least 1, got 0'),
        (['modle.channels=2'], 'the config has no modle'),
        (['test_evaluator.pixle=1', 'val_evaluator.pixle=1'], "unexpected keyword argument 'pixle'"),
        (['test_dataloader.dataset.type=Nope', 'val_dataloader.dataset.type=Nope'], 'Nope is not in'),
    ],
)
@pytest.mark.parametrize('tool', ['train', 'test'])
def test_wrong_config_values_are_one_line_and_exit_code_2(toy, tmp_path, tool, options, rule):
    files = [toy.with_suffix('.pth')] if tool == 'test' else []
    done = forked.run(
        f'tools/{tool}.py', toy, *files, '--work-dir', tmp_path / 'work', '--cfg-options', *options, folder=tmp_path
    )
    assert done.code == 2, done.err
    assert error_line(done).startswith(f'error: {toy}: ')
    assert rule in error_line(done)
    assert not (tmp_path / 'work' / 'metrics.json').exists()


def test_missing_files(toy, tmp_path):
    done = train(tmp_path / 'none.py', tmp_path)
    assert (done.code, error_line(done)) == (2, f'error: {tmp_path}/none.py: config file not found')
    done = train(toy, tmp_path, '--resume', 'none.pth')
    assert (done.code, error_line(done)) == (1, 'error: none.pth: --resume: checkpoint not found')
    done = test(toy, 'none.pth', tmp_path)
    assert (done.code, error_line(done)) == (1, 'error: none.pth: checkpoint not found')


def test_bad_options(toy, tmp_path):
    done = test(toy, toy.with_suffix('.pth'), tmp_path, '--device', 'tpu')
    assert (done.code, error_line(done)) == (2, 'error: --device must be cpu, cuda or cuda:N, got tpu')
    assert train(toy, tmp_path, '--sede', '3').code == 2


class RunsCode:
    def __reduce__(self):
        return os.system, ('touch was_here',)


@pytest.mark.parametrize('bad', ['other', 'malicious', 'truncated', 'shape'])
def test_wrong_checkpoints_are_one_line_and_exit_code_1(toy, tmp_path, bad):
    path, options = tmp_path / 'bad.pth', []
    if bad == 'other':
        torch.save({'state_dict': OtherDetector().state_dict()}, path)
    elif bad == 'malicious':
        torch.save({'state_dict': RunsCode()}, path)
    elif bad == 'truncated':
        path.write_bytes(toy.with_suffix('.pth').read_bytes()[:1000])
    else:
        torch.save({'state_dict': ToyDetector().state_dict()}, path)
        options = ['--cfg-options', 'model.channels=2']
    for done in (test(toy, path, tmp_path, *options), train(toy, tmp_path, '--resume', path, *options)):
        assert done.code == 1, done.err
        assert error_line(done).startswith(f'error: {path}: ')
    assert not (tmp_path / 'metrics.json').exists()
    assert not (ROOT / 'was_here').exists()


def test_unknown_key_of_a_schedule_is_one_line_and_exit_code_2(toy, tmp_path):
    done = train(toy, tmp_path, '--cfg-options', 'param_scheduler.0.foo=1')
    assert done.code == 2, done.err
    assert "unexpected keyword argument 'foo'" in error_line(done)


def test_amp_without_an_optimizer_is_no_traceback(tmp_path):
    config = tmp_path / 'bare.py'
    config.write_text("model = dict(type='LAVIDA')\n")
    done = train(config, tmp_path, '--amp')
    assert done.code == 2, done.err
    assert error_line(done).startswith(f'error: {config}: ')


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_weights_alone_cannot_be_resumed(toy, tmp_path, suffix):
    done = train(toy, tmp_path, '--resume', toy.with_suffix(suffix))
    assert done.code == 1, done.err
    assert error_line(done).startswith(f'error: {toy.with_suffix(suffix)}: ')
    assert 'must be in a checkpoint to go on from; to start from its weights alone, set load_from' in error_line(done)


def test_the_config_in_a_checkpoint_is_not_run(toy, tmp_path):
    assert train(toy, tmp_path).code == 0
    path = tmp_path / 'work' / 'iter_4.pth'
    checkpoint = torch.load(path)
    checkpoint['meta']['config'] = f"open({str(tmp_path / 'was_here')!r}, 'w')"
    torch.save(checkpoint, path)
    done = train(toy, tmp_path, '--resume', path)
    assert done.code == 0, done.err
    assert not (tmp_path / 'was_here').exists()


def test_output_that_cannot_be_written(toy, tmp_path):
    (tmp_path / 'file').touch()
    done = forked.run(
        'tools/test.py', toy, toy.with_suffix('.pth'), '--work-dir', tmp_path / 'file' / 'x', folder=tmp_path
    )
    assert done.code == 1
    assert f'{tmp_path}/file/x: Not a directory' in error_line(done)


def run_script(*command):
    environment = {**os.environ, 'PYTHON': sys.executable}
    return subprocess.run(
        list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS
    )


def test_two_processes_give_the_figures_of_one(toy, reference, tmp_path):
    done = run_script('tools/dist_test.sh', toy, toy.with_suffix('.pth'), 2, '--work-dir', tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / 'metrics.json').read_text()) == reference[1]


@pytest.mark.slow
def test_two_processes_train_and_resume(toy, tmp_path):
    done = run_script('tools/dist_train.sh', toy, 2, '--work-dir', tmp_path)
    assert done.returncode == 0, done.stderr
    done = run_script(
        'tools/dist_train.sh', toy, 2, '--work-dir', tmp_path, '--resume', '--cfg-options', 'train_cfg.max_iters=8'
    )
    assert done.returncode == 0, done.stderr
    assert 'resumed epoch: 0, iter: 6' in done.stdout
    assert (tmp_path / 'iter_8.pth').exists()


@pytest.mark.parametrize('script', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_scripts_say_how_they_are_used(script):
    done = run_script(f'tools/{script}.sh')
    assert done.returncode == 2
    assert 'CONFIG' in done.stderr


def test_number_of_processes_is_checked(toy):
    done = run_script('tools/dist_train.sh', toy, 'two')
    assert (done.returncode, done.stderr) == (2, 'error: GPUS must be a whole number of at least 1, got two\n')


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_help_and_missing_arguments(tool):
    assert 'config file' in run_python(f'tools/{tool}.py', '--help').stdout
    assert run_python(f'tools/{tool}.py', check=False).returncode == 2
