"""Several configs and seeds, trained and tested by one command: what is repeated, what is refused, what is shown."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time

import pytest
from mmengine.config import Config

from lavida_mm.utils.errors import DataError, UsageError
from tests.conftest import ROOT, run_python
from tests.test_end_to_end import world_options

TOOL = 'tools/analysis_tools/train_ablation.py'
MLP = 'configs/ablation/projector_mlp.py'
MULTI_SCALE = 'configs/ablation/projector_multi_scale.py'
tool = runpy.run_path(str(ROOT / TOOL))


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


class Recorder:
    """Stands in for the processes: makes the product of a step, or fails."""

    def __init__(self, fail_at=None):
        self.commands, self.fail_at, self.stopped = [], fail_at, False

    def run(self, command, log):
        if self.stopped:
            return False
        shown = ' '.join(map(str, command))
        self.commands.append(shown)
        if self.fail_at and self.fail_at in shown:
            raise DataError(f'{log}: failed')
        folder = command[command.index('--work-dir') + 1]
        folder.mkdir(parents=True)
        if 'train.py' in shown:
            (folder / 'iter_3.pth').touch()
        else:
            value = 0.5 if 'prompt_words=absent' in shown else 0.75 + 0.25 * ('seed1' in shown)
            figures = {'vad/frame_auc': value, 'vad/frame_ap': value / 2, 'config': 'x.py'}
            (folder / 'metrics.json').write_text(json.dumps(figures))
        return True

    def stop(self):
        self.stopped = True


def prepare(tmp_path, *options, configs=(MLP, MULTI_SCALE), seeds=('0', '1')):
    args = tool['parse_args']([*configs, '--seeds', *seeds, '--iters', '3', '--out', str(tmp_path), *options])
    return [tool['prepare'](path, seed, args) for seed in args.seeds for path in args.configs]


def execute(runs, processes, jobs=1):
    told = []
    tool['execute'](runs, jobs, processes, lambda what, done: told.append((what, done)))
    return told


@pytest.mark.parametrize('jobs', [1, 3])
def test_every_run_trains_once_and_is_tested_with_right_and_absent_words(tmp_path, jobs):
    runs, processes = prepare(tmp_path), Recorder()
    told = execute(runs, processes, jobs)
    assert len(processes.commands) == 4 * 3
    assert len([what for what, done in told if done]) == 4 * 3
    trainings = [command for command in processes.commands if 'train.py' in command]
    assert len(set(trainings)) == 4 and all('--resume' in command for command in trainings)
    absent = [command for command in processes.commands if 'test_dataloader.dataset.prompt_words=absent' in command]
    assert len(absent) == 4


def test_finished_steps_are_not_repeated(tmp_path):
    with pytest.raises(DataError, match='failed'):
        execute(prepare(tmp_path), Recorder(fail_at='seed1/projector_mlp.py'))
    processes = Recorder()
    execute(prepare(tmp_path), processes)
    assert len(processes.commands) == 3 + 3  # seed 0 of both configs was finished
    processes = Recorder()
    told = execute(prepare(tmp_path), processes)
    assert processes.commands == [] and len(told) == 4 * 3


def test_a_failed_step_ends_the_others_and_names_its_log(tmp_path):
    processes = tool['Processes'](1)
    (tmp_path / 'wait.py').write_text('import time\ntime.sleep(60)\n')
    (tmp_path / 'fail.py').write_text("import sys\nprint('started')\nsys.exit('error: no such file')\n")

    class Job:
        seed, name, folder = 0, 'job', tmp_path

        def __init__(self, script):
            self.script = tmp_path / script

        def steps(self):
            return [(self.script.stem, tmp_path / 'product', [self.script])]

    begin = time.monotonic()
    with pytest.raises(DataError, match=r'fail\.log: fail\.py failed with exit code 1: error: no such file'):
        execute([Job('wait.py'), Job('fail.py')], processes, jobs=2)
    assert time.monotonic() - begin < 30
    assert (tmp_path / 'fail.log').read_text().startswith('started')


def test_a_training_that_leaves_no_checkpoint_is_an_error(tmp_path):
    processes = Recorder()
    processes.run = lambda command, log: True
    with pytest.raises(DataError, match=r'iter_3\.pth: projector_mlp, seed 0: training has ended without it'):
        execute(prepare(tmp_path, seeds=['0'], configs=[MLP]), processes)


def test_the_configs_of_the_runs_train_as_long_as_asked(tmp_path):
    options = ['--seeds', '7', '--iters', '300', '--out', str(tmp_path)]
    args = tool['parse_args']([MLP, *options, '--cfg-options', 'train_dataloader.batch_size=2'])
    run = tool['prepare'](MLP, 7, args)
    config = Config.fromfile(run.config)
    assert run.checkpoint.name == 'iter_300.pth'
    assert config.train_cfg.max_iters == 300
    assert config.param_scheduler[0].end == 50  # the warm-up stays
    assert config.param_scheduler[1].end == 300  # and the rate still falls to its end
    assert config.val_dataloader is None and config.val_cfg is None and config.val_evaluator is None
    assert config.randomness.seed == 7
    assert config.train_dataloader.batch_size == 2
    assert config.model == Config.fromfile(MLP).model
    assert config.train_dataloader.dataset == Config.fromfile(MLP).train_dataloader.dataset


def test_a_folder_of_other_settings_is_refused(tmp_path):
    prepare(tmp_path)
    prepare(tmp_path)
    with pytest.raises(UsageError, match=r'seed0 holds a run of other settings; remove it or name another --out'):
        prepare(tmp_path, '--cfg-options', 'train_dataloader.batch_size=2')


def test_configs_and_options_that_cannot_be_compared_are_refused(tmp_path, capsys):
    with pytest.raises(UsageError, match=r'lavida_7b_ubnormal\.py: train_cfg\.max_iters must be set'):
        prepare(tmp_path, configs=['configs/eval/lavida_7b_ubnormal.py'])
    for options, rule in (
        ([MLP, MLP], 'configs must differ, got projector_mlp projector_mlp'),
        ([MLP, '--seeds', '1', '1'], 'seeds must differ, got 1 1'),
        ([MLP, '--jobs', '0'], '--jobs must be at least 1, got 0'),
    ):
        with pytest.raises(SystemExit):
            tool['parse_args'](options)
        assert rule in capsys.readouterr().err


def test_the_table_shows_mean_and_deviation_and_the_gap_between_words(tmp_path):
    runs = prepare(tmp_path)
    execute(runs, Recorder())
    rows = tool['tabulate'](runs)
    assert [row['config'] for row in rows] == ['projector_mlp', 'projector_multi_scale']
    assert rows[0]['right']['frame_auc'] == {'values': [0.75, 1.0], 'mean': 0.875, 'std': pytest.approx(0.25 / 2**0.5)}
    assert rows[0]['gap']['values'] == [0.25, 0.5]
    lines = tool['make_markdown'](rows).splitlines()
    assert lines[0].startswith('| config | iterations | seeds | frame AUC, right words | frame AP, right words |')
    assert lines[2] == (
        '| projector_mlp | 3 | 2 | 0.8750 ± 0.1768 | 0.4375 ± 0.0884 | – '
        '| 0.5000 ± 0.0000 | 0.2500 ± 0.0000 | – | 0.3750 ± 0.1768 |'
    )  # without masks there is no pixel AUC
    single = tool['make_markdown'](tool['tabulate'](runs[:1])).splitlines()[2]
    assert '| 1 | 0.7500 | 0.3750 | –' in single and '±' not in single


def test_ctrl_c_ends_the_training_that_runs(tmp_path):
    """The child is started as a training would be; without it the table's command must not leave processes behind."""
    script = tmp_path / 'long.py'
    script.write_text(
        'import os, pathlib, time\n'
        f'pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))\n'
        'time.sleep(60)\n'
    )
    driver = tmp_path / 'driver.py'
    driver.write_text(
        'import pathlib, runpy, signal\n'
        'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
        f'tool = runpy.run_path({str(ROOT / TOOL)!r})\n'
        'class Job:\n'
        f'    seed, name, folder = 0, "job", pathlib.Path({str(tmp_path)!r})\n'
        '    def steps(self):\n'
        f'        return [("training", self.folder / "product", [{str(script)!r}])]\n'
        'tool["execute"]([Job()], 1, tool["Processes"](1), lambda what, done: None)\n'
    )
    process = subprocess.Popen([sys.executable, driver], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not ((tmp_path / 'pid').is_file() and (tmp_path / 'pid').read_text()):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.wait(30)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / 'pid').read_text()), 0)


@pytest.mark.slow
def test_two_iterations_on_a_small_world(small_world, tmp_path):
    options = [f'{key}={value}' for key, value in world_options(small_world).items() if not key.startswith('val_')]
    command = [TOOL, MLP, '--seeds', '0', '--iters', '2', '--out', tmp_path, '--cfg-options', *options]
    done = run_python(*command)
    table = (tmp_path / 'train_ablation.md').read_text()
    assert table.strip() in done.stdout
    assert 'projector_mlp, seed 0: training' in done.stderr
    (row,) = json.loads((tmp_path / 'train_ablation.json').read_text())['rows']
    for words in ('right', 'absent'):
        assert set(row[words]) == {'frame_auc', 'frame_ap', 'pixel_auc'}
        assert all(0 <= figure['mean'] <= 1 for figure in row[words].values())
    begin = time.monotonic()
    assert table.strip() in run_python(*command).stdout
    assert time.monotonic() - begin < 30  # nothing was repeated
