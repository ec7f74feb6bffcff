"""The pretraining stand-in of the MLLM: what its questions name, and that LAVIDA takes over what it learns."""

import pytest
import torch
from mmengine.registry import init_default_scope

from lavida_mm.datasets.draw import Draw
from lavida_mm.datasets.synthetic import BEHAVIOURS, HELD_OUT_PAIRS, TRAINED_PAIRS
from lavida_mm.datasets.synthetic.phrases import is_held_out, phrase_behaviour
from lavida_mm.models.tiny.builders import save_tiny_mllm
from lavida_mm.registry import DATASETS, MODELS
from tests.conftest import ROOT, run_python

CONFIG = 'configs/pretrain/tiny_mllm.py'

# pycocotools' decoder under numpy 2
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')


@pytest.fixture
def load(phrase_world, small_world, tmp_path, monkeypatch):
    """Loads the config with its data in small worlds, loaded in this process."""
    from lavida_mm.engine.launch import load_config

    monkeypatch.chdir(ROOT)
    save_tiny_mllm(tmp_path / 'wide', wide=True, seed=0)
    sources = 'train_dataloader.dataset.sources'
    options = {
        'model.mllm.pretrained': str(tmp_path / 'wide'),
        f'{sources}.behaviour_clips.data_root': str(phrase_world / 'behaviour_clips'),
        f'{sources}.clips.data_root': str(small_world / 'clips'),
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'train_dataloader.batch_size': 2,
        'train_cfg.max_iters': 2,
    }
    return lambda: load_config(CONFIG, options)


def test_no_held_out_combination_is_named(load):
    """In questions, answers and the words of objects, over draws of every clip."""
    init_default_scope('lavida_mm')
    mixture = DATASETS.build(load().train_dataloader.dataset)
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
            texts += [word for words in sample.object_words for word in words]
    told = '\n'.join(texts)
    assert not [phrase for phrase in held_out if phrase in told]
    trained = [phrase_behaviour(p, b)[0] for p in TRAINED_PAIRS for b in BEHAVIOURS if not is_held_out(p, b)]
    assert sum(phrase in told for phrase in trained) > 20  # the search would have found some


@pytest.mark.slow
@pytest.mark.parametrize('afterwards', [dict(lora=None), dict(freeze_language=True, train_embeddings='seg')])
def test_lavida_takes_over_what_was_trained(load, tmp_path, afterwards):
    """Train, export, and build LAVIDA on the folder: trained in full, or by LoRA alone, as the config says."""
    from lavida_mm.engine.launch import build_runner, load_config

    config = load()
    config.work_dir, config.visualizer, config.experiment_name = str(tmp_path / 'run'), None, tmp_path.name
    build_runner(config, CONFIG).train()
    run_python(
        'tools/model_tools/export_hf.py',
        CONFIG,
        tmp_path / 'run',
        tmp_path / 'mllm',
        '--cfg-options',
        f'model.mllm.pretrained={tmp_path / "wide"}',
    )

    settings = load_config('configs/lavida_tiny.py').model.mllm
    settings.update(pretrained=str(tmp_path / 'mllm'), **afterwards)
    taken = MODELS.build(settings).model
    trained = torch.load(tmp_path / 'run/iter_2.pth', weights_only=True)['state_dict']
    start = MODELS.build(load().model).mllm.model.state_dict()
    assert 'mllm.model.lm_head.weight' not in trained  # it is the matrix of the embeddings
    names = [name for name in start if name != 'lm_head.weight']
    assert any(not torch.equal(trained[f'mllm.model.{name}'], start[name]) for name in names)
    for name, value in taken.state_dict().items():
        if 'lora' not in name and name != 'lm_head.weight':
            torch.testing.assert_close(value, trained[f'mllm.model.{name.replace(".base_layer", "")}'])
    language = [p for n, p in taken.named_parameters() if 'language_model.layers' in n and 'lora' not in n]
    assert {p.requires_grad for p in language} == {not settings.freeze_language}
