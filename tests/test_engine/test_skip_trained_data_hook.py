"""Training that is resumed in mid-epoch goes on with the samples that follow, and loads no other."""

import contextlib
from itertools import count

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from lavida_mm.datasets import SourceMixture, WeightedSourceSampler
from lavida_mm.engine import SkipTrainedDataHook
from tests.test_datasets.number_source import NumberSource, show_draws

RUNS = count()
LOADED = []


@pytest.fixture(autouse=True)
def no_inventory(monkeypatch):
    """A runner asks compilers and drivers for their versions, which takes a second."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


class Line(BaseModel):
    """Notes the batches that it gets."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 1)
        self.seen = []

    def forward(self, batch, mode='tensor'):
        self.seen.append(batch)
        return dict(loss=self.line(torch.tensor([[sample[3]] for sample in batch])).sum())


class Stop(Hook):
    """Ends a training as a power cut would."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 4:
            raise KeyboardInterrupt


def as_samples(batch):
    return dict(batch=[tuple(sample) for sample in batch])


def note(results):
    LOADED.append(results['number'])
    return results


def train(folder, workers=0, seed=3, hooks=(), resume=False, skip=True, sampler=None):
    sources = {name: NumberSource(size=7, name=name, pipeline=[note, show_draws]) for name in 'ab'}
    mixture = SourceMixture(sources=sources, shares=dict(a=0.5, b=0.5))
    LOADED.clear()
    model = Line()
    runner = Runner(
        model=model,
        work_dir=str(folder),
        train_dataloader=dict(
            batch_size=2,
            num_workers=workers,
            persistent_workers=bool(workers),
            dataset=mixture,
            sampler=sampler or dict(type=WeightedSourceSampler),
            collate_fn=as_samples,
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=9),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=2),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=4, by_epoch=False)),
        custom_hooks=[*hooks, *([dict(type=SkipTrainedDataHook)] if skip else [])],
        randomness=dict(seed=seed),
        resume=resume,
        load_from=str(folder / 'iter_4.pth') if resume else None,
        experiment_name=f'{folder.name}_{next(RUNS)}',  # two within a second must not share a name
        default_scope='lavida_mm',
    )
    with contextlib.suppress(KeyboardInterrupt):
        runner.train()
    return model.seen


@pytest.mark.parametrize('workers', [0, 1])
def test_resumed_training_gets_the_samples_that_follow(tmp_path, workers):
    whole = train(tmp_path / 'whole', workers)
    first = train(tmp_path / 'cut', workers, hooks=[Stop()])
    rest = train(tmp_path / 'cut', workers, resume=True)
    assert len(whole) == 9 and first == whole[:5] and rest == whole[4:]
    assert len(LOADED) == (0 if workers else 10)  # two a batch, none of the first four batches


def test_without_the_hook_the_samples_are_the_same_and_all_are_loaded_again(tmp_path):
    whole = train(tmp_path / 'cut')
    assert train(tmp_path / 'cut', resume=True, skip=False) == whole[4:] and len(LOADED) == 18


def test_seed_of_the_checkpoint_where_the_config_names_none(tmp_path):
    whole = train(tmp_path / 'cut', seed=None)
    assert train(tmp_path / 'cut', seed=None, resume=True) == whole[4:]


def test_other_samplers_are_left_to_the_loop(tmp_path):
    infinite = dict(type='InfiniteSampler', shuffle=True, seed=1)
    whole = train(tmp_path / 'cut', sampler=infinite)
    rest = train(tmp_path / 'cut', sampler=infinite, resume=True)
    numbers = [[[sample[:2] for sample in batch] for batch in batches] for batches in (whole[4:], rest)]
    assert numbers[0] == numbers[1] and len(LOADED) == 18
