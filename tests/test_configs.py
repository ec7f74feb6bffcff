"""Every config loads, resolves, dumps, reloads to the same, and builds its model (real sizes on the meta device)."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from lavida_mm.registry import MODELS
from tests.conftest import ROOT

CONFIGS = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts
)


def test_there_are_configs():
    assert {'configs/lavida_7b.py', 'configs/lavida_tiny.py'} <= set(CONFIGS)


# Configs whose MLLM is no released one and none of the repository: docs/configs.md, docs/synthetic_world.md.
BUILT_BY_THE_USER = {
    'qwen2_5': dict(family='qwen2_5_vl'),
    'pretrain/tiny_mllm': dict(wide=True),
}


@pytest.mark.parametrize('path', CONFIGS)
def test_dumped_config_equals_the_one_it_came_from(path, tmp_path):
    config = Config.fromfile(ROOT / path)
    config.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == config.to_dict()


@pytest.mark.parametrize('path', CONFIGS)
def test_model_builds_on_meta(path, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    config = Config.fromfile(ROOT / path)
    init_default_scope('lavida_mm')
    for part, built in BUILT_BY_THE_USER.items():
        if part in path:
            from lavida_mm.models.tiny.builders import save_tiny_mllm

            config.model.mllm.pretrained = str(tmp_path / 'mllm')
            save_tiny_mllm(tmp_path / 'mllm', seed=0, **built)
    with torch.device('meta'):
        model = MODELS.build(config.model)
    assert sum(parameter.numel() for parameter in model.parameters()) > 100_000
    assert any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize('path', CONFIGS)
def test_configs_inherit_the_default_scope(path):
    assert Config.fromfile(ROOT / path).default_scope == 'lavida_mm'
