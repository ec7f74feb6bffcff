"""The figures of the 7B config, worked out by hand from the published architectures."""

import importlib.util
import json
import sys

import pytest
from mmengine.config import Config

from lavida_mm.models.parameter_table import format_bytes
from lavida_mm.models.tiny.builders import MLLM_FAMILIES, save_tiny_mllm
from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import UsageError, run_tool
from tests.conftest import ROOT
from tests.test_engine import forked


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('model_summary', ROOT / 'tools/analysis_tools/model_summary.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def summary(tmp_path_factory):
    folder = tmp_path_factory.mktemp('summary')
    done = forked.run('tools/analysis_tools/model_summary.py', 'configs/lavida_7b.py', '--json', folder=folder)
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.fixture(scope='module')
def authors_summary(tool):
    config = Config.fromfile(ROOT / 'configs/lavida_7b.py')
    config.model.mllm.train_embeddings = 'all'
    return tool.summarise(config, None, (720, 1280))


def get_figures(summary):
    return {name: (part['parameters'], part['trainable']) for name, part in summary['parts'].items()}


def test_parameters_of_the_7b_config(summary):
    figures = get_figures(summary)
    # Vision tower: Conv3d of 3 x 2 x 14 x 14 to 1280 without bias; 32 blocks of two LayerNorms, attention (qkv and
    # output) and an MLP of 4 x 1280; a merger of LayerNorm and two linear layers over 2 x 2 patches to 3584.
    block = 2 * (2 * 1280) + (1280 * 3840 + 3840) + (1280 * 1280 + 1280) + (2 * 1280 * 5120 + 5120 + 1280)
    merger = 2 * 1280 + (5120 * 5120 + 5120) + (5120 * 3584 + 3584)
    tower = 1176 * 1280 + 32 * block + merger
    # Language model: 28 layers; q and o 3584 x 3584, k and v 3584 x 512, biases on q, k, v; an MLP of three matrices
    # of 3584 x 18944; two norms; and a last norm.
    layer = (3584 * 3584 + 3584) + 2 * (3584 * 512 + 512) + 3584 * 3584 + 3 * 3584 * 18944 + 2 * 3584
    language = 28 * layer + 3584
    embeddings = 2 * 152064 * 3584
    adapters = 28 * 8 * ((3584 + 3584) + (3584 + 512))
    assert figures['mllm.vision tower'] == (tower, 0)
    assert figures['mllm.language model'] == (language, 0)
    assert figures['mllm.embeddings and head'] == (embeddings, 0)
    assert figures['mllm.adapters'] == (adapters, adapters) == (2_523_136, 2_523_136)
    rows = 2 * 3584  # <SEG> at the input and in the head
    assert figures['mllm.rows of <SEG>'] == (rows, rows)
    assert tower + language + embeddings == 8_291_375_616  # the published size
    assert figures['mllm'] == (8_291_375_616 + adapters + rows, adapters + rows)
    assert round(summary['mllm_billions'], 2) == 8.29
    assert summary['parts']['mllm']['trainable_share'] == pytest.approx((adapters + rows) / figures['mllm'][0])

    # CLIP ViT-B/32's text half: 49408 tokens and 77 places of 512; 12 blocks; a norm; a projection without bias.
    text_block = 4 * (512 * 512 + 512) + 2 * (2 * 512) + (2 * 512 * 2048 + 2048 + 512)
    assert figures['text_encoder'] == ((49408 + 77) * 512 + 12 * text_block + 2 * 512 + 512 * 512, 0)

    # SAM ViT-B: 16 x 16 patches, 64 x 64 places, 12 blocks of 768 with relative positions (8 in windows of 14, 4 over
    # the whole 64 x 64), and a neck of a 1 x 1 and a 3 x 3 convolution to 256 with two norms.
    vit_block = 2 * (2 * 768) + (768 * 2304 + 2304) + (768 * 768 + 768) + (2 * 768 * 3072 + 3072 + 768)
    relative = 8 * 2 * (2 * 14 - 1) * 64 + 4 * 2 * (2 * 64 - 1) * 64
    neck = 768 * 256 + 9 * 256 * 256 + 2 * (2 * 256)
    image_encoder = (3 * 256 * 768 + 768) + 64 * 64 * 768 + 12 * vit_block + relative + neck
    assert figures['mask_head.image encoder'] == (image_encoder, 0) == (89_670_912, 0)

    total = summary['total']
    top = [part for name, part in summary['parts'].items() if '.' not in name]
    assert total['parameters'] == sum(part['parameters'] for part in top)
    assert total['trainable'] == sum(part['trainable'] for part in top)


def test_what_training_all_embeddings_costs(summary, authors_summary):
    embeddings, rows, adapters = 2 * 152064 * 3584, 2 * 3584, 2_523_136
    figures = get_figures(authors_summary)
    assert figures['mllm.embeddings and head'] == (embeddings, embeddings)
    assert figures['mllm.rows of <SEG>'] == (0, 0)
    assert figures['mllm'] == (8_291_375_616 + adapters, embeddings + adapters)
    # AdamW: two moments of 4 bytes, and the gradient of 4 more: 13.1 GB for the matrices, 86 kB for the rows.
    ours, theirs = summary['parts'], authors_summary['parts']
    assert theirs['mllm.embeddings and head']['optimizer_bytes'] == 12 * embeddings == 13_079_937_024
    assert ours['mllm.embeddings and head']['optimizer_bytes'] == 0
    assert ours['mllm.rows of <SEG>']['optimizer_bytes'] == 12 * rows == 86_016
    saved = authors_summary['total']['optimizer_bytes'] - summary['total']['optimizer_bytes']
    assert saved == 12 * (embeddings - rows)


def test_token_counts_of_the_7b_config(summary):
    assert summary['clip'] == {'frames': 8, 'height': 720, 'width': 1280}
    # Two frames share a grid. Training: 720 x 1280 is shrunk to 16 x 30 tokens, of at most 512; test: enlarged to
    # 27 x 48, of at most 1,536. Half of the tokens are kept.
    assert summary['visual_tokens'] == {
        'training': {'before': 4 * 16 * 30, 'after': 960, 'most_before': 2048, 'most_after': 1024},
        'test': {'before': 4 * 27 * 48, 'after': 2592, 'most_before': 6144, 'most_after': 3072},
    }


def test_the_7b_config_is_the_papers():
    config = Config.fromfile(ROOT / 'configs/lavida_7b.py')
    assert config.train_cfg.max_iters == 16000 and config.optim_wrapper.accumulative_counts == 2
    assert config.optim_wrapper.optimizer == dict(type='AdamW', lr=1e-5, weight_decay=0.01)
    assert config.param_scheduler[0].end == config.param_scheduler[1].begin == 200
    assert config.train_dataloader.batch_size == 2 and config.randomness.seed == 44
    assert config.test_dataloader.dataset.window == 8
    for source in ('clips', 'clips_phrases', 'mp4_clips'):
        sample = config.train_dataloader.dataset.sources[source].pipeline[0]
        assert sample.type == 'SampleClip' and sample.num_frames == 8
    losses = {name: config.model.mask_head[name].loss_weight for name in config.model.mask_head if 'loss' in name}
    added = {'loss_category': 0.1}  # ours, light
    assert losses == {'loss_focal': 20, 'loss_dice': 2, 'loss_iou': 1, 'loss_object': 2} | added


def test_table_of_the_tiny_config(tool):
    config = Config.fromfile(ROOT / 'configs/lavida_tiny.py')
    text = tool.describe(tool.summarise(config, None, (96, 96)))
    lines = text.splitlines()
    assert lines[0].split() == ['part', 'parameters', 'trainable', 'share', 'optimizer']
    assert len({len(line) for line in lines[:12]}) == 1  # aligned
    assert "optimizer: AdamW's two moments and the gradient in float32, 12 bytes per trained parameter" in lines
    assert 'clip of 4 frames, 96 x 96 pixels' in lines
    assert next(line for line in lines if line.startswith('training')).split() == ['training', '32', '16', '32', '16']


def test_a_model_without_mllm_and_one_without_compression(tool):
    pretraining = Config.fromfile(ROOT / 'configs/pretrain/tiny_segmenter_text.py')
    assert 'visual_tokens' not in tool.summarise(pretraining, None, (96, 96))
    whole = Config.fromfile(ROOT / 'configs/examples/tiny_no_compression.py')
    tokens = tool.summarise(whole, 3, (96, 96))['visual_tokens']['test']
    assert tokens == {'before': 32, 'after': 32, 'most_before': 32, 'most_after': 32}


@pytest.mark.parametrize('family', MLLM_FAMILIES)
def test_tokens_and_parts_of_every_family(tool, family, tmp_path):
    save_tiny_mllm(tmp_path, family=family)
    config = Config.fromfile(ROOT / 'configs/lavida_tiny.py')
    config.model.mllm.update(pretrained=str(tmp_path), frame_pixels=(2, 10), freeze_vision=True, train_embeddings='seg')
    summary = tool.summarise(config, 3, (60, 100))
    tokens = summary['visual_tokens']['test']
    if family.startswith('qwen'):  # 60 x 100 pixels are 2 x 4 units of 24, in two steps of two frames
        assert tokens == {'before': 16, 'after': 8, 'most_before': 20, 'most_after': 10}
    else:
        per_frame = MODELS.build(config.model.mllm).family.frame_tokens()
        assert tokens['before'] == tokens['most_before'] == 3 * per_frame
    parts = summary['parts']
    names = ('vision tower', 'language model', 'adapters', 'embeddings and head', 'rows of <SEG>')
    assert sum(parts[f'mllm.{name}']['parameters'] for name in names) == parts['mllm']['parameters']
    assert parts['mllm.vision tower']['trainable'] == parts['mllm.embeddings and head']['trainable'] == 0
    for name in ('language model', 'adapters', 'rows of <SEG>'):
        assert parts[f'mllm.{name}']['trainable'] == parts[f'mllm.{name}']['parameters'] > 0
    assert summary['parts']['mllm.rows of <SEG>']['parameters'] in (96, 192)  # once where embeddings and head are tied


def test_memory_reads_well():
    assert [format_bytes(number) for number in (0, 86_016, 2**30)] == ['0.00 MiB', '0.08 MiB', '1.00 GiB']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['configs/nope.py'], 'configs/nope.py'),
        (['configs/_base_/default_runtime.py'], 'error: configs/_base_/default_runtime.py: '),
        (['configs/lavida_7b.py', '--cfg-options', 'modle.x=1'], '--cfg-options modle.x: the config has no modle'),
        (['configs/lavida_7b.py', '--frames', '0'], '--frames must be at least 1, got 0'),
        (['configs/lavida_7b.py', '--size', '0', '9'], '--size must be at least 1 x 1, got 0 x 9'),
    ],
)
def test_bad_options(tool, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(sys, 'argv', ['model_summary.py', *arguments])
    with pytest.raises(SystemExit) as caught:
        run_tool(tool.main)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
    with pytest.raises(UsageError):
        tool.main()
