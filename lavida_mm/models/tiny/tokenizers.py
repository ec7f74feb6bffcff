"""Tiny byte-level tokenizers: every text can be written, and the words of a list are one token each."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ['CLIP_CONTEXT', 'CONTEXT', 'train_byte_tokenizer', 'train_clip_tokenizer']

MAX_TOKENS = 2048  # more than the word lists need: training stops when no pair is left to merge
CONTEXT = 2048
CLIP_CONTEXT = 32
WORD_END = '</w>'


def train_byte_tokenizer(
    corpus: Sequence[str],
    *,
    kind: str,
    special: Sequence[str],
    chat_template: str,
    named: Mapping[str, str] | None = None,
) -> Any:
    """A byte-level tokenizer whose merges come from ``corpus``.

    Args:
        corpus: texts.
        kind: class of transformers, 'Qwen2Tokenizer' or 'GPT2Tokenizer'.
        special: tokens that are never split; each becomes one id.
        chat_template: in Jinja.
        named: further ones, by the attribute under which the family's processor asks the tokenizer for them.
    """
    import transformers

    base = getattr(transformers, kind)(**(named or {}))
    tokenizer = base.train_new_from_iterator(corpus, MAX_TOKENS, new_special_tokens=list(special), show_progress=False)
    tokenizer.model_max_length = CONTEXT
    tokenizer.chat_template = chat_template
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
