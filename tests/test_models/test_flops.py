import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch.utils.flop_counter import FlopCounterMode

from lavida_mm.models import flops
from lavida_mm.models.compressors import (
    AvgPoolCompressor,
    RandomCompressor,
    ReverseAttnCompressor,
    SimilarityMergeCompressor,
    ToMeCompressor,
    UniformCompressor,
)
from lavida_mm.models.mllm import MLLMBackbone
from lavida_mm.models.tiny.builders import MLLM_FAMILIES, save_tiny_mllm
from lavida_mm.registry import MODELS
from tests.conftest import ROOT

SIZE = (60, 100)


@pytest.fixture(scope='module')
def full_size():
    with torch.device('meta'):
        return MLLMBackbone(pretrained='Qwen/Qwen2-VL-7B-Instruct', test_frame_pixels=(1280, 1536)).eval()


@pytest.mark.parametrize('family', MLLM_FAMILIES)
@pytest.mark.parametrize('num_frames', [1, 3])
def test_shapes_give_the_operations_of_a_real_pass(family, num_frames, tmp_path):
    save_tiny_mllm(tmp_path, family=family)
    # torch counts no operations of the CPU's fused attention.
    settings = dict(
        pretrained=str(tmp_path), attn_implementation='eager', frame_pixels=(8, 16), train_embeddings='none'
    )
    real = MLLMBackbone(**settings).eval()
    with torch.device('meta'):
        shapes = MLLMBackbone(**settings).eval()
    clip = torch.randint(0, 256, (num_frames, 3, *SIZE), dtype=torch.uint8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        read = real([clip], [['car', 'person']], [0])
    (sequence,) = real.writer.write_prompt(
        ['car', 'person'], 0, real.family.prepare(real.writer.processor, clip, (8, 16))
    )
    vision = flops.count_vision(shapes, num_frames, *SIZE, training=False)
    language = flops.count_language(shapes, len(sequence.ids))
    head = flops.count_head(shapes, int((sequence.labels >= 0).sum()))
    assert read.num_tokens_before == [shapes.count_visual_tokens(num_frames, *SIZE, training=False)]
    assert counter.get_total_flops() == vision.total + language.total + head.total
    assert 0 < vision.attention < vision.total and 0 < language.attention < language.total and not head.attention


def test_language_model_of_7b_by_hand(full_size):
    length = 1000
    projections = 2 * 3584 * 3584 + 2 * 3584 * 512 + 3 * 3584 * 18944
    adapters = 8 * ((3584 + 3584) + (3584 + 512))
    rotary = 3 * 2 * length * 64
    attention = 28 * 4 * length**2 * 3584 + rotary
    counted = flops.count_language(full_size, length)
    assert counted == (28 * 2 * length * (projections + adapters) + attention, attention)
    assert flops.count_head(full_size, 5) == (2 * 5 * 3584 * 152064, 0)


def test_vision_tower_of_7b_by_hand(full_size):
    steps, per_step = 4, 54 * 96  # of 720 x 1280 pixels, enlarged to 27 x 48 tokens
    patches = steps * per_step
    block = 1280 * 3840 + 1280 * 1280 + 2 * 1280 * 5120
    attention = 32 * 4 * steps * per_step**2 * 1280  # within a step
    merger = patches // 4 * 2 * (5120 * 5120 + 5120 * 3584)
    total = patches * 2 * (1176 * 1280 + 32 * block) + attention + merger
    assert flops.count_vision(full_size, 8, 720, 1280, training=False) == (total, attention)
    fewer = flops.count_vision(full_size, 8, 720, 1280, training=True)
    assert fewer.total < total


def test_segmenter_of_the_tiny_model():
    init_default_scope('lavida_mm')
    head = Config.fromfile(ROOT / 'configs' / 'lavida_tiny.py').model.mask_head
    with torch.device('meta'):
        shapes = MODELS.build(head)
    real = MODELS.build(head)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        real.encode([torch.zeros(2, 3, *SIZE, dtype=torch.uint8)])
    assert flops.count_segmenter(shapes, 2, *SIZE).total == counter.get_total_flops() > 0


@pytest.mark.parametrize(
    ('kind', 'products'),
    [
        (AvgPoolCompressor, 0),
        (RandomCompressor, 0),
        (ReverseAttnCompressor, 96**2),  # the Gram matrix
        (SimilarityMergeCompressor, 96**2),
        (ToMeCompressor, 48**2 + 24**2),  # two sides of 48 in the first round, of 24 in the second
        (UniformCompressor, 0),
    ],
)
@pytest.mark.parametrize('num_channels', [16, 640])
def test_compressors_are_counted_on_few_channels(kind, products, num_channels):
    tokens = torch.randn(96, num_channels)
    compressor = kind(keep_ratio=0.25).eval()
    with FlopCounterMode(display=False) as counter:
        compressor([tokens])[0].apply(tokens)
    total = 2 * num_channels * products
    assert flops.count_compressor(compressor, 96, num_channels) == (total, total)
    assert counter.get_total_flops() == total
