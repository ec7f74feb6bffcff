"""Tiny Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

from collections.abc import Sequence
from typing import Any

from lavida_mm.models.tiny.sizes import (
    HIDDEN,
    IMAGE_SIDE,
    PATCH,
    VISION_HIDDEN,
    WIDE,
    WIDE_PATCH,
    WIDE_VISION_HIDDEN,
    TinyParts,
    text_sizes,
)
from lavida_mm.models.tiny.tokenizers import train_byte_tokenizer

__all__ = ['build_qwen_vl', 'build_wide_qwen2_vl']

MERGE, TEMPORAL = 2, 2
FRAME_UNITS = (4, 64)  # least and most tokens of a frame for the stored processors; ours has its own budget
MAX_FRAMES = 64  # of a whole clip, which Qwen3-VL's processor limits instead of a frame

SPECIAL = (
    '<|im_start|>',
    '<|im_end|>',
    '<|vision_start|>',
    '<|vision_end|>',
    '<|image_pad|>',
    '<|video_pad|>',
)
TOKEN_IDS = {
    'image_token_id': '<|image_pad|>',
    'video_token_id': '<|video_pad|>',
    'vision_start_token_id': '<|vision_start|>',
    'vision_end_token_id': '<|vision_end|>',
}
CHAT_TEMPLATE = """\
{% for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}\
{% else %}{% for part in message['content'] %}\
{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>\
{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>\
{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

CUT = {'patch_size': PATCH, 'spatial_merge_size': MERGE, 'temporal_patch_size': TEMPORAL}
VISION: dict[str, dict[str, Any]] = {
    'qwen2_vl': {'depth': 2, 'embed_dim': VISION_HIDDEN, 'hidden_size': HIDDEN, 'num_heads': 4, 'mlp_ratio': 4, **CUT},
    'qwen2_5_vl': {
        'depth': 2,
        'hidden_size': VISION_HIDDEN,
        'intermediate_size': 172,
        'num_heads': 4,
        'tokens_per_second': 2,
        'window_size': 4 * PATCH * MERGE // 2,
        'out_hidden_size': HIDDEN,
        'fullatt_block_indexes': [1],
        **CUT,
    },
    'qwen3_vl': {
        'depth': 3,
        'hidden_size': VISION_HIDDEN,
        'intermediate_size': 4 * VISION_HIDDEN,
        'num_heads': 4,
        'out_hidden_size': HIDDEN,
        'num_position_embeddings': (IMAGE_SIDE // PATCH) ** 2,
        'deepstack_visual_indexes': [0, 1],  # one per layer of the language model; the tower's last feeds the merger
        **CUT,
    },
}
SECTIONS = {'mrope_section': [4, 4, 4]}  # sums to half of a head
WIDE_SECTIONS = {'mrope_section': [6, 5, 5]}
TEXT: dict[str, dict[str, Any]] = {
    'qwen2_vl': {'max_window_layers': 2},
    'qwen2_5_vl': {'max_window_layers': 2},
    'qwen3_vl': {'head_dim': HIDDEN // 4},
}


def build_qwen_vl(family: str, corpus: Sequence[str]) -> TinyParts:
    """Config and processor of a tiny Qwen-VL.

    Args:
        family: 'qwen2_vl', 'qwen2_5_vl' or 'qwen3_vl'.
        corpus: what the tokenizer learns its words from.
    """
    from transformers import AutoConfig

    tokenizer = train_byte_tokenizer(corpus, kind='Qwen2Tokenizer', special=SPECIAL, chat_template=CHAT_TEMPLATE)
    rope = {**SECTIONS, 'mrope_interleaved': True} if family == 'qwen3_vl' else SECTIONS
    config = AutoConfig.for_model(
        family,
        text_config={**text_sizes(tokenizer, **rope), **TEXT[family]},
        vision_config=dict(VISION[family]),
        tie_word_embeddings=False,
        **{key: tokenizer.convert_tokens_to_ids(token) for key, token in TOKEN_IDS.items()},
    )
    return TinyParts(config, build_processor(family, tokenizer))


def build_wide_qwen2_vl(corpus: Sequence[str]) -> TinyParts:
    """Config and processor of a Qwen2-VL that is wide and fine enough to follow motion.

    Its token embeddings and its head are one matrix, as in the released Qwen2-VL-2B: what is read and what is said,
    and by a naming loss what is seen, lie in one space.

    Args:
        corpus: what the tokenizer learns its words from.
    """
    from transformers import AutoConfig

    tokenizer = train_byte_tokenizer(corpus, kind='Qwen2Tokenizer', special=SPECIAL, chat_template=CHAT_TEMPLATE)
    vision = {'embed_dim': WIDE_VISION_HIDDEN, 'hidden_size': WIDE['hidden_size'], 'patch_size': WIDE_PATCH}
    config = AutoConfig.for_model(
        'qwen2_vl',
        text_config={**text_sizes(tokenizer, **WIDE_SECTIONS), **WIDE, 'max_window_layers': WIDE['num_hidden_layers']},
        vision_config={**VISION['qwen2_vl'], **vision},
        tie_word_embeddings=True,
        **{key: tokenizer.convert_tokens_to_ids(token) for key, token in TOKEN_IDS.items()},
    )
    return TinyParts(config, build_processor('qwen2_vl', tokenizer, WIDE_PATCH))


def build_processor(family: str, tokenizer: Any, patch: int = PATCH) -> Any:
    """Image and video processor of the tiny cut, with the tokenizer."""
    from transformers import (
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    unit = (patch * MERGE) ** 2
    size = {'shortest_edge': FRAME_UNITS[0] * unit, 'longest_edge': FRAME_UNITS[1] * unit}
    cut = {'patch_size': patch, 'merge_size': MERGE, 'temporal_patch_size': TEMPORAL}
    shared = {'tokenizer': tokenizer, 'chat_template': tokenizer.chat_template}
    if family == 'qwen3_vl':
        whole_clip = {**size, 'longest_edge': MAX_FRAMES * size['longest_edge']}
        half = {'image_mean': [0.5] * 3, 'image_std': [0.5] * 3}
        return Qwen3VLProcessor(
            image_processor=Qwen2VLImageProcessor(size=dict(size), **half, **cut),
            video_processor=Qwen3VLVideoProcessor(
                size=whole_clip, cap_pixels_per_frame=False, do_sample_frames=False, **half, **cut
            ),
            **shared,
        )
    processor_class = Qwen2VLProcessor if family == 'qwen2_vl' else Qwen2_5_VLProcessor
    return processor_class(
        image_processor=Qwen2VLImageProcessor(size=dict(size), **cut),
        video_processor=Qwen2VLVideoProcessor(size=dict(size), cap_pixels_per_frame=False, **cut),
        **shared,
    )
