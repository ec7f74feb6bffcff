import pytest
import torch

from lavida_mm.engine.launch import load_config, prepare_distributed
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
