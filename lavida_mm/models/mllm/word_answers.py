"""One ``<SEG>`` behind each word of the answer: its state, and whether the model would go on with yes or no."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

__all__ = ['PADDED_ANSWER', 'WordAnswers', 'find_yes_and_no', 'read_words']

PADDED_ANSWER = -1e4  # of words that a sample does not have: never the largest, and finite
YES_AND_NO = (' yes', ' no')


class WordAnswers(NamedTuple):
    """What the model makes of each word of B samples, the longest list of which has n.

    Attributes:
        joint: the words' states, weighted by the softmax of their answers, (B, D).
        logits: of yes against no, float32 (B, n); ``PADDED_ANSWER`` where a sample has fewer words.
    """

    joint: Tensor
    logits: Tensor


def find_yes_and_no(tokenizer: Any) -> list[int]:
    """Ids of the words by which the model says whether something is there.

    Raises:
        ValueError: the tokenizer spells one in several tokens.
    """
    found = [tokenizer(word, add_special_tokens=False)['input_ids'] for word in YES_AND_NO]
    for word, ids in zip(YES_AND_NO, found, strict=True):
        if len(ids) != 1:
            raise ValueError(
                f"answer='each' needs {word.strip()!r} to be one token, and {tokenizer.name_or_path} has {len(ids)}"
            )
    return [ids[0] for ids in found]


def read_words(states: Tensor, counts: Sequence[int], head: Tensor) -> WordAnswers:
    """Sort the states at ``<SEG>`` by sample, and read their answers.

    Args:
        states: sample by sample, (sum of counts, D).
        counts: number of words of each sample.
        head: rows of the language model's head for yes and for no, (2, D).
    """
    yes, no = F.linear(states.to(head.dtype), head).float().unbind(dim=1)  # (sum of counts,)
    logits = pad_sequence((yes - no).split(list(counts)), batch_first=True, padding_value=PADDED_ANSWER)  # (B, n)
    padded = pad_sequence(states.split(list(counts)), batch_first=True)  # (B, n, D)
    weights = logits.softmax(dim=1).to(padded.dtype)
    return WordAnswers(torch.einsum('bn,bnd->bd', weights, padded), logits)
