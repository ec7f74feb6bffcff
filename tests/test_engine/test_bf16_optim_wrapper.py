import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, DefaultScope
from torch import nn

from lavida_mm.engine import BF16OptimWrapper


def test_forward_runs_in_bfloat16_and_weights_stay_float32():
    model = nn.Linear(4, 2)
    before = model.weight.detach().clone()
    wrapper = BF16OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    with wrapper.optim_context(model):
        output = model(torch.ones(1, 4))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().sum())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)


def test_is_built_in_the_scope_of_the_project():
    config = dict(type='BF16OptimWrapper', optimizer=torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1))
    with DefaultScope.overwrite_default_scope('lavida_mm'):
        assert isinstance(OPTIM_WRAPPERS.build(config), BF16OptimWrapper)
        config['type'] = 'OptimWrapper'
        assert type(OPTIM_WRAPPERS.build(config)) is OptimWrapper
