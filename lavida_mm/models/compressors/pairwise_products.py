"""Inner products of all pairs of tokens less their mean: stored for as many as fit, made anew for more."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ['MadeProducts', 'StoredProducts', 'multiply_pairs', 'parts_of']

MAX_STORED_TOKENS = 8192  # half of the products of more would take over 128 MiB
STRIP, BLOCK = 1024, 256  # columns that are stored together, and rows that are multiplied with them in one go
CHUNK_ELEMENTS = 2**22  # of stored products that are handed out in one go
WIDE_CHUNK_ELEMENTS = 2**24  # of products that are made in one go
SQUARES = 2.0**-60, 2.0**100  # the largest squared norm lies between them, or the tokens are scaled


def parts_of(length: int, step: int, start: int = 0) -> Iterator[slice]:
    """Slices of at most ``step`` that cover ``start`` to ``length``."""
    return (slice(begin, min(begin + step, length)) for begin in range(start, length, step))


class StoredProducts:
    """Products in float32, of which the half above the diagonal is stored, in strips of columns.

    Args:
        tokens: (L, C).

    Attributes:
        tokens: as given.
        squares: squared norms of the tokens less their mean, (L,).
        known: products of the first tokens with themselves, which ``squares`` has more exactly.
    """

    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens
        self.squares = tokens.new_empty(len(tokens), dtype=torch.float32)
        mean = tokens.mean(dim=0)  # any point in their midst would do
        self.spans = list(parts_of(len(tokens), STRIP))
        self.strips = []  # of tokens[:stop] with tokens[start:stop], (stop, stop - start)
        # Few large pieces of memory: many that come and go leave holes.
        store = self.squares.new_empty(sum(span.stop * (span.stop - span.start) for span in self.spans))
        right_memory = store.new_empty(min(STRIP, len(tokens)), tokens.shape[1])
        left_memory = store.new_empty(min(2 * BLOCK, len(tokens)), tokens.shape[1])
        for span in self.spans:
            width = span.stop - span.start
            right = torch.sub(tokens[span], mean, out=right_memory[:width])
            torch.linalg.vector_norm(right, dim=1, out=self.squares[span]).square_()
            strip, store = store[: span.stop * width].view(span.stop, width), store[span.stop * width :]
            for block in parts_of(span.start, len(left_memory)):
                left = torch.sub(tokens[block], mean, out=left_memory[: block.stop - block.start])
                torch.mm(left, right.T, out=strip[block])
            square = strip[span.start :]
            for block in parts_of(width, BLOCK):
                torch.mm(right[block], right[block.start :].T, out=square[block, block.start :])
                square[block.stop :, block] = square[block, block.stop :].T
            self.strips.append(strip)
        self.known = torch.cat([strip[-strip.shape[1] :].diagonal() for strip in self.strips])

    def parts(self, rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Products (b, M) of parts of sorted rows (B,) with sorted columns (M,); they last until the next part."""
        row_cuts, column_cuts = self._cut(rows), self._cut(columns)
        step = min(STRIP, len(rows), max(1, CHUNK_ELEMENTS // len(columns)))
        memory = self.squares.new_empty(step, len(columns))  # one piece for all parts
        for number, (start, stop) in enumerate(pairwise(row_cuts)):
            for part in parts_of(stop, step, start):
                chosen = self._places(number, rows, row_cuts, part)
                products = memory[: part.stop - part.start]
                for other, (begin, end) in enumerate(pairwise(column_cuts)):
                    if begin < end:
                        places = self._places(other, columns, column_cuts, slice(begin, end))
                        products[:, begin:end] = self._take(number, chosen, other, places)
                yield part, products

    def _cut(self, indices: Tensor) -> list[int]:
        """Where in sorted indices the strips begin and end."""
        edges = [span.start for span in self.spans] + [len(self.tokens)]
        return torch.searchsorted(indices, torch.tensor(edges, device=indices.device)).tolist()

    def _places(self, number: int, indices: Tensor, cuts: list[int], part: slice) -> slice | Tensor:
        """Places in a strip of a part of the indices, as a slice where the indices are all of the strip."""
        span, first = self.spans[number], cuts[number]
        if cuts[number + 1] - first == span.stop - span.start:
            return slice(part.start - first, part.stop - first)
        return indices[part] - span.start

    def _take(self, row_strip: int, rows: slice | Tensor, column_strip: int, columns: slice | Tensor) -> Tensor:
        if row_strip <= column_strip:
            return self.strips[column_strip][self.spans[row_strip]][rows][:, columns]
        return self.strips[row_strip][self.spans[column_strip]][columns][:, rows].T


class MadeProducts:
    """The same without storing any.

    Args:
        tokens: (L, C).
    """

    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens
        self.centred = (tokens - tokens.mean(dim=0)).float()
        self.squares = torch.linalg.vector_norm(self.centred, dim=1).square_()
        self.known = (self.centred[:BLOCK] @ self.centred.T).diagonal()

    def parts(self, rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Products (b, M) of parts of rows (B,) with columns (M,); they last until the next part."""
        others = self.centred if len(columns) == len(self.centred) else self.centred[columns]
        step = min(len(rows), max(1, WIDE_CHUNK_ELEMENTS // len(columns)))
        memory = self.squares.new_empty(step, len(columns))  # one piece for all parts
        for part in parts_of(len(rows), step):
            yield part, torch.mm(self.centred[rows[part]], others.T, out=memory[: part.stop - part.start])


def multiply_pairs(tokens: Tensor) -> StoredProducts | MadeProducts:
    """Products of tokens, which are scaled by a power of two where float32 would not hold their squares.

    Args:
        tokens: (L, C), finite.
    """
    kind = StoredProducts if len(tokens) <= MAX_STORED_TOKENS else MadeProducts
    products = kind(tokens)
    if SQUARES[0] < products.squares.amax() < SQUARES[1]:
        return products
    exponent = torch.frexp(tokens.abs().amax()).exponent.clamp(-126, 126)
    return kind(torch.ldexp(tokens, -exponent))
