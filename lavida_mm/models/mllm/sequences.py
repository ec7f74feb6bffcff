"""Token sequences of the multimodal LLM: packed, shortened by compression, padded to a batch."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

__all__ = ['IGNORE', 'TokenSequence', 'keep_visual_tokens', 'mask_blocks', 'pack_sequences', 'pad_batch']

IGNORE = -100  # label of tokens that the language-model loss leaves out


class TokenSequence(NamedTuple):
    """One sample's tokens.

    Attributes:
        ids: (L,).
        labels: the ids of the answers, IGNORE elsewhere, (L,).
        is_visual: where visual tokens stand, bool (L,).
        block: which conversation each belongs to, see :func:`pack_sequences`, (L,).
    """

    ids: Tensor
    labels: Tensor
    is_visual: Tensor
    block: Tensor


def pack_sequences(sequences: Sequence[TokenSequence], positions: Tensor) -> tuple[TokenSequence, Tensor]:
    """Lay conversations about one sample behind one another, what they begin with once: all the visual tokens.

    Args:
        sequences: K conversations, of L_k tokens.
        positions: rotary positions of the longest, (P, L). The others' are those at the same places, since all show
            the same and text is counted token by token.

    Returns:
        one sequence, whose ``block`` is 0 where all conversations share the token, else the number of the
        conversation, from 1 on; and its positions: each token keeps its own.
    """
    if len(sequences) == 1:
        return sequences[0], positions
    first = sequences[0]
    # Not all that they share: what is predicted must not stand first in a block, where another block is before it.
    shared = min(int((row.labels != IGNORE).nonzero()[0]) - 1 for row in sequences)
    for row in sequences[1:]:
        shared = int((first.ids[:shared] == row.ids[:shared]).long().cumprod(0).sum())
    assert not any(bool(row.is_visual[shared:].any()) for row in sequences), 'conversations about other samples'
    blocks = [torch.zeros_like(first.ids[:shared])]
    blocks += [torch.full_like(row.ids[shared:], number) for number, row in enumerate(sequences, 1)]
    ids, labels, is_visual = (
        torch.cat([getattr(first, name)[:shared], *(getattr(row, name)[shared:] for row in sequences)])
        for name in ('ids', 'labels', 'is_visual')
    )
    places = torch.cat([positions[:, :shared], *(positions[:, shared : len(row.ids)] for row in sequences)], dim=1)
    return TokenSequence(ids, labels, is_visual, torch.cat(blocks)), places


def mask_blocks(blocks: Tensor, real: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to the attention of packed sequences: each token sees earlier ones of its block, and shared ones.

    Args:
        blocks: (B, L), 0 where shared.
        real: False where padded, bool (B, L).
        dtype: of the result.

    Returns:
        0 where a token is seen, else the lowest number, (B, 1, L, L). A padded one sees itself.
    """
    length = blocks.shape[1]
    seen = (blocks[:, None, :] == 0) | (blocks[:, None, :] == blocks[:, :, None])  # (B, L queries, L keys)
    seen &= torch.ones(length, length, dtype=torch.bool, device=blocks.device).tril()
    seen &= real[:, None, :]
    seen |= torch.eye(length, dtype=torch.bool, device=blocks.device)
    added = torch.zeros(seen.shape, dtype=dtype, device=blocks.device)
    return added.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]


def keep_visual_tokens(sequence: TokenSequence, positions: Tensor, indices: Tensor) -> tuple[TokenSequence, Tensor]:
    """Take the visual tokens that were dropped or merged away out of a sequence.

    Args:
        sequence: of L tokens, L' of them visual.
        positions: rotary positions, (P, L).
        indices: sorted places of the kept ones among the L' visual tokens, (R,).

    Returns:
        the shorter sequence, of L - L' + R tokens, and its positions: each token keeps its own.
    """
    kept = ~sequence.is_visual
    kept[sequence.is_visual.nonzero().flatten()[indices]] = True
    return TokenSequence(*(row[kept] for row in sequence)), positions[:, kept]


def pad_batch(rows: Sequence[Tensor], value: float, length: int = 0) -> Tensor:
    """Stack rows (L_i, ...) of different length, filled up on the left to ``length`` at least: (B, L, ...)."""
    padded = pad_sequence(list(rows), batch_first=True, padding_value=value, padding_side='left')
    batch, longest, *rest = padded.shape
    if longest >= length:
        return padded
    return torch.cat([padded.new_full((batch, length - longest, *rest), value), padded], dim=1)
