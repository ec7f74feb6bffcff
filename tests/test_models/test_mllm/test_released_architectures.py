"""Full-size models on the meta device: their sizes worked out by hand, layer by layer."""

import pytest
import torch

from lavida_mm.models.mllm import MLLMBackbone
from lavida_mm.models.text_encoders import CLIPTextEncoder


def qwen2_tower(out):
    patch = 3 * 2 * 14 * 14 * 1280
    block = 2 * 2 * 1280 + 1280 * 3 * 1280 + 3 * 1280 + 1280 * 1280 + 1280 + 2 * 1280 * 5120 + 5120 + 1280
    merged = 4 * 1280
    merger = 2 * 1280 + merged * merged + merged + merged * out + out
    return patch + 32 * block + merger


def qwen2_5_tower(out):
    patch = 3 * 2 * 14 * 14 * 1280
    block = 2 * 1280 + 1280 * 3 * 1280 + 3 * 1280 + 1280 * 1280 + 1280 + 3 * 1280 * 3420 + 2 * 3420 + 1280
    merged = 4 * 1280
    merger = 1280 + merged * merged + merged + merged * out + out
    return patch + 32 * block + merger


def language_model(vocabulary, hidden, inner, layers, key_values, tied):
    attention = 2 * hidden * hidden + hidden + 2 * (hidden * key_values + key_values)
    layer = attention + 3 * hidden * inner + 2 * hidden
    return vocabulary * hidden * (1 if tied else 2) + layers * layer + hidden


@pytest.mark.parametrize(
    ('pretrained', 'expected', 'published'),
    [
        (
            'Qwen/Qwen2-VL-7B-Instruct',
            qwen2_tower(3584) + language_model(152064, 3584, 18944, 28, 512, False),
            8_291_375_616,
        ),
        (
            'Qwen/Qwen2-VL-2B-Instruct',
            qwen2_tower(1536) + language_model(151936, 1536, 8960, 28, 256, True),
            2_208_985_600,
        ),
        (
            'Qwen/Qwen2.5-VL-7B-Instruct',
            qwen2_5_tower(3584) + language_model(152064, 3584, 18944, 28, 512, False),
            8_292_166_656,
        ),
        (
            'Qwen/Qwen2.5-VL-3B-Instruct',
            qwen2_5_tower(2048) + language_model(151936, 2048, 11008, 36, 256, True),
            3_754_622_976,
        ),
    ],
)
def test_sizes_of_released_models(pretrained, expected, published):
    with torch.device('meta'):
        model = MLLMBackbone(pretrained=pretrained, lora=None)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected == published
    assert all(parameter.is_meta for parameter in model.parameters())
    assert model.patch_grid.unit == 28


def test_trained_share_of_the_paper():
    with torch.device('meta'):
        model = MLLMBackbone(pretrained='Qwen/Qwen2-VL-7B-Instruct')
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    # Rank 8 on q_proj (3584 -> 3584) and v_proj (3584 -> 512) of 28 layers; embeddings and head of 152,064 rows.
    assert trained == 28 * 8 * (3584 + 3584 + 3584 + 512) + 2 * 152064 * 3584
    with pytest.raises(RuntimeError, match='meta'):
        model([torch.zeros(1, 3, 28, 28, dtype=torch.uint8)], [['star']], [0])


def test_clip_text_encoder_of_the_paper():
    with torch.device('meta'):
        encoder = CLIPTextEncoder(pretrained='openai/clip-vit-base-patch32')
    block = 4 * (512 * 512 + 512) + 2 * 2 * 512 + 2 * 512 * 2048 + 2048 + 512
    assert encoder.out_channels == 512
    assert sum(p.numel() for p in encoder.parameters()) == (49408 + 77) * 512 + 12 * block + 2 * 512 + 512 * 512
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    with pytest.raises(RuntimeError, match='meta'):
        encoder(['star'])


def test_a_local_folder_builds_on_meta(tiny_folder):
    with torch.device('meta'):
        shapes = MLLMBackbone(pretrained=str(tiny_folder), frame_pixels=(16, 16))
    loaded = MLLMBackbone(pretrained=str(tiny_folder), frame_pixels=(16, 16))
    assert {n: p.shape for n, p in shapes.named_parameters()} == {n: p.shape for n, p in loaded.named_parameters()}
    assert shapes.count_visual_tokens(4, 96, 96, training=True) == 32


def test_an_unknown_name_on_meta():
    with torch.device('meta'), pytest.raises(ValueError, match=r'cannot be built on the meta device.*Qwen2-VL-7B'):
        MLLMBackbone(pretrained='someone/else')
