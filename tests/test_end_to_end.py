"""The whole way on a small synthetic world: train, test, swap parts by config, mix sources."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from lavida_mm.models.tiny.builders import MLLM_FAMILIES, save_tiny_mllm
from tests.conftest import ROOT, run_python

TINY = 'configs/lavida_tiny.py'
QWEN2_5 = 'configs/examples/tiny_qwen2_5_vl.py'


def world_options(world) -> dict:
    """The options that point a tiny config at another world, with small batches and no worker processes."""
    root = 'train_dataloader.dataset.sources'
    options = {f'{root}.{name}.data_root': f'{world}/{name}' for name in ('images', 'clips', 'mp4_clips')}
    options[f'{root}.clips_phrases.data_root'] = f'{world}/clips'
    for split in ('val', 'test'):
        part = 'val' if split == 'val' else 'benchmark'
        options[f'{split}_dataloader.dataset.benchmark.root'] = f'{world}/{part}'
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        options[f'{loader}.num_workers'] = 0
        options[f'{loader}.persistent_workers'] = False
    options['train_dataloader.batch_size'] = 4
    return options


def run_config(path, work_dir, options: dict, iterations: int = 2) -> dict:
    """Train a few iterations and test, in this process."""
    from lavida_mm.engine.launch import build_runner, load_config

    settings = {**options, 'train_cfg.max_iters': iterations, 'train_cfg.val_interval': iterations + 1}
    for stage in ('train', 'test'):
        config = load_config(ROOT / path, settings)
        config.work_dir = str(work_dir)
        config.experiment_name = f'{work_dir.name}_{stage}'
        config.visualizer = None
        config.randomness = dict(seed=0)
        if stage == 'test':
            config.load_from = str(work_dir / f'iter_{iterations}.pth')
        runner = build_runner(config, path)
        result = runner.train() if stage == 'train' else runner.test()
    return result


@pytest.fixture(autouse=True)
def in_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope='session')
def mllm_folders(tmp_path_factory):
    """A tiny model of each family, in the Hugging Face format."""
    root = tmp_path_factory.mktemp('families')
    for family in MLLM_FAMILIES:
        save_tiny_mllm(root / family, family=family, seed=0)
    return {family: root / family for family in MLLM_FAMILIES}


def test_a_lora_checkpoint_is_small_and_gives_the_same_again(small_world, tmp_path):
    """What `tools/train.py` writes holds adapters and rows in place of the MLLM; two tests of it agree."""
    from mmengine.runner.checkpoint import load_checkpoint

    from lavida_mm.engine.launch import load_config
    from lavida_mm.registry import MODELS

    path = 'configs/examples/tiny_lora.py'
    metrics = run_config(path, tmp_path, world_options(small_world))
    stored = torch.load(tmp_path / 'iter_2.pth', weights_only=True)['state_dict']
    mllm = {name: value for name, value in stored.items() if name.startswith('mllm.')}
    base = (ROOT / 'checkpoints/tiny/mllm/model.safetensors').stat().st_size
    assert sum(value.nbytes for value in mllm.values()) < 0.2 * base
    assert {name.split('.')[1] for name in mllm} == {'model', 'seg_rows', 'base_fingerprint', 'lora_alpha'}
    assert all('lora_' in name for name in mllm if name.startswith('mllm.model.'))
    states = []
    for _ in range(2):
        model = MODELS.build(load_config(ROOT / path).model).eval()
        load_checkpoint(model, str(tmp_path / 'iter_2.pth'), map_location='cpu')
        clip = torch.arange(4 * 3 * 96 * 96).reshape(4, 3, 96, 96).remainder(251).to(torch.uint8)
        with torch.no_grad():
            states.append(model.mllm([clip], [['red star']], [0], model.compressor).seg_states)
    assert torch.equal(*states)
    assert metrics['vad/coverage_frames'] == 1


@pytest.mark.parametrize('family', MLLM_FAMILIES)
def test_every_family_trains_and_tests_with_compression_by_changing_pretrained_alone(
    family, small_world, mllm_folders, tmp_path
):
    options = {**world_options(small_world), 'model.mllm.pretrained': str(mllm_folders[family])}
    metrics = run_config(TINY, tmp_path, options)
    assert metrics['vad/num_frames'] == 3 * 48
    assert metrics['vad/coverage_frames'] == 1


SWAPS = {
    'as it is': (TINY, {}),
    'no compression, by option': (TINY, {'model.compressor': None}),
    'no compression, by leaf': ('configs/examples/tiny_no_compression.py', {}),
    'more positives, by option': (TINY, {'train_dataloader.dataset.anomaly_sampler.anomaly_ratio': 0.75}),
    'more positives, by leaf': ('configs/examples/tiny_more_positives.py', {}),
    'MLP projector, by leaf': ('configs/examples/tiny_mlp_projector.py', {}),
    'Q-Former projector, by leaf': ('configs/examples/tiny_qformer_projector.py', {}),
    "the MLLM's own text features, by leaf": ('configs/examples/tiny_mllm_text.py', {}),
    'another MLLM, by leaf': (QWEN2_5, {'model.mllm.pretrained': QWEN2_5}),
    'SAM 2, by leaf': ('configs/lavida_tiny_sam2.py', {}),
    'SAM 2 with memory, by leaf': ('configs/examples/tiny_sam2_memory.py', {}),
}


@pytest.mark.parametrize('name', SWAPS)
def test_swapped_parts_train_and_test(name, small_world, mllm_folders, tmp_path):
    path, options = SWAPS[name]
    options = {key: str(mllm_folders['qwen2_5_vl']) if value == QWEN2_5 else value for key, value in options.items()}
    metrics = run_config(path, tmp_path, {**world_options(small_world), **options})
    assert metrics['vad/num_videos'] == 3
    assert metrics['vad/num_frames'] == 3 * 48
    assert metrics['vad/coverage_frames'] == 1
    assert 0 <= metrics['vad/frame_auc'] <= 1
    assert 0 <= metrics['vad/pixel_auc'] <= 1


def test_the_leaf_configs_change_what_they_say():
    base = Config.fromfile(TINY)
    assert base.model.compressor.keep_ratio == 0.5
    assert Config.fromfile('configs/examples/tiny_no_compression.py').model.compressor is None
    leaf = Config.fromfile('configs/examples/tiny_more_positives.py')
    assert leaf.train_dataloader.dataset.anomaly_sampler.anomaly_ratio == 0.75
    assert base.train_dataloader.dataset.anomaly_sampler.anomaly_ratio == 0.5
    for path in ('tiny_no_compression', 'tiny_more_positives', 'tiny_qwen2_5_vl'):
        lines = (ROOT / f'configs/examples/{path}.py').read_text().splitlines()
        assert len([line for line in lines if line and not line.startswith('#')]) <= 5


def test_real_images_and_videos_mix_with_synthetic_ones(small_world, shared_data, tmp_path):
    real = {
        'train_dataloader.dataset.sources.coco.data_root': f'{shared_data}/media/coco',
        'train_dataloader.dataset.sources.cutie.data_root': f'{shared_data}/media/cutie',
    }
    options = {**world_options(small_world), **real}
    metrics = run_config('configs/examples/tiny_mixed_sources.py', tmp_path, options, iterations=20)
    assert metrics['vad/coverage_frames'] == 1


def test_shipped_checkpoint_tells_right_words_from_absent_ones(small_world, tmp_path):
    """A floor far below the reported figures: three videos only, and no figure of the docs depends on it."""
    scores = {}
    for words in ('own', 'absent'):
        options = ['--cfg-options']
        options += [f'{key}={value}' for key, value in world_options(small_world).items() if key.startswith('test_')]
        options.append(f'test_dataloader.dataset.prompt_words={words}')
        checkpoint = 'checkpoints/lavida_tiny.safetensors'
        done = run_python('tools/test.py', TINY, checkpoint, '--work-dir', tmp_path / words, *options)
        scores[words] = json.loads((tmp_path / words / 'metrics.json').read_text())
        assert 'vad/frame_auc' in done.stdout + done.stderr
    assert scores['own']['vad/frame_auc'] > 0.8
    assert scores['own']['vad/frame_auc'] > scores['absent']['vad/frame_auc'] + 0.15


STAND_INS = {  # pretraining, the config that uses it, the weights of the image encoder
    'SAM': ('tiny_segmenter_text.py', TINY, 'segmenter.image_encoder.'),
    'SAM 2': ('tiny_sam2_text.py', 'configs/lavida_tiny_sam2.py', 'segmenter.network.vision_encoder.'),
}


@pytest.mark.parametrize(('pretraining', 'user', 'encoder'), STAND_INS.values(), ids=STAND_INS)
def test_pretraining_stand_in_trains_and_hands_over(small_world, tmp_path, pretraining, user, encoder):
    """Its weights find their places in LAVIDA: image encoder, text encoder and similarity."""
    from lavida_mm.engine.launch import build_runner, load_config
    from lavida_mm.registry import MODELS

    path = f'configs/pretrain/{pretraining}'
    config = load_config(
        path,
        {
            'train_dataloader.dataset.data_root': f'{small_world}/stage0',
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_dataloader.batch_size': 2,
            'train_cfg.max_iters': 2,
        },
    )
    config.work_dir, config.visualizer, config.experiment_name = str(tmp_path), None, Path(path).stem
    build_runner(config, path).train()
    weights = tmp_path / 'pixel_text.safetensors'
    prefixes = [encoder, 'text_encoder.', 'similarity.']
    run_python('tools/model_tools/publish_checkpoint.py', tmp_path, weights, '--prefix', *prefixes)

    model_config = load_config(user).model
    segmenter = model_config.mask_head.segmenter
    for part in (model_config.text_encoder, model_config.projector.similarity, segmenter.get('image_encoder')):
        if part is not None:
            part.init_cfg.checkpoint = str(weights)
    if 'init_cfg' in segmenter:
        segmenter.init_cfg.checkpoint = str(weights)
    model = MODELS.build(model_config)
    model.init_weights()
    from safetensors.torch import load_file

    trained = load_file(weights)
    places = zip(prefixes, (model.mask_head.segmenter.image_encoder, model.text_encoder, model.projector.similarity))
    for prefix, part in places:
        state = part.state_dict()
        names = [name for name in trained if name.startswith(prefix)]
        assert len(names) == len(state)
        for name in names:
            torch.testing.assert_close(state[name.removeprefix(prefix)], trained[name])
