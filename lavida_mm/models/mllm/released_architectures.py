"""Sizes of released models, so that full-size configs build on the ``meta`` device without a download.

The figures are those of the ``config.json`` files on the Hugging Face hub. Two are derived: the rows of
LLaVA-OneVision's vocabulary from the script that converted it, the context of SmolVLM2-2.2B from its technical report.
"""

from copy import deepcopy
from typing import Any

__all__ = ['RELEASED_ARCHITECTURES', 'released_config']

_QWEN_TOKENS = {
    'vision_start_token_id': 151652,
    'vision_end_token_id': 151653,
    'image_token_id': 151655,
    'video_token_id': 151656,
}
_QWEN_ROPE = {'rope_type': 'default', 'rope_theta': 1000000.0, 'mrope_section': [16, 24, 24]}
_QWEN2_VISION = {
    'depth': 32,
    'embed_dim': 1280,
    'num_heads': 16,
    'mlp_ratio': 4,
    'patch_size': 14,
    'spatial_merge_size': 2,
    'temporal_patch_size': 2,
}
_QWEN2_5_VISION = {
    'depth': 32,
    'hidden_size': 1280,
    'intermediate_size': 3420,
    'num_heads': 16,
    'patch_size': 14,
    'spatial_merge_size': 2,
    'temporal_patch_size': 2,
    'tokens_per_second': 2,
    'window_size': 112,
    'fullatt_block_indexes': [7, 15, 23, 31],
}
_QWEN_7B_TEXT = {
    'vocab_size': 152064,
    'hidden_size': 3584,
    'intermediate_size': 18944,
    'num_hidden_layers': 28,
    'num_attention_heads': 28,
    'num_key_value_heads': 4,
    'max_position_embeddings': 32768,
    'max_window_layers': 28,
    'rms_norm_eps': 1e-6,
    'rope_parameters': _QWEN_ROPE,
}
_QWEN_2B_TEXT = {
    **_QWEN_7B_TEXT,
    'vocab_size': 151936,
    'hidden_size': 1536,
    'intermediate_size': 8960,
    'num_attention_heads': 12,
    'num_key_value_heads': 2,
}
_QWEN_0_5B_TEXT = {
    **_QWEN_7B_TEXT,
    'hidden_size': 896,
    'intermediate_size': 4864,
    'num_hidden_layers': 24,
    'num_attention_heads': 14,
    'num_key_value_heads': 2,
}
_QWEN_3B_TEXT = {
    **_QWEN_7B_TEXT,
    'vocab_size': 151936,
    'hidden_size': 2048,
    'intermediate_size': 11008,
    'num_hidden_layers': 36,
    'num_attention_heads': 16,
    'num_key_value_heads': 2,
    'max_window_layers': 70,
}
_QWEN3_VISION = {
    'depth': 24,
    'hidden_size': 1024,
    'intermediate_size': 4096,
    'num_heads': 16,
    'patch_size': 16,
    'spatial_merge_size': 2,
    'temporal_patch_size': 2,
    'num_position_embeddings': 2304,
    'deepstack_visual_indexes': [5, 11, 17],
}
_QWEN3_8B_VISION = {
    **_QWEN3_VISION,
    'depth': 27,
    'hidden_size': 1152,
    'intermediate_size': 4304,
    'deepstack_visual_indexes': [8, 16, 24],
}
_QWEN3_2B_TEXT = {
    'vocab_size': 151936,
    'hidden_size': 2048,
    'intermediate_size': 6144,
    'num_hidden_layers': 28,
    'num_attention_heads': 16,
    'num_key_value_heads': 8,
    'head_dim': 128,
    'max_position_embeddings': 262144,
    'rms_norm_eps': 1e-6,
    'rope_parameters': {
        'rope_type': 'default',
        'rope_theta': 5000000.0,
        'mrope_section': [24, 20, 20],
        'mrope_interleaved': True,
    },
}
_QWEN3_4B_TEXT = {
    **_QWEN3_2B_TEXT,
    'hidden_size': 2560,
    'intermediate_size': 9728,
    'num_hidden_layers': 36,
    'num_attention_heads': 32,
}
_QWEN3_8B_TEXT = {**_QWEN3_4B_TEXT, 'hidden_size': 4096, 'intermediate_size': 12288}

_QWEN2_ROPE = {'rope_type': 'default', 'rope_theta': 1000000.0}
_INTERNVL3 = {
    'model_type': 'internvl',
    'image_token_id': 151667,
    'image_seq_length': 256,  # per tile and per frame: (448 / 14 * downsample_ratio) ** 2
    'downsample_ratio': 0.5,
    'vision_feature_layer': -1,
    'vision_feature_select_strategy': 'default',
    'tie_word_embeddings': False,
    'vision_config': {
        'hidden_size': 1024,
        'intermediate_size': 4096,
        'num_hidden_layers': 24,
        'num_attention_heads': 16,
        'attention_bias': True,
        'image_size': [448, 448],
        'patch_size': [14, 14],
    },
}
_INTERNVL3_TEXT = {
    'model_type': 'qwen2',
    'vocab_size': 151674,
    'rope_parameters': {'rope_type': 'dynamic', 'factor': 2.0, 'rope_theta': 1000000.0},
}

_ONEVISION_SIDES = [384 * tiles for tiles in range(1, 7)]
_ONEVISION = {
    'model_type': 'llava_onevision',
    'image_token_index': 151646,
    'video_token_index': 151647,
    'vision_feature_layer': -1,
    'vision_feature_select_strategy': 'full',
    'vision_aspect_ratio': 'anyres_max_9',
    'image_grid_pinpoints': [[height, width] for height in _ONEVISION_SIDES for width in _ONEVISION_SIDES],
    'vision_config': {
        'model_type': 'siglip_vision_model',
        'hidden_size': 1152,
        'intermediate_size': 4304,
        'num_hidden_layers': 26,
        'num_attention_heads': 16,
        'image_size': 384,
        'patch_size': 14,
        'vision_use_head': False,
    },
}
# The conversion to transformers' format added <image> and <video> and rounded the rows up to a multiple of 64.
_ONEVISION_TEXT = {'model_type': 'qwen2', 'rope_parameters': _QWEN2_ROPE}

_SMOLVLM2 = {
    'model_type': 'smolvlm',
    'image_token_id': 49190,
    'pad_token_id': 2,
    'tie_word_embeddings': False,
}
_SMOLVLM2_TEXT = {
    'model_type': 'llama',
    'vocab_size': 49280,
    'rms_norm_eps': 1e-5,
    'pad_token_id': 2,
}

_SIGLIP2_TEXT = {
    'model_type': 'siglip_text_model',
    'vocab_size': 256000,
    'hidden_size': 768,
    'intermediate_size': 3072,
    'num_hidden_layers': 12,
    'num_attention_heads': 12,
    'max_position_embeddings': 64,
}

RELEASED_ARCHITECTURES: dict[str, dict[str, Any]] = {
    'Qwen/Qwen2-VL-7B-Instruct': {
        'model_type': 'qwen2_vl',
        **_QWEN_TOKENS,
        'tie_word_embeddings': False,
        'text_config': _QWEN_7B_TEXT,
        'vision_config': {**_QWEN2_VISION, 'hidden_size': 3584},
    },
    'Qwen/Qwen2-VL-2B-Instruct': {
        'model_type': 'qwen2_vl',
        **_QWEN_TOKENS,
        'tie_word_embeddings': True,
        'text_config': _QWEN_2B_TEXT,
        'vision_config': {**_QWEN2_VISION, 'hidden_size': 1536},
    },
    'Qwen/Qwen2.5-VL-7B-Instruct': {
        'model_type': 'qwen2_5_vl',
        **_QWEN_TOKENS,
        'tie_word_embeddings': False,
        'text_config': {**_QWEN_7B_TEXT, 'max_position_embeddings': 128000},
        'vision_config': {**_QWEN2_5_VISION, 'out_hidden_size': 3584},
    },
    'Qwen/Qwen2.5-VL-3B-Instruct': {
        'model_type': 'qwen2_5_vl',
        **_QWEN_TOKENS,
        'tie_word_embeddings': True,
        'text_config': {**_QWEN_3B_TEXT, 'max_position_embeddings': 128000},
        'vision_config': {**_QWEN2_5_VISION, 'out_hidden_size': 2048},
    },
    'Qwen/Qwen3-VL-2B-Instruct': {
        'model_type': 'qwen3_vl',
        **_QWEN_TOKENS,
        'tie_word_embeddings': True,
        'text_config': _QWEN3_2B_TEXT,
        'vision_config': {**_QWEN3_VISION, 'out_hidden_size': 2048},
    },
    'Qwen/Qwen3-VL-4B-Instruct': {
        'model_type': 'qwen3_vl',
        **_QWEN_TOKENS,
        'tie_word_embeddings': True,
        'text_config': _QWEN3_4B_TEXT,
        'vision_config': {**_QWEN3_VISION, 'out_hidden_size': 2560},
    },
    'Qwen/Qwen3-VL-8B-Instruct': {
        'model_type': 'qwen3_vl',
        **_QWEN_TOKENS,
        'tie_word_embeddings': False,
        'text_config': _QWEN3_8B_TEXT,
        'vision_config': {**_QWEN3_8B_VISION, 'out_hidden_size': 4096},
    },
    'OpenGVLab/InternVL3-2B-hf': {**_INTERNVL3, 'text_config': {**_QWEN_2B_TEXT, **_INTERNVL3_TEXT}},
    'OpenGVLab/InternVL3-8B-hf': {**_INTERNVL3, 'text_config': {**_QWEN_7B_TEXT, **_INTERNVL3_TEXT}},
    'llava-hf/llava-onevision-qwen2-0.5b-ov-hf': {
        **_ONEVISION,
        'tie_word_embeddings': True,
        'text_config': {**_QWEN_0_5B_TEXT, **_ONEVISION_TEXT, 'vocab_size': 152000},
    },
    'llava-hf/llava-onevision-qwen2-7b-ov-hf': {
        **_ONEVISION,
        'tie_word_embeddings': False,
        'text_config': {**_QWEN_7B_TEXT, **_ONEVISION_TEXT, 'vocab_size': 152128},
    },
    'HuggingFaceTB/SmolVLM2-500M-Video-Instruct': {
        **_SMOLVLM2,
        'scale_factor': 4,
        'text_config': {
            **_SMOLVLM2_TEXT,
            'max_position_embeddings': 8192,
            'hidden_size': 960,
            'intermediate_size': 2560,
            'num_hidden_layers': 32,
            'num_attention_heads': 15,
            'num_key_value_heads': 5,
            'rope_parameters': {'rope_type': 'default', 'rope_theta': 100000.0},
        },
        'vision_config': {
            'hidden_size': 768,
            'intermediate_size': 3072,
            'num_hidden_layers': 12,
            'num_attention_heads': 12,
            'image_size': 512,
            'patch_size': 16,
        },
    },
    'HuggingFaceTB/SmolVLM2-2.2B-Instruct': {
        **_SMOLVLM2,
        'scale_factor': 3,
        'text_config': {
            **_SMOLVLM2_TEXT,
            'max_position_embeddings': 16384,
            'hidden_size': 2048,
            'intermediate_size': 8192,
            'num_hidden_layers': 24,
            'num_attention_heads': 32,
            'num_key_value_heads': 32,
            'rope_parameters': {'rope_type': 'default', 'rope_theta': 273768.0},
        },
        'vision_config': {
            'hidden_size': 1152,
            'intermediate_size': 4304,
            'num_hidden_layers': 27,
            'num_attention_heads': 16,
            'image_size': 384,
            'patch_size': 14,
        },
    },
    'openai/clip-vit-base-patch32': {
        'model_type': 'clip_text_model',
        'vocab_size': 49408,
        'hidden_size': 512,
        'intermediate_size': 2048,
        'projection_dim': 512,
        'num_hidden_layers': 12,
        'num_attention_heads': 8,
        'max_position_embeddings': 77,
    },
    'google/siglip2-base-patch16-224': _SIGLIP2_TEXT,
    'google/siglip2-base-patch16-naflex': {**_SIGLIP2_TEXT, 'model_type': 'siglip2_text_model'},
    'google/siglip2-large-patch16-256': {
        **_SIGLIP2_TEXT,
        'hidden_size': 1024,
        'intermediate_size': 4096,
        'num_hidden_layers': 24,
        'num_attention_heads': 16,
    },
    'google/siglip2-so400m-patch14-384': {
        **_SIGLIP2_TEXT,
        'hidden_size': 1152,
        'intermediate_size': 4304,
        'num_hidden_layers': 27,
        'num_attention_heads': 16,
    },
}


def released_config(pretrained: str) -> Any:
    """The transformers config of a released model.

    Raises:
        ValueError: the table does not hold it.
    """
    from transformers import AutoConfig

    if pretrained not in RELEASED_ARCHITECTURES:
        raise ValueError(
            f"pretrained='{pretrained}' cannot be built on the meta device: it is no local folder, and the table "
            f'lavida_mm/models/mllm/released_architectures.py holds only: {", ".join(sorted(RELEASED_ARCHITECTURES))}'
        )
    return AutoConfig.for_model(**deepcopy(RELEASED_ARCHITECTURES[pretrained]))
