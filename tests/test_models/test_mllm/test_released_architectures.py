"""Full-size models on the meta device: their sizes worked out by hand, layer by layer."""

import pytest
import torch

from lavida_mm.models.mllm import MLLMBackbone
from lavida_mm.models.mllm.released_architectures import RELEASED_ARCHITECTURES, released_config
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


def linear(inputs, outputs, bias=True):
    return inputs * outputs + (outputs if bias else 0)


def transformer_block(hidden, inner):
    """Attention and two-layer perceptron with biases, two layer norms."""
    return 2 * 2 * hidden + 4 * linear(hidden, hidden) + linear(hidden, inner) + linear(inner, hidden)


def qwen3_tower(hidden, inner, depth, out):
    patch = linear(3 * 2 * 16 * 16, hidden)
    merged = 4 * hidden
    merger = linear(merged, merged) + linear(merged, out)
    # The merger normalises before it joins four patches; those of the three inner layers do so afterwards.
    mergers = 2 * hidden + merger + 3 * (2 * merged + merger)
    return patch + 2304 * hidden + depth * transformer_block(hidden, inner) + mergers


def plain_decoder(vocabulary, hidden, inner, layers, queries, key_values, tied, head_norm=0):
    """Llama's or Qwen3's language model, without biases; Qwen3 normalises queries and keys of each head."""
    attention = 2 * hidden * queries + 2 * hidden * key_values + 2 * head_norm
    layer = attention + 3 * hidden * inner + 2 * hidden
    return vocabulary * hidden * (1 if tied else 2) + layers * layer + hidden


def siglip_tower(hidden, inner, layers, patch, places):
    return linear(3 * patch * patch, hidden) + places * hidden + layers * transformer_block(hidden, inner) + 2 * hidden


def internvl(text):
    """InternViT-300M with layer scales and a class token, and the projector to a text width."""
    patch = linear(3 * 14 * 14, 1024) + 1024 + (32 * 32 + 1) * 1024
    tower = patch + 24 * (transformer_block(1024, 4096) + 2 * 1024)
    return tower + 2 * 4096 + linear(4096, text) + linear(text, text)


def onevision(text):
    """SigLIP-400M without its last layer, the projector to a text width, and image_newline."""
    return siglip_tower(1152, 4304, 26, 14, 27 * 27) + linear(1152, text) + linear(text, text) + text


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
        (
            'Qwen/Qwen3-VL-2B-Instruct',
            qwen3_tower(1024, 4096, 24, 2048) + plain_decoder(151936, 2048, 6144, 28, 2048, 1024, True, 128),
            2_127_532_032,
        ),
        (
            'Qwen/Qwen3-VL-4B-Instruct',
            qwen3_tower(1024, 4096, 24, 2560) + plain_decoder(151936, 2560, 9728, 36, 4096, 1024, True, 128),
            4_437_815_808,
        ),
        (
            'Qwen/Qwen3-VL-8B-Instruct',
            qwen3_tower(1152, 4304, 27, 4096) + plain_decoder(151936, 4096, 12288, 36, 4096, 1024, False, 128),
            8_767_123_696,
        ),
        (
            'OpenGVLab/InternVL3-2B-hf',
            internvl(1536) + language_model(151674, 1536, 8960, 28, 256, False),
            2_088_957_440,
        ),
        (
            'OpenGVLab/InternVL3-8B-hf',
            internvl(3584) + language_model(151674, 3584, 18944, 28, 512, False),
            7_944_373_760,
        ),
        (
            'llava-hf/llava-onevision-qwen2-0.5b-ov-hf',
            onevision(896) + language_model(152000, 896, 4864, 24, 128, True),
            '0.9B',  # published rounded
        ),
        (
            'llava-hf/llava-onevision-qwen2-7b-ov-hf',
            onevision(3584) + language_model(152128, 3584, 18944, 28, 512, False),
            '8.0B',
        ),
        (
            'HuggingFaceTB/SmolVLM2-500M-Video-Instruct',
            siglip_tower(768, 3072, 12, 16, 32 * 32)
            + linear(16 * 768, 960, bias=False)
            + plain_decoder(49280, 960, 2560, 32, 960, 320, False),
            507_482_304,
        ),
        (
            'HuggingFaceTB/SmolVLM2-2.2B-Instruct',
            siglip_tower(1152, 4304, 27, 14, 27 * 27)
            + linear(9 * 1152, 2048, bias=False)
            + plain_decoder(49280, 2048, 8192, 24, 2048, 2048, False),
            2_246_784_880,
        ),
    ],
)
def test_sizes_of_released_models(pretrained, expected, published):
    from transformers import AutoModelForImageTextToText

    with torch.device('meta'):
        model = AutoModelForImageTextToText.from_config(released_config(pretrained))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == expected
    assert published == (f'{count / 1e9:.1f}B' if isinstance(published, str) else count)
    assert all(parameter.is_meta for parameter in model.parameters())


MLLMS = sorted(name for name, config in RELEASED_ARCHITECTURES.items() if 'vision_config' in config)


@pytest.mark.parametrize('pretrained', MLLMS)
def test_the_tokens_of_a_frame_are_what_the_tower_makes(pretrained):
    config = released_config(pretrained)
    vision = config.vision_config
    if config.model_type.startswith('qwen'):
        assert vision.spatial_merge_size == vision.temporal_patch_size == 2
        width = vision.hidden_size if config.model_type == 'qwen2_vl' else vision.out_hidden_size
        assert width == config.text_config.hidden_size
        return
    side, patch = (
        value[0] if isinstance(value, list | tuple) else value for value in (vision.image_size, vision.patch_size)
    )
    if config.model_type == 'internvl':
        assert (side // patch * config.downsample_ratio) ** 2 == config.image_seq_length == 256
    elif config.model_type == 'llava_onevision':
        assert side // patch == 27
        assert len(config.image_grid_pinpoints) == 36 and [384, 384] in config.image_grid_pinpoints
    else:
        assert (side // patch) % config.scale_factor == 0
        assert (side // patch // config.scale_factor) ** 2 in (64, 81)


def test_a_config_that_is_changed_leaves_the_table_as_it_is():
    config = released_config('Qwen/Qwen3-VL-8B-Instruct')
    config.vision_config.deepstack_visual_indexes.append(26)
    assert released_config('Qwen/Qwen3-VL-8B-Instruct').vision_config.deepstack_visual_indexes == [8, 16, 24]


def test_an_unknown_name():
    with pytest.raises(ValueError, match=r'cannot be built on the meta device.*Qwen2-VL-7B'):
        released_config('someone/else')
    with torch.device('meta'), pytest.raises(ValueError, match=r'cannot be built on the meta device.*Qwen2-VL-7B'):
        MLLMBackbone(pretrained='someone/else')


def test_trained_share_of_the_paper():
    with torch.device('meta'):
        model = MLLMBackbone(pretrained='Qwen/Qwen2-VL-7B-Instruct', train_embeddings='all')
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
    count = loaded.count_visual_tokens(4, 96, 96, training=True)
    assert count > 0 and shapes.count_visual_tokens(4, 96, 96, training=True) == count
