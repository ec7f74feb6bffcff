"""Clusters around the densest tokens, with the density of LOF (Breunig et al. 2000): docs/method.md, section 3."""

import math

import torch
from torch import Tensor

from lavida_mm.models.compressors.nearest_tokens import NearestTokens, first_possible

__all__ = ['check_neighbors', 'cluster_by_density', 'distinct_tokens', 'local_densities']

DENSITY_EPS = 1e-10  # added to the sum of reach distances, as in the paper's code
SAME_DENSITY = 1e-12  # densities that differ by a smaller share are equal
ROUGH = 2.0**-14  # share by which squared distances may be wrong where that changes no centre
FIRST_CHANNELS = 64  # they tell most tokens apart
CHUNK_ELEMENTS = 2**21


def check_neighbors(num_neighbors: int) -> None:
    """Raise ValueError unless ``num_neighbors`` is an integer of at least one."""
    if isinstance(num_neighbors, bool) or not isinstance(num_neighbors, int) or num_neighbors < 1:
        raise ValueError(f'num_neighbors must be an integer >= 1, got {num_neighbors!r}')


def make_codes(tokens: Tensor) -> Tensor:
    """A number for each token, the same for equal ones and by all odds another for others: (L,)."""
    num_channels = tokens.shape[1]
    integers = torch.int32 if tokens.dtype == torch.float32 else torch.int64
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, (num_channels,), generator=generator).to(tokens.device)
    # Sums of integers wrap around and so do not depend on their order; adding zero makes -0 to 0.
    parts = tokens.split(max(1, CHUNK_ELEMENTS // num_channels))
    return torch.cat([((part + 0.0).view(integers) * factors).sum(dim=1) for part in parts])


def distinct_tokens(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Find equal tokens.

    Args:
        tokens: float32 or float64, (L, C).

    Returns:
        sorted indices of the first token of each kind, (n,), and the kind of each token, 0..n-1, (L,).
    """
    codes = make_codes(tokens[:, :FIRST_CHANNELS])
    if len(codes.unique()) == len(tokens):  # as a rule
        every = torch.arange(len(tokens), device=tokens.device)
        return every, every
    codes = make_codes(tokens)
    codes, order = codes.sort(stable=True)
    is_first = torch.ones_like(codes, dtype=torch.bool)
    suspects = (codes[1:] == codes[:-1]).nonzero().flatten()  # of equal codes, or of another token by accident
    for part in suspects.split(max(1, CHUNK_ELEMENTS // tokens.shape[1])):
        is_first[part + 1] = (tokens[order[part]] != tokens[order[part + 1]]).any(dim=1)
    firsts, places = order[is_first].sort()
    ranks = torch.empty_like(places)
    ranks[places] = torch.arange(len(places), device=places.device)
    kinds = torch.empty_like(order)
    kinds[order] = ranks[is_first.cumsum(dim=0) - 1]
    return firsts, kinds


def with_copies(near: Tensor, square_distances: Tensor, kinds: Tensor, num_neighbors: int) -> tuple[Tensor, Tensor]:
    """Nearest tokens of a token of each kind, from the nearest kinds, where kinds have several tokens.

    Args:
        near: nearest other kinds by increasing distance, (n, c).
        square_distances: of these, (n, c).
        kinds: kind of each token, (L,).
        num_neighbors: k.

    Returns:
        kinds (n, k) and squared distances (n, k) of the k nearest other tokens.
    """
    num_tokens, (num_kinds, _) = len(kinds), near.shape
    order = kinds.argsort(stable=True)
    starts = torch.searchsorted(kinds[order], torch.arange(num_kinds, device=kinds.device))
    ranks = torch.arange(num_tokens, device=kinds.device) - starts[kinds[order]]
    listed = ranks <= num_neighbors
    tokens = kinds.new_full((num_kinds, num_neighbors + 1), num_tokens)  # the first ones of each kind, then none
    tokens[kinds[order[listed]], ranks[listed]] = order[listed]
    found, distances = [], []
    step = max(1, CHUNK_ELEMENTS // (num_neighbors * (near.shape[1] + 1)))
    for own, part, apart in zip(tokens.split(step), near.split(step), square_distances.split(step), strict=True):
        others = torch.cat([own[:, 1:], tokens[part, :num_neighbors].flatten(1)], dim=1)  # (b, k + c k)
        away = torch.cat([apart.new_zeros(len(own), 1), apart], dim=1).repeat_interleave(num_neighbors, dim=1)
        away.masked_fill_(others == num_tokens, math.inf)
        others, by_index = others.sort(dim=1)
        away, by_distance = away.gather(1, by_index).sort(dim=1, stable=True)
        found.append(kinds[others.gather(1, by_distance[:, :num_neighbors])])
        distances.append(away[:, :num_neighbors])
    return torch.cat(found), torch.cat(distances)


def local_densities(near: Tensor, square_distances: Tensor, num_channels: int) -> Tensor:
    """Local reachability density of LOF, of one token of each kind.

    Args:
        near: kinds of the k nearest other tokens, (n, k).
        square_distances: of these, float64 (n, k).
        num_channels: C; distances are divided by its root.

    Returns:
        float64 (n,).
    """
    distances = (square_distances / num_channels).sqrt()
    reach = torch.maximum(distances.amax(dim=1)[near], distances)  # (n, k)
    total = reach.sort(dim=1).values.sum(dim=1)  # in an order that does not depend on that of the tokens
    return near.shape[1] / (total + DENSITY_EPS)


def refine_densities(densities: Tensor, search: NearestTokens, near: Tensor, num_kept: int, rough: Tensor) -> Tensor:
    """Compute anew, from exact distances, the densities that decide which tokens are the densest.

    Args:
        densities: from rough distances, (L,).
        search: of the tokens.
        near: the k nearest other tokens, (L, k).
        num_kept: R.
        rough: squared distances that are wrong by a share of ``ROUGH`` at most, (L, k).
    """
    last = densities.topk(num_kept).values[-1]
    # Half the share for the root of a density, and of the last one; twice that to be safe.
    close = ((densities / last - 1).abs() <= 2 * ROUGH).nonzero().flatten()
    rows = torch.cat([close, near[close].flatten()]).unique()
    exact = rough.clone()
    exact[rows] = search.square_distances(rows.repeat_interleave(near.shape[1]), near[rows].flatten()).view(
        len(rows), -1
    )
    refined = local_densities(near, exact, search.tokens.shape[1])
    return densities.index_copy(0, close, refined[close])


def densest_tokens(densities: Tensor, num_kept: int) -> Tensor:
    """The densest tokens; of those that are as dense as the last one, the first.

    Args:
        densities: (L,).
        num_kept: R.

    Returns:
        sorted indices (R,).
    """
    last = densities.topk(num_kept).values[-1]
    is_certain, is_possible = densities > last * (1 + SAME_DENSITY), densities >= last * (1 - SAME_DENSITY)
    return first_possible(is_certain[None], is_possible[None], num_kept)[0].sort().values


@torch.no_grad()
def cluster_by_density(tokens: Tensor, num_kept: int, num_neighbors: int) -> tuple[Tensor, Tensor]:
    """Choose the densest tokens as centres; every other token joins the nearest one. Equals go to the lowest index.

    Args:
        tokens: finite, (L, C).
        num_kept: R.
        num_neighbors: neighbours that the density is taken over; at most L - 1 of them are used.

    Returns:
        sorted indices of the centres, (R,), and number of the cluster of each token, 0..R-1, (L,).
    """
    num_tokens = len(tokens)
    tokens = tokens.to(torch.promote_types(tokens.dtype, torch.float32))
    firsts, kinds = distinct_tokens(tokens)
    num_kinds = len(firsts)
    if num_kinds == 1:
        centres = torch.arange(num_kept, device=tokens.device)
        return centres, torch.zeros_like(kinds).index_copy_(0, centres, centres)
    with torch.autocast(tokens.device.type, enabled=False):
        search = NearestTokens(tokens if num_kinds == num_tokens else tokens[firsts])
        num_neighbors = min(num_neighbors, num_tokens - 1)
        every = torch.arange(num_kinds, device=tokens.device)
        tolerance = ROUGH if num_kinds == num_tokens else 0.0  # with copies, the order counts
        near, distances = search.nearest(every, every, min(num_neighbors, num_kinds - 1), tolerance)
        if num_kinds < num_tokens:
            near, distances = with_copies(near, distances, kinds, num_neighbors)
        densities = local_densities(near, distances, tokens.shape[1])  # (n,)
        if num_kinds == num_tokens:
            densities = refine_densities(densities, search, near, num_kept, distances)
        centres = densest_tokens(densities[kinds], num_kept)  # (R,)

        # A kind with a centre among its tokens joins the first of these; centres stay with themselves.
        numbers = torch.arange(num_kept, device=tokens.device)
        home = numbers.new_full((num_kinds,), num_kept).scatter_reduce(0, kinds[centres], numbers, reduce='amin')
        is_home = home < num_kept
        homes, others = is_home.nonzero().flatten(), (~is_home).nonzero().flatten()
        if len(others):
            home[others] = home[search.nearest(others, homes, 1, math.inf)[0][:, 0]]
    clusters = home[kinds]
    clusters[centres] = numbers
    return centres, clusters
