"""One ``<SEG>`` for each word: where its state agrees with what the model has seen, and so whether the word is true."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

__all__ = ['PADDED_ANSWER', 'WordAnswers', 'read_words']

PADDED_ANSWER = -1e4  # of words that a sample does not have: never the largest, and finite


class WordAnswers(NamedTuple):
    """What the model makes of each word of B samples, the longest list of which has n.

    Attributes:
        joint: the words' states, weighted by the softmax of their answers, (B, D).
        states: the words' states, (n_i, D) of each sample.
        maps: of each sample, logits of "this is shown here", float32 (n_i, L_i).
        logits: the maps' largest values, float32 (B, n); ``PADDED_ANSWER`` where a sample has fewer words.
    """

    joint: Tensor
    states: list[Tensor]
    maps: list[Tensor]
    logits: Tensor


def read_words(states: Tensor, counts: Sequence[int], visual_states: Sequence[Tensor]) -> WordAnswers:
    """Compare the states at ``<SEG>`` with those of the visual tokens: scaled dot products, as attention takes them.

    Args:
        states: last hidden states at ``<SEG>``, sample by sample, (sum of counts, D).
        counts: number of words of each sample.
        visual_states: last hidden states at its visual tokens, (L_i, D).
    """
    rows = states.split(list(counts))
    scale = states.shape[-1] ** -0.5
    maps = [scale * own.float() @ seen.float().T for own, seen in zip(rows, visual_states, strict=True)]
    logits = pad_sequence([one.amax(dim=1) for one in maps], batch_first=True, padding_value=PADDED_ANSWER)  # (B, n)
    weights = logits.softmax(dim=1).to(states.dtype)
    joint = torch.einsum('bn,bnd->bd', weights, pad_sequence(rows, batch_first=True))
    return WordAnswers(joint, list(rows), maps, logits)
