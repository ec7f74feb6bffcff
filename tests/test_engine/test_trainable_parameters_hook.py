"""The table of what is trained, and the names of what got no gradient."""

import socket
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from lavida_mm.engine import TrainableParametersHook, trainable_parameters_hook
from lavida_mm.engine.launch import leave_distributed
from lavida_mm.registry import HOOKS
from lavida_mm.utils import UsageError
from tests.conftest import run_python
from tests.test_engine.toy import write_config


class Branches(nn.Module):
    """Parts of which a step may use some."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.never = (nn.Linear(2, 2) for _ in range(3))
        self.frozen = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, use):
        parts = [getattr(self, name)(self.frozen(torch.ones(1, 2))) for name in use]
        return sum(part.sum() for part in parts)


@pytest.fixture
def log(monkeypatch):
    messages = []
    monkeypatch.setattr(trainable_parameters_hook, 'print_log', lambda message, **_: messages.append(message))
    return messages


def train(uses, model=None, accumulate=1, **options):
    """One iteration for each of ``uses``, as mmengine's loop runs them."""
    model = Branches() if model is None else model
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    wrapper = OptimWrapper(optimizer, accumulative_counts=accumulate)
    hook = HOOKS.build({'type': 'TrainableParametersHook', 'table': False, **options})
    runner = SimpleNamespace(model=model)
    hook.before_train(runner)
    for index, use in enumerate(uses):
        with wrapper.optim_context(model):
            loss = model(use)
        wrapper.update_params(loss)
        hook.after_train_iter(runner, index)
    hook.after_train(runner)
    return model


BOTH = ('first', 'second')


def test_names_what_got_no_gradient(log):
    train([BOTH] * 3, iterations=2)
    assert len(log) == 1
    assert '2 of 6 trainable parameters got no gradient in the first 2 iterations' in log[0]
    assert log[0].endswith(': never.weight, never.bias')


@pytest.mark.parametrize('accumulate', [1, 2, 5])
def test_a_gradient_in_any_iteration_counts(accumulate, log):
    train([('first',), ('second',), ('first',), ('never',)], iterations=4, accumulate=accumulate)
    assert log == []
    train([('first',), ('first',), ('first',), BOTH, ('never',)], iterations=4, accumulate=accumulate)
    assert len(log) == 1 and log[0].endswith(': never.weight, never.bias')


def test_what_comes_after_is_not_watched(log):
    model = train([('first',), (*BOTH, 'never')], iterations=1)
    assert len(log) == 1
    assert all(not parameter._post_accumulate_grad_hooks for parameter in model.parameters() if parameter.requires_grad)


def test_a_shorter_training_is_judged_at_its_end(log):
    train([BOTH] * 3, iterations=10)
    assert len(log) == 1 and 'in the first 3 iterations' in log[0]
    log.clear()
    train([], iterations=10)
    assert log == []


def test_a_gradient_of_zeros_is_one(log):
    class Zeros(Branches):
        def forward(self, use):
            return super().forward(use) + 0.0 * self.never.weight.sum() + 0.0 * self.never.bias.sum()

    train([BOTH], Zeros(), iterations=1)
    assert log == []


def test_can_end_training(log):
    with pytest.raises(UsageError, match=r'2 of 6 .* in the first 1 iterations.*: never\.weight, never\.bias'):
        train([BOTH] * 3, iterations=1, action='raise')
    train([(*BOTH, 'never')], iterations=1, action='raise')


def test_can_be_switched_off(log):
    model = train([('first',)] * 3, iterations=0)
    assert log == []
    assert not model.never.weight._post_accumulate_grad_hooks


def test_the_table_names_the_parts(log):
    train([(*BOTH, 'never')], iterations=1, table=True)
    assert len(log) == 1
    rows = [line.split() for line in log[0].splitlines()]
    assert ['part', 'parameters', 'trainable', 'share', 'optimizer'] in rows
    assert ['never', '6', '6', '100.00%', '0.00', 'MiB'] in rows
    assert ['frozen', '6', '0', '0.00%', '0.00', 'MiB'] in rows
    assert ['total', '24', '18', '75.00%', '0.00', 'MiB'] in rows


def test_a_part_that_is_built_otherwise_is_not_split(log):
    class Other(Branches):
        def __init__(self):
            super().__init__()
            self.mllm, self.mask_head = nn.Linear(1, 1), nn.Linear(1, 1)

    train([], Other(), table=True)
    assert 'mask_head' in log[0] and 'vision tower' not in log[0]


@pytest.mark.parametrize(
    ('options', 'rule'),
    [
        (dict(iterations=-1), 'iterations must be a whole number of at least 0, got -1'),
        (dict(iterations=2.5), 'iterations must be a whole number of at least 0, got 2.5'),
        (dict(action='stop'), r"action must be one of \('warn', 'raise'\), got 'stop'"),
    ],
)
def test_arguments_are_checked(options, rule):
    with pytest.raises(ValueError, match=rule):
        TrainableParametersHook(**options)


def _train_rank(rank, port, folder):
    messages = []
    trainable_parameters_hook.print_log = lambda message, **_: messages.append(message)
    torch.distributed.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(Branches(), find_unused_parameters=True)
    train([(BOTH[rank],)] * 2, model, iterations=2)
    torch.save(messages, f'{folder}/{rank}.pth')
    leave_distributed()  # what DistributedDataParallel holds of the group may wait for ever when it is taken apart


def test_what_one_process_reaches_is_trained_in_all(tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(_train_rank, (port, tmp_path), nprocs=2, start_method='fork')
    messages = [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]
    assert messages[0] == messages[1]
    assert len(messages[0]) == 1 and messages[0][0].endswith(': never.weight, never.bias')


def test_runs_by_default(tmp_path):
    """The toy holds a layer that nothing uses."""
    done = run_python('tools/train.py', write_config(tmp_path), '--work-dir', tmp_path / 'work')
    said = ' '.join((done.stdout + done.stderr).split())
    assert 'unused 6 6 100.00%' in said
    assert '2 of 4 trainable parameters got no gradient in the first 6 iterations' in said
    assert 'unused.weight, unused.bias' in said
