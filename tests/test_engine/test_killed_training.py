import os
import signal

import pytest
import torch

from lavida_mm.engine import find_last_checkpoint
from tests.test_engine import forked
from tests.test_engine.toy import write_config

SLOW = """
default_hooks['checkpoint'].update(backend_args=dict(backend='toy_slow'), max_keep_ckpts=1)
model.update(ballast=20000)
"""


def train(config, work_dir, folder, *args, **environment):
    return forked.run('tools/train.py', config, '--work-dir', work_dir, *args, folder=folder, **environment)


def read_step(path):
    return torch.load(path, weights_only=True)['meta']['iter']


def test_training_is_resumed_where_it_ended(tmp_path):
    config, work_dir = write_config(tmp_path), tmp_path / 'work'
    assert train(config, work_dir, tmp_path).code == 0
    assert sorted(path.name for path in work_dir.glob('*.pth')) == ['iter_2.pth', 'iter_4.pth', 'iter_6.pth']
    options = ['--cfg-options', 'train_cfg.max_iters=8']
    done = train(config, work_dir, tmp_path, '--resume', *options)
    assert done.code == 0, done.err
    assert 'resumed epoch: 0, iter: 6' in done.out + done.err
    assert 'Iter(train) [7/8]' in done.out + done.err
    assert 'Iter(train) [6/8]' not in done.out + done.err
    state = torch.load(work_dir / 'iter_8.pth', weights_only=True)
    assert state['optimizer']['state'][0]['step'] == 8
    assert state['param_schedulers'][0]['_global_step'] == 8


# What the process is doing when it is killed, and the step that it must go on from.
MOMENTS = [
    pytest.param('half iter_4.pth', 2, id='while iter_4 is written'),
    pytest.param('half last_checkpoint', 4, id='while last_checkpoint is written'),
    pytest.param('whole iter_4.pth', 4, id='between both'),
]


@pytest.mark.parametrize(('moment', 'step'), MOMENTS)
def test_killed_training_goes_on_from_the_last_whole_checkpoint(tmp_path, moment, step):
    config, work_dir, progress = write_config(tmp_path, SLOW), tmp_path / 'work', tmp_path / 'progress'
    progress.touch()
    process = forked.start(
        'tools/train.py', config, '--work-dir', work_dir, folder=tmp_path, TOY_PROGRESS=str(progress), TOY_PAUSE='0.1'
    )
    if 'last_checkpoint' in moment:
        forked.wait_for(lambda: 'iter_4' in progress.read_text(), process)
    forked.wait_for(lambda: progress.read_text() == moment, process)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert read_step(find_last_checkpoint(work_dir)) == step
    done = train(config, work_dir, tmp_path, '--resume', TOY_PROGRESS=str(progress))
    assert done.code == 0, done.err
    assert f'resumed epoch: 0, iter: {step}' in done.out + done.err
    assert read_step(work_dir / 'iter_6.pth') == 6
    assert not (work_dir / 'iter_4.pth').exists()  # max_keep_ckpts = 1
    assert not list(work_dir.glob('.writing-*'))
    assert (work_dir / 'last_checkpoint').read_text() == str(work_dir / 'iter_6.pth')


def test_killed_before_the_first_checkpoint_starts_again(tmp_path):
    config, work_dir, progress = write_config(tmp_path, SLOW), tmp_path / 'work', tmp_path / 'progress'
    progress.touch()
    process = forked.start(
        'tools/train.py', config, '--work-dir', work_dir, folder=tmp_path, TOY_PROGRESS=str(progress), TOY_PAUSE='5'
    )
    forked.wait_for(lambda: progress.read_text() == 'half iter_2.pth', process)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert find_last_checkpoint(work_dir) is None
    done = train(config, work_dir, tmp_path, '--resume', TOY_PROGRESS=str(progress))
    assert done.code == 0, done.err
    assert 'to go on from: training starts' in done.out + done.err
    assert read_step(work_dir / 'iter_6.pth') == 6
