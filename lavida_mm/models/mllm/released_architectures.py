"""Sizes of released models, so that full-size configs build on the ``meta`` device without a download.

The figures are those of the ``config.json`` files on the Hugging Face hub.
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
