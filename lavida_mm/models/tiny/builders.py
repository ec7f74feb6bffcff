"""Tiny, randomly initialised models in the Hugging Face format (sizes: a feasibility trial on two cores)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lavida_mm.models.tiny.tokenizers import CLIP_CONTEXT, CONTEXT, train_clip_tokenizer, train_qwen_tokenizer
from lavida_mm.models.tiny.vocabulary import build_corpus

__all__ = ['MLLM_FAMILIES', 'save_tiny_clip_text', 'save_tiny_mllm']

PATCH, MERGE, TEMPORAL = 12, 2, 2
HIDDEN, VISION_HIDDEN, CLIP_HIDDEN = 96, 64, 64
VALUE_GAIN = 1.5  # of orthogonal value and output projections: words stay apart from the first step on
ROW_BLOCK = 64  # vocabularies are rounded up to it, which leaves spare rows as in the released models
FRAME_UNITS = (4, 64)  # least and most tokens of a frame for the stored processors; ours has its own budget

TEXT: dict[str, Any] = {
    'hidden_size': HIDDEN,
    'intermediate_size': 256,
    'num_hidden_layers': 2,
    'num_attention_heads': 4,
    'num_key_value_heads': 2,
    'max_position_embeddings': CONTEXT,
    'max_window_layers': 2,
    'rms_norm_eps': 1e-6,
    'initializer_range': 0.05,  # for a width of 96; the released 0.02 fits 3,584
    'rope_parameters': {'rope_type': 'default', 'rope_theta': 10000.0, 'mrope_section': [4, 4, 4]},
}
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
}
MLLM_FAMILIES = tuple(VISION)


def _rows(num_tokens: int) -> int:
    """Rows of a vocabulary matrix with room for at least one more token."""
    return ROW_BLOCK * math.ceil((num_tokens + 1) / ROW_BLOCK)


def _build_processor(family: str, tokenizer: Any) -> Any:
    """Image and video processor of the tiny cut, with the tokenizer."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    unit = (PATCH * MERGE) ** 2
    size = {'shortest_edge': FRAME_UNITS[0] * unit, 'longest_edge': FRAME_UNITS[1] * unit}
    cut = {'patch_size': PATCH, 'merge_size': MERGE, 'temporal_patch_size': TEMPORAL}
    processor_class = Qwen2VLProcessor if family == 'qwen2_vl' else Qwen2_5_VLProcessor
    return processor_class(
        image_processor=Qwen2VLImageProcessor(size=dict(size), **cut),
        video_processor=Qwen2VLVideoProcessor(size=dict(size), cap_pixels_per_frame=False, **cut),
        tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
    )


def save_tiny_mllm(folder: str | Path, *, family: str = 'qwen2_vl', words: Sequence[str] = (), seed: int = 0) -> None:
    """Build a tiny multimodal LLM and save model, tokenizer and processor.

    Args:
        folder: where; made if need be.
        family: one of MLLM_FAMILIES.
        words: further words that shall be one token each.
        seed: of the initialisation.

    Raises:
        ValueError: an unknown family.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText

    if family not in VISION:
        raise ValueError(f'family must be one of {", ".join(MLLM_FAMILIES)}, got {family!r}')
    tokenizer = train_qwen_tokenizer(build_corpus(words))
    ids = {name: tokenizer.convert_tokens_to_ids(f'<|{name}|>') for name in ('image_pad', 'video_pad')}
    config = AutoConfig.for_model(
        family,
        text_config={**TEXT, 'vocab_size': _rows(len(tokenizer)), 'bos_token_id': None, 'eos_token_id': None},
        vision_config=dict(VISION[family]),
        image_token_id=ids['image_pad'],
        video_token_id=ids['video_pad'],
        vision_start_token_id=tokenizer.convert_tokens_to_ids('<|vision_start|>'),
        vision_end_token_id=tokenizer.convert_tokens_to_ids('<|vision_end|>'),
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config)
    model.save_pretrained(folder)
    _build_processor(family, tokenizer).save_pretrained(folder)


def spread_values(model: nn.Module) -> None:
    """Give value and output projections orthogonal weights, so that a random encoder tells its words apart."""
    for name, module in model.named_modules():
        if name.endswith(('v_proj', 'out_proj')):
            nn.init.orthogonal_(module.weight, gain=VALUE_GAIN)


def save_tiny_clip_text(folder: str | Path, *, words: Sequence[str] = (), seed: int = 0) -> None:
    """Build a tiny CLIP text encoder with its projection and save model and tokenizer.

    Args:
        folder: where; made if need be.
        words: further words that shall be one token each.
        seed: of the initialisation.
    """
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    tokenizer = train_clip_tokenizer(build_corpus(words))
    config = CLIPTextConfig(
        vocab_size=_rows(len(tokenizer)),
        hidden_size=CLIP_HIDDEN,
        intermediate_size=4 * CLIP_HIDDEN,
        projection_dim=CLIP_HIDDEN,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=CLIP_CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPTextModelWithProjection(config)
        spread_values(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
