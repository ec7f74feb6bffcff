"""The nearest tokens of each token: found by one fast product, decided by exact differences.

A float32 Gram product loses the digits of short distances between tokens of large norm. Here it only finds the few
candidates that its own rounding leaves open; float64 tells these apart.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lavida_mm.models.compressors.pairwise_products import multiply_pairs, parts_of

__all__ = ['NearestTokens', 'first_possible']

SPARE_CANDIDATES = 8  # beyond the number wanted; a row with more is crowded
FINE = 2.0**-36  # share of a squared distance to which float64 products must know it before equals are believed
TIE = 2.0**-44  # squared distances that differ by a smaller share count as equal: float64 may have rounded either
OBSERVED_ERROR_FACTOR = 4  # largest error of all products, in units of the largest of the products that are known
CROWD_ROWS, CROWD_COLUMNS = 256, 512  # the same in float64
PAIR_ELEMENTS = 2**19  # of the differences of pairs


class Screening(NamedTuple):
    """What rounded distances tell of the nearest columns of B rows.

    Attributes:
        bounds: of the columns of ``places``, (B, K).
        places: columns that may be among the nearest, by increasing bound, (B, K).
        is_candidate: whether they may indeed, (B, K).
        is_crowded: whether there may be more of them than K, (B,).
        limits: lower bound that no nearest column exceeds, (B, 1).
    """

    bounds: Tensor
    places: Tensor
    is_candidate: Tensor
    is_crowded: Tensor
    limits: Tensor


def screen(bounds: Tensor, row_errors: Tensor, column_errors: Tensor, count: int) -> Screening:
    """Find the columns that may be among the ``count`` nearest.

    Args:
        bounds: distances less their errors, up to a constant of each row, (B, M).
        row_errors, column_errors: a distance is wrong by their sum at most, (B, 1) and (M,).
        count: number of columns wanted.
    """
    num_columns = bounds.shape[1]
    values, places = bounds.topk(min(count + SPARE_CANDIDATES, num_columns), dim=1, largest=False)
    upper = values + 2 * column_errors[places]
    limits = upper.topk(count, dim=1, largest=False).values.amax(dim=1, keepdim=True) + 2 * row_errors
    is_candidate = values <= limits
    is_crowded = is_candidate[:, -1] & (values.shape[1] < num_columns)
    return Screening(values, places, is_candidate, is_crowded, limits)


def first_possible(is_certain: Tensor, is_possible: Tensor, count: int) -> Tensor:
    """Choose the certain places of each row, and of the possible ones the first.

    Args:
        is_certain: at most ``count`` in each row, (B, M).
        is_possible: together with the certain ones at least ``count`` in each row, (B, M).
        count: number of places wanted.

    Returns:
        (B, count), in no order.
    """
    num_places = is_certain.shape[1]
    places = torch.arange(num_places, device=is_certain.device)
    priorities = places.where(is_possible, num_places).masked_fill_(is_certain, -1)
    return priorities.topk(count, dim=1, largest=False).indices


def rank_distances(distances: Tensor) -> Tensor:
    """Order each row by distance; distances that float64 does not tell apart keep their order.

    Args:
        distances: squared, not below zero, infinity allowed, (B, K).

    Returns:
        places (B, K).
    """
    ordered, order = distances.sort(dim=1)
    is_larger = ordered[:, 1:] > ordered[:, :-1] * (1 + TIE)
    levels = torch.zeros_like(order)
    levels[:, 1:] = is_larger.cumsum(dim=1)
    return torch.zeros_like(order).scatter(1, order, levels).sort(dim=1, stable=True).indices


class NearestTokens:
    """Answers which tokens are nearest to a token, as float64 has it; of equally near ones the lowest index counts.

    Args:
        tokens: float32 or float64 (L, C), finite.
    """

    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens
        self.products = multiply_pairs(tokens)
        vanishing = tokens.shape[1] * torch.finfo(torch.float32).tiny  # products below it may be lost
        # Of a squared distance, per token: (L,)
        self.errors = self._product_error() * self.products.squares + vanishing

    def nearest(self, rows: Tensor, columns: Tensor, count: int, tolerance: float = 0.0) -> tuple[Tensor, Tensor]:
        """The nearest tokens among ``columns`` of each token in ``rows``; a token is not near itself.

        Args:
            rows: sorted indices (B,).
            columns: sorted indices (M,).
            count: at most M, or M - 1 where rows are among the columns.
            tolerance: share by which squared distances may be wrong, where that saves computing them.

        Returns:
            indices (B, count) and squared distances (B, count), float64. The tokens are the nearest in any case; they
            are in the order of the distances if the tolerance is zero.
        """
        if self.products.tokens is not self.tokens:
            tolerance = 0.0  # products are on another scale
        found = rows.new_empty(len(rows), count)
        distances = self.tokens.new_empty(len(rows), count, dtype=torch.float64)
        limits = self.errors.new_empty(len(rows), 1)
        origins = torch.full_like(rows, -1)  # of crowded rows, a token that is near
        for part, bounds in self._bounds(rows, columns):
            row_errors, column_errors = self.errors[rows[part], None], self.errors[columns]
            seen = screen(bounds, row_errors, column_errors, count)
            near = columns[seen.places]  # (b, K)
            limits[part] = seen.limits
            origins[part] = near[:, 0].where(seen.is_crowded, -1)
            found[part] = near[:, :count]
            errors = column_errors[seen.places[:, :count]]
            rough = (self.products.squares[rows[part], None] + seen.bounds[:, :count] + errors).clamp_(min=0)
            distances[part] = rough
            is_open = (seen.is_candidate.sum(dim=1) > count) | (row_errors + errors > tolerance * rough).any(dim=1)
            chosen = (is_open & ~seen.is_crowded).nonzero().flatten()
            if len(chosen):
                places = chosen + part.start
                found[places], distances[places] = self._rank(
                    rows[places], near[chosen], seen.is_candidate[chosen], count
                )
        crowded = (origins >= 0).nonzero().flatten()
        while len(crowded):
            crowd = crowded[self._is_reachable(origins[crowded[0]], rows[crowded], limits[crowded])]
            left = self._settle(crowd, rows, columns, limits, origins[crowded[0]], found, distances)
            origins[crowd] = -1
            origins[left] = rows[left]
            crowded = (origins >= 0).nonzero().flatten()
        return found, distances

    def square_distances(self, first: Tensor, second: Tensor) -> Tensor:
        """Squared distances of pairs of tokens, indices (P,) each, from their differences: float64 (P,)."""
        num_pairs, num_channels = len(first), self.tokens.shape[1]
        distances = self.tokens.new_empty(num_pairs, dtype=torch.float64)
        step = min(num_pairs, max(1, PAIR_ELEMENTS // num_channels))
        # A few pieces of memory for all parts: those that come and go leave holes.
        selected = self.tokens.new_empty(step, num_channels)
        left, right = self.tokens.new_empty(2, step, num_channels, dtype=torch.float64)
        for part in parts_of(num_pairs, step):
            length = part.stop - part.start
            for indices, wide in ((first[part], left), (second[part], right)):
                wide[:length].copy_(torch.index_select(self.tokens, 0, indices, out=selected[:length]))
            torch.sum(left[:length].sub_(right[:length]).square_(), dim=1, out=distances[part])
        return distances

    def _product_error(self) -> Tensor:
        """Largest error of a squared distance, as a share of the sum of the two squared norms."""
        known = self.products.known
        squares = self.products.squares[: len(known)]
        # The terms of a token's product with itself have one sign, so that they round the most; and hardware that
        # rounds more than float32 does, as with TF32, shows here.
        observed = ((known - squares).abs() / squares.clamp(min=torch.finfo(squares.dtype).tiny)).amax()
        unit = torch.finfo(squares.dtype).eps / 2
        least = math.sqrt(self.tokens.shape[1]) * unit  # what C roundings of either sign add up to
        return (OBSERVED_ERROR_FACTOR * observed).clamp(min=least) + 16 * unit  # the rest: mean, norms and sums

    def _bounds(self, rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Lower bounds (b, M) of squared distances, less the row's squared norm and error, for parts of the rows."""
        lowered = self.products.squares[columns] - self.errors[columns]  # (M,)
        for part, bounds in self.products.parts(rows, columns):
            torch.add(lowered, bounds, alpha=-2, out=bounds)
            exclude_own(bounds, rows[part], columns)
            yield part, bounds

    def _is_reachable(self, token: Tensor, rows: Tensor, limits: Tensor) -> Tensor:
        """Whether a token, given by its index, may be among the nearest of each row, or is the row itself: (B,)."""
        _, products = next(self.products.parts(token[None], rows))  # (1, B)
        bounds = self.products.squares[token] - self.errors[token] - 2 * products[0]
        return (bounds <= limits[:, 0]) | (rows == token)

    def _rank(self, rows: Tensor, near: Tensor, is_candidate: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The nearest of a few candidates (b, K) of each row, by exact differences."""
        near, order = near.sort(dim=1)
        row, place = is_candidate.gather(1, order).nonzero(as_tuple=True)
        distances = self.tokens.new_full(near.shape, math.inf, dtype=torch.float64)
        distances[row, place] = self.square_distances(rows[row], near[row, place])
        best = rank_distances(distances)[:, :count]
        return near.gather(1, best), distances.gather(1, best)

    def _settle(
        self,
        crowd: Tensor,
        rows: Tensor,
        columns: Tensor,
        limits: Tensor,
        origin: Tensor,
        found: Tensor,
        distances: Tensor,
    ) -> Tensor:
        """Fill in crowded rows by float64 products of the tokens less one that is near to these rows.

        Args:
            crowd: places of these rows in ``rows``.
            rows, columns: as for ``nearest``.
            limits: of ``screen``, for all rows.
            origin: index of the token that is near.
            found, distances: what ``nearest`` returns, changed in place.

        Returns:
            places of the rows that it is not near enough to. A row that it is itself is none of them.
        """
        count = found.shape[1]
        is_needed = torch.zeros_like(columns, dtype=torch.bool)
        for part, bounds in self._bounds(rows[crowd], columns):
            is_needed |= (bounds <= limits[crowd[part]]).any(dim=0)
        columns = columns[is_needed]
        middle = self.tokens[origin].double()
        error = (6 * math.sqrt(self.tokens.shape[1]) + 16) * torch.finfo(torch.float64).eps / 2
        unsettled = []
        for part in crowd.split(CROWD_ROWS):
            chosen = rows[part]
            left = self.tokens[chosen].double().sub_(middle)
            row_squares = left.square().sum(dim=1, keepdim=True)  # (b, 1)
            row_errors = error * row_squares
            bounds = left.new_empty(len(part), len(columns))
            column_errors = left.new_empty(len(columns))
            for block in parts_of(len(columns), CROWD_COLUMNS):
                right = self.tokens[columns[block]].double().sub_(middle)
                squares = right.square().sum(dim=1)
                column_errors[block] = error * squares
                torch.addmm(squares - column_errors[block], left, right.T, alpha=-2, out=bounds[:, block])
            bounds += row_squares - row_errors
            exclude_own(bounds, chosen, columns)
            seen = screen(bounds, row_errors, column_errors, count)
            near, is_candidate = columns[seen.places], seen.is_candidate
            # Where float64 does not tell more than a few apart they are equal, if it sees this place sharply enough.
            last = bounds.gather(1, seen.places[:, count - 1 : count])
            is_sharp = (seen.limits - last <= FINE * last).flatten() | (chosen == origin)
            full = (seen.is_crowded & is_sharp).nonzero().flatten()
            if len(full):
                is_certain = bounds[full] + 2 * (row_errors[full] + column_errors) < last[full]
                near[full, :count] = columns[first_possible(is_certain, bounds[full] <= seen.limits[full], count)]
                is_candidate[full] = torch.arange(near.shape[1], device=near.device) < count
            settled = ~seen.is_crowded | is_sharp
            unsettled.append(part[~settled])
            found[part[settled]], distances[part[settled]] = self._rank(
                chosen[settled], near[settled], is_candidate[settled], count
            )
        return torch.cat(unsettled)


def exclude_own(bounds: Tensor, rows: Tensor, columns: Tensor) -> None:
    """Set to infinity, in place, what a token has with itself: bounds (B, M) of rows (B,) and sorted columns (M,)."""
    places = torch.searchsorted(columns, rows).clamp_(max=len(columns) - 1)
    own = (columns[places] == rows).nonzero().flatten()
    bounds[own, places[own]] = math.inf
