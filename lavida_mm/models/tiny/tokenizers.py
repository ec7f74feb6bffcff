"""Tiny byte-level tokenizers: every text can be written, and the words of a list are one token each."""

import json
from collections.abc import Sequence
from typing import Any

__all__ = ['CHAT_TEMPLATE', 'CLIP_CONTEXT', 'CONTEXT', 'train_clip_tokenizer', 'train_qwen_tokenizer']

MAX_TOKENS = 2048  # more than the word lists need: training stops when no pair is left to merge
CONTEXT = 2048
CLIP_CONTEXT = 32
WORD_END = '</w>'

QWEN_SPECIAL = (
    '<|im_start|>',
    '<|im_end|>',
    '<|vision_start|>',
    '<|vision_end|>',
    '<|image_pad|>',
    '<|video_pad|>',
)

CHAT_TEMPLATE = """\
{% for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}\
{% else %}{% for part in message['content'] %}\
{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>\
{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>\
{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def train_qwen_tokenizer(corpus: Sequence[str]) -> Any:
    """A tokenizer of Qwen2's kind whose merges come from ``corpus``."""
    from transformers import Qwen2Tokenizer

    base = Qwen2Tokenizer()
    tokenizer = base.train_new_from_iterator(
        corpus, MAX_TOKENS, new_special_tokens=list(QWEN_SPECIAL), show_progress=False
    )
    tokenizer.model_max_length = CONTEXT
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def train_clip_tokenizer(corpus: Sequence[str]) -> Any:
    """A tokenizer of CLIP's kind (lower case, marked ends of words) whose merges come from ``corpus``."""
    from tokenizers import pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    base = CLIPTokenizer()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Naming the marked letters gives them ids in this order, where the trainer's own order changes with each run,
    # and makes every word writable.
    fixed = [base.bos_token, base.eos_token, *letters, *(letter + WORD_END for letter in letters)]
    trainer = trainers.BpeTrainer(
        vocab_size=MAX_TOKENS, special_tokens=fixed, end_of_word_suffix=WORD_END, show_progress=False
    )
    learner = base.backend_tokenizer
    learner.train_from_iterator(corpus, trainer)
    learnt = json.loads(learner.to_str())['model']
    merges: Any = [tuple(pair) for pair in learnt['merges']]
    return CLIPTokenizer(vocab=learnt['vocab'], merges=merges, model_max_length=CLIP_CONTEXT)
