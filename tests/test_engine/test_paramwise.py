"""Learning rates and weight decays of LAVIDA's parts by config, as mmengine's constructor reads them."""

from collections import defaultdict

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from lavida_mm.engine import check_custom_keys
from lavida_mm.models.parameter_table import collect_parts
from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import UsageError
from tests.conftest import ROOT

TINY = ROOT / 'configs' / 'lavida_tiny.py'


@pytest.fixture(scope='module')
def model():
    import os

    before = os.getcwd()
    os.chdir(ROOT)  # the config names weights by their place in the repository
    try:
        with DefaultScope.overwrite_default_scope('lavida_mm'):
            return MODELS.build(Config.fromfile(TINY).model)
    finally:
        os.chdir(before)


def build(model, **paramwise):
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))
    with DefaultScope.overwrite_default_scope('lavida_mm'):
        return build_optim_wrapper(model, {**wrapper, 'paramwise_cfg': paramwise}).optimizer


def rates_of(model, optimizer):
    """Learning rates and weight decays that occur in each part, of trained parameters."""
    settings = {id(p): (g['lr'], g['weight_decay']) for g in optimizer.param_groups for p in g['params']}
    found = defaultdict(set)
    for name, parameters in collect_parts(model).items():
        found[name].update(settings[id(p)] for p in parameters if p.requires_grad)
    return found


def test_each_part_has_its_own_rates(model):
    keys = {
        'mllm': dict(lr_mult=0.1),
        'mllm.model': dict(lr_mult=0.2),  # of keys that fit, the longest counts
        'lora_': dict(lr_mult=0.5, decay_mult=0.0),
        'projector': dict(lr_mult=2.0),
        'projector.similarity': dict(lr_mult=0.03),
        'mask_decoder': dict(decay_mult=5.0),
    }
    optimizer = build(model, custom_keys=keys)
    expected = {}
    for name, _ in model.named_parameters():
        key = max((key for key in keys if key in name), key=len, default=None)
        own = keys.get(key, {})
        expected[name] = (1e-3 * own.get('lr_mult', 1), 0.01 * own.get('decay_mult', 1))
    settings = {id(p): (g['lr'], g['weight_decay']) for g in optimizer.param_groups for p in g['params']}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    for name, parameter in trained.items():
        assert settings[id(parameter)] == pytest.approx(expected[name]), name
    assert len({expected[name] for name in trained}) >= 5
    rates = rates_of(model, optimizer)
    assert {lr for lr, _ in rates['projector']} == {2e-3, 3e-5}
    assert rates['mask_head.decoder'] == {(1e-3, 0.05), (1e-3, 0.01)}  # the prompt encoder's part keeps its decay


def test_norms_and_biases_can_be_spared_the_decay(model):
    optimizer = build(model, norm_decay_mult=0.0, bias_decay_mult=0.0)
    settings = {id(p): g['weight_decay'] for g in optimizer.param_groups for p in g['params']}
    parameters = dict(model.named_parameters())
    assert settings[id(parameters['projector.text_norm.weight'])] == 0
    assert settings[id(parameters['projector.text_out.bias'])] == 0
    assert settings[id(parameters['projector.text_out.weight'])] == 0.01


def test_the_shipped_config_slows_what_was_pretrained(model):
    config = Config.fromfile(TINY).optim_wrapper
    with DefaultScope.overwrite_default_scope('lavida_mm'):
        optimizer = build_optim_wrapper(model, config).optimizer
    rates = {id(p): g['lr'] for g in optimizer.param_groups for p in g['params']}
    base = config.optimizer.lr
    for name, parameter in model.projector.named_parameters():
        own = 0.03 if name.startswith('similarity') else 1
        assert rates[id(parameter)] == pytest.approx(base * own), name


def test_settings_that_mmengine_does_not_know_are_refused():
    keys = {'layer': dict(lr_mult=0.5), 'projector': dict(similarity=dict(lr_mult=0.5))}
    with pytest.raises(
        UsageError, match=r"custom_keys\['projector'\] must hold lr_mult or decay_mult, got 'similarity'"
    ):
        check_custom_keys(nn.Linear(2, 2), dict(paramwise_cfg=dict(custom_keys=keys)))


def test_a_key_that_fits_nothing_is_warned_of(monkeypatch):
    keys, lines = {'weight': dict(lr_mult=0.5), 'nonsense': dict(decay_mult=0.0)}, []
    monkeypatch.setattr('lavida_mm.engine.paramwise.print_log', lambda text, **_: lines.append(text))
    check_custom_keys(nn.Linear(2, 2), dict(paramwise_cfg=dict(custom_keys=keys)))
    check_custom_keys(nn.Linear(2, 2), dict())
    assert len(lines) == 1 and "'nonsense' is in the name of no parameter" in lines[0]
