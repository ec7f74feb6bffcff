import socket

import pytest
import torch

from lavida_mm.engine.launch import build_runner, load_config, prepare_distributed
from lavida_mm.utils import UsageError
from tests.test_engine.toy import write_config


def test_options_go_over_the_config(tmp_path):
    config = load_config(write_config(tmp_path), {'train_cfg.max_iters': 3, 'model.channels': 2, 'randomness.seed': 1})
    assert (config.train_cfg.max_iters, config.model.channels, config.randomness.seed) == (3, 2, 1)


@pytest.mark.parametrize(
    ('text', 'rule'),
    [
        ('model = dict(', 'not a config'),
        ("_base_ = './nowhere.py'", 'nowhere.py'),
        ('model = undefined_name', 'undefined_name'),
        ('model = 1 / 0', 'division by zero'),
        ("custom_imports = dict(imports=['no_such_package'])", 'no_such_package'),
    ],
)
def test_broken_configs_are_named(tmp_path, text, rule):
    path = tmp_path / 'broken.py'
    path.write_text(text)
    with pytest.raises(UsageError, match=rf'broken\.py: .*{rule}'):
        load_config(path)


def test_missing_config(tmp_path):
    with pytest.raises(UsageError, match=r'none\.py: config file not found'):
        load_config(tmp_path / 'none.py')


def test_option_of_an_unknown_name(tmp_path):
    with pytest.raises(UsageError, match=r'--cfg-options modle\.channels: the config has no modle'):
        load_config(write_config(tmp_path), {'modle.channels': 2})


def test_option_below_a_plain_value(tmp_path):
    with pytest.raises(UsageError, match='--cfg-options'):
        load_config(write_config(tmp_path), {'log_level.x': 2})


@pytest.mark.skipif(torch.cuda.is_available(), reason='with a GPU mmengine reads the environment itself')
@pytest.mark.parametrize(('launcher', 'name'), [('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID')])
def test_launcher_without_its_environment(tmp_path, monkeypatch, launcher, name):
    for each in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'SLURM_PROCID'):
        monkeypatch.delenv(each, raising=False)
    with pytest.raises(UsageError, match=f'--launcher {launcher}: {name} must be in the environment'):
        prepare_distributed(load_config(write_config(tmp_path)), launcher)


@pytest.mark.skipif(torch.cuda.is_available(), reason='with a GPU mmengine starts the processes itself')
@pytest.mark.parametrize('launcher', ['pytorch', 'slurm'])
def test_processes_without_gpus_talk_by_gloo(tmp_path, monkeypatch, launcher):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    names = {
        'pytorch': {'RANK': '0', 'WORLD_SIZE': '1', 'LOCAL_RANK': '0', 'MASTER_ADDR': '127.0.0.1'},
        'slurm': {'SLURM_PROCID': '0', 'SLURM_NTASKS': '1', 'SLURM_LOCALID': '0'},
    }
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR'):
        monkeypatch.setenv(name, '')  # so that what is set below is taken back
        monkeypatch.delenv(name)
    for name, value in {**names[launcher], 'MASTER_PORT': str(port)}.items():
        monkeypatch.setenv(name, value)
    config = load_config(write_config(tmp_path))
    try:
        prepare_distributed(config, launcher)
        assert torch.distributed.get_backend() == 'gloo'
    finally:
        torch.distributed.destroy_process_group()
    assert not torch.distributed.is_initialized()
    assert config.launcher == launcher
    assert config.model_wrapper_cfg.device_ids is None
    assert config.model_wrapper_cfg.find_unused_parameters is True


def test_wrong_component_names_config_and_rule(tmp_path):
    path = write_config(tmp_path)
    config = load_config(path, {'model.channels': 0, 'work_dir': str(tmp_path), 'visualizer.name': 'test_launch'})
    with pytest.raises(UsageError, match=r'toy\.py: channels must be at least 1, got 0'):
        build_runner(config, path)
