"""Sizes that the tiny models share (a feasibility trial on two cores)."""

import math
from typing import Any, NamedTuple

from lavida_mm.models.tiny.tokenizers import CONTEXT

__all__ = ['HIDDEN', 'IMAGE_SIDE', 'PATCH', 'TEXT', 'VISION_HIDDEN', 'WIDE', 'TinyParts', 'count_rows', 'text_sizes']

HIDDEN, VISION_HIDDEN = 96, 64
IMAGE_SIDE, PATCH = 96, 12
ROW_BLOCK = 64  # vocabularies are rounded up to it, which leaves spare rows as in the released models

TEXT: dict[str, Any] = {
    'hidden_size': HIDDEN,
    'intermediate_size': 256,
    'num_hidden_layers': 2,
    'num_attention_heads': 4,
    'num_key_value_heads': 2,
    'max_position_embeddings': CONTEXT,
    'rms_norm_eps': 1e-6,
    'initializer_range': 0.05,  # for a width of 96; the released 0.02 fits 3,584
}
# What can follow motion: patches of 12 pixels hide steps of two or three, and two layers cannot compare what was read
# with what was seen and sum up.
WIDE: dict[str, Any] = {
    'hidden_size': 128,
    'intermediate_size': 344,
    'num_hidden_layers': 4,
    'num_key_value_heads': 4,
}
WIDE_VISION_HIDDEN, WIDE_PATCH = 96, 8


class TinyParts(NamedTuple):
    """What a family's builder hands over.

    Attributes:
        config: transformers config of the whole model.
        processor: tokenizer, chat template, image and video processor.
    """

    config: Any
    processor: Any


def count_rows(num_tokens: int) -> int:
    """Rows of a vocabulary matrix with room for at least one more token."""
    return ROW_BLOCK * math.ceil((num_tokens + 1) / ROW_BLOCK)


def text_sizes(tokenizer: Any, **rope: Any) -> dict[str, Any]:
    """Config of the language model.

    Args:
        tokenizer: its tokens decide the vocabulary.
        rope: settings of the rotary positions beyond the base.
    """
    return {
        **TEXT,
        'vocab_size': count_rows(len(tokenizer)),
        'bos_token_id': None,
        'eos_token_id': None,
        'rope_parameters': {'rope_type': 'default', 'rope_theta': 10000.0, **rope},
    }
