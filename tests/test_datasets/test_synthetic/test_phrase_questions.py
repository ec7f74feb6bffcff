"""The pretraining stand-in of the MLLM: what its questions name, and that LAVIDA takes over what it learns."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from lavida_mm.datasets.draw import Draw
from lavida_mm.datasets.synthetic import BEHAVIOURS, HELD_OUT_PAIRS, TRAINED_PAIRS
from lavida_mm.datasets.synthetic.phrases import is_held_out, phrase_behaviour
from lavida_mm.engine.launch import build_runner
from lavida_mm.models.tiny.builders import save_tiny_mllm
from lavida_mm.registry import DATASETS
from tests.conftest import ROOT, run_python

NAMING, CONFIG = 'configs/pretrain/tiny_mllm_naming.py', 'configs/pretrain/tiny_mllm.py'

# pycocotools' decoder under numpy 2
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')


@pytest.fixture
def load(phrase_world, small_world, tmp_path, monkeypatch):
    """Loads a config with its data in small worlds, loaded in this process, for two iterations."""
    from lavida_mm.engine.launch import load_config

    monkeypatch.chdir(ROOT)
    save_tiny_mllm(tmp_path / 'wide', wide=True, seed=0)

    def load(path, pretrained, **changes):
        options = {
            'model.mllm.pretrained': str(pretrained),
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_dataloader.batch_size': 2,
            'train_cfg.max_iters': 2,
            'work_dir': str(tmp_path / Path(path).stem),
            'experiment_name': f'{tmp_path.name}_{Path(path).stem}',
            'visualizer': None,
            **changes,
        }
        config = load_config(path, {})
        text = json.dumps(config.to_dict()).replace('data/synthetic_world/', 'WORLD/')
        for root in (phrase_world, small_world):
            for part in root.iterdir():
                text = text.replace(f'WORLD/{part.name}"', f'{part}"').replace(f'WORLD/{part.name}/', f'{part}/')
        config = Config(json.loads(text))
        config.merge_from_dict(options)
        return config

    return load


def test_no_held_out_combination_is_named(load, tmp_path):
    """In questions, answers and the words of objects, over draws of every clip."""
    init_default_scope('lavida_mm')
    mixture = DATASETS.build(load(CONFIG, tmp_path / 'wide').train_dataloader.dataset)
    held_out = [
        phrase
        for pair in TRAINED_PAIRS
        for behaviour in BEHAVIOURS
        if is_held_out(pair, behaviour)
        for phrase in phrase_behaviour(pair, behaviour)
    ]
    held_out += map(str, HELD_OUT_PAIRS)
    texts = []
    for item in range(len(mixture)):
        for seed in range(20):
            sample = mixture[Draw(item, seed)]['data_samples']
            texts += [text for turn in sample.conversation for text in turn]
            texts += sample.categories
            texts += [word for words in sample.object_words for word in words]
    told = '\n'.join(texts)
    assert not [phrase for phrase in held_out if phrase in told]
    trained = [phrase_behaviour(p, b)[0] for p in TRAINED_PAIRS for b in BEHAVIOURS if not is_held_out(p, b)]
    assert sum(phrase in told for phrase in trained) > 20  # the search would have found some


@pytest.mark.slow
@pytest.mark.parametrize(
    ('trained', 'lavida', 'afterwards'),
    [
        ('nothing', 'configs/lavida_tiny_behaviour.py', {}),
        ('lora', 'configs/ablation/behaviour_lora.py', {}),
        (
            'all',
            'configs/lavida_tiny_behaviour.py',
            {'model.mllm.freeze_language': False, 'model.mllm.freeze_vision': False},
        ),
    ],
)
def test_lavida_goes_on_from_what_was_trained(load, tmp_path, trained, lavida, afterwards):
    """Two stages, export, and LAVIDA trained on the folder: the MLLM frozen, by LoRA or in full, as the config says."""
    build_runner(load(NAMING, tmp_path / 'wide'), NAMING).train()
    first = tmp_path / 'tiny_mllm_naming/iter_2.pth'
    build_runner(load(CONFIG, tmp_path / 'wide', load_from=str(first)), CONFIG).train()
    second = tmp_path / 'tiny_mllm/iter_2.pth'
    option = f'model.mllm.pretrained={tmp_path / "wide"}'
    run_python('tools/model_tools/export_hf.py', CONFIG, second, tmp_path / 'mllm', '--cfg-options', option)

    stages = [torch.load(path, weights_only=True)['state_dict'] for path in (first, second)]
    assert 'mllm.model.lm_head.weight' not in stages[1]  # it is the matrix of the embeddings
    assert any(not torch.equal(stages[1][name], stages[0][name]) for name in stages[0])
    config = load(lavida, tmp_path / 'mllm', **afterwards)
    for part in ('val_dataloader', 'val_evaluator', 'val_cfg', 'test_dataloader', 'test_evaluator', 'test_cfg'):
        config[part] = None
    runner = build_runner(config, lavida)
    taken = dict(runner.model.mllm.model.named_parameters())
    for name, value in taken.items():
        if 'lora' not in name:
            torch.testing.assert_close(value, stages[1][f'mllm.model.{name.replace(".base_layer", "")}'])
    before = {name: value.detach().clone() for name, value in taken.items()}
    runner.train()
    moved = {name for name, value in taken.items() if not torch.equal(value, before[name])}
    if trained == 'nothing':
        assert not moved
    elif trained == 'lora':
        assert moved and all('lora' in name for name in moved)
    else:
        assert any('visual' in name for name in moved)
        assert any('language_model.layers' in name for name in moved)
