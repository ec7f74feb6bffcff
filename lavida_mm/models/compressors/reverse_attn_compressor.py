"""Reverse-attention compression: merge the dense background, keep what differs (docs/method.md, section 3)."""

import math

import torch
from mmengine.model import BaseModule
from torch import Tensor

from lavida_mm.registry import MODELS

__all__ = ['ReverseAttnCompressor', 'count_kept', 'reverse_attn_merge']

DENSITY_EPS = 1e-10  # added to the sum of reach distances, as in the paper's code
TIE_ROUNDINGS = 32  # distances closer than this many float32 roundings of the norms count as equal
CHUNK_ELEMENTS = 2**25  # of the differences to the nearest neighbours: 128 MiB at a time


def check_ratio(keep_ratio: float) -> None:
    """Raise ValueError unless ``keep_ratio`` lies in (0, 1]."""
    if not 0 < keep_ratio <= 1:
        raise ValueError(f'keep_ratio must be in (0, 1], got {keep_ratio}')


def check_neighbors(num_neighbors: int) -> None:
    """Raise ValueError unless ``num_neighbors`` is an integer of at least one."""
    if isinstance(num_neighbors, bool) or not isinstance(num_neighbors, int) or num_neighbors < 1:
        raise ValueError(f'num_neighbors must be an integer >= 1, got {num_neighbors!r}')


def count_kept(num_tokens: int, keep_ratio: float) -> int:
    """How many of ``num_tokens`` remain: max(1, floor(keep_ratio * num_tokens))."""
    return max(1, math.floor(keep_ratio * num_tokens))


def pairwise_square_distances(tokens: Tensor) -> Tensor:
    """Squared Euclidean distances of all tokens, from one Gram product.

    Args:
        tokens: float32 tokens, (L, C).

    Returns:
        (L, L), not below zero. Nearly equal tokens carry the rounding of their norms.
    """
    squares = tokens.square().sum(dim=1)  # (L,)
    distances = torch.addmm(squares[None, :], tokens, tokens.T, alpha=-2)  # (L, L)
    return distances.add_(squares[:, None]).clamp_(min=0)


def nearest_neighbors(square_distances: Tensor, num_neighbors: int) -> Tensor:
    """The nearest other tokens of each token; of equally near ones, those of lowest index.

    Args:
        square_distances: (L, L).
        num_neighbors: k, at most L - 1.

    Returns:
        indices (L, k).
    """
    num_tokens = len(square_distances)
    others = square_distances.clone().fill_diagonal_(math.inf)
    values, indices = others.topk(min(num_neighbors + 1, num_tokens), dim=1, largest=False)
    if values.shape[1] > num_neighbors:
        # topk promises no order among equals: rows where the cut falls between equals are sorted in full.
        rows = (values[:, num_neighbors] == values[:, num_neighbors - 1]).nonzero().flatten()
        if len(rows):
            indices[rows, :num_neighbors] = others[rows].sort(dim=1, stable=True).indices[:, :num_neighbors]
    return indices[:, :num_neighbors]


def distances_to(tokens: Tensor, neighbors: Tensor) -> Tensor:
    """Distances divided by sqrt(C), from differences and so exact where the Gram product loses digits.

    Args:
        tokens: (L, C).
        neighbors: indices (L, k).

    Returns:
        (L, k).
    """
    num_channels = tokens.shape[1]
    rows = max(1, CHUNK_ELEMENTS // (neighbors.shape[1] * num_channels))
    parts = [
        (tokens[chosen] - part[:, None]).square().sum(dim=2)  # (rows, k)
        for part, chosen in zip(tokens.split(rows), neighbors.split(rows), strict=True)
    ]
    return (torch.cat(parts) / num_channels).sqrt()


def local_densities(tokens: Tensor, neighbors: Tensor) -> Tensor:
    """Local reachability density of each token, that of LOF (Breunig et al. 2000).

    Args:
        tokens: (L, C).
        neighbors: the k nearest other tokens, (L, k).

    Returns:
        (L,).
    """
    distances = distances_to(tokens, neighbors)  # (L, k)
    k_distances = distances.amax(dim=1)  # (L,)
    reach = torch.maximum(k_distances[neighbors], distances)  # (L, k)
    return neighbors.shape[1] / (reach.sum(dim=1) + DENSITY_EPS)


def choose_centres(densities: Tensor, num_kept: int) -> Tensor:
    """The densest tokens in their original order; of equally dense ones, those of lowest index.

    Args:
        densities: (L,).
        num_kept: R.

    Returns:
        sorted indices (R,).
    """
    order = densities.sort(descending=True, stable=True).indices
    return order[:num_kept].sort().values


def assign_clusters(square_distances: Tensor, squares: Tensor, centres: Tensor) -> Tensor:
    """The nearest centre of each token; of equally near ones, that of lowest index. A centre joins itself.

    Args:
        square_distances: (L, L).
        squares: squared norms of the tokens, (L,). They give the rounding within which distances count as equal.
        centres: sorted indices (R,).

    Returns:
        numbers of the clusters in 0..R-1, (L,).
    """
    to_centres = square_distances[:, centres]  # (L, R)
    nearest = to_centres.amin(dim=1)
    rounding = TIE_ROUNDINGS * torch.finfo(squares.dtype).eps * (squares + nearest)
    clusters = (to_centres <= (nearest + rounding)[:, None]).to(torch.uint8).argmax(dim=1)  # first of the equals
    clusters[centres] = torch.arange(len(centres), device=centres.device)
    return clusters


def reverse_attention_weights(tokens: Tensor, centres: Tensor, clusters: Tensor) -> Tensor:
    """Weight of each token in its cluster: softmax of minus its product with the centre.

    Args:
        tokens: (L, C).
        centres: indices (R,).
        clusters: cluster of each token, (L,).

    Returns:
        (L,); they sum to one in each cluster, and the least similar members weigh the most.
    """
    num_channels = tokens.shape[1]
    logits = -(tokens[centres][clusters] * tokens).sum(dim=1) / math.sqrt(num_channels)  # (L,)
    highest = logits.detach().new_full((len(centres),), -math.inf)
    highest = highest.scatter_reduce(0, clusters, logits.detach(), reduce='amax')  # (R,)
    weights = (logits - highest[clusters]).exp()
    totals = weights.new_zeros(len(centres)).index_add(0, clusters, weights)  # (R,)
    return weights / totals[clusters]


def reverse_attn_merge(tokens: Tensor, keep_ratio: float = 0.5, num_neighbors: int = 8) -> tuple[Tensor, Tensor]:
    """Merge each token into its nearest dense token, weighted against similarity (docs/method.md, section 3).

    The choice of the centres and the clusters is constant; gradients flow through the merged tokens. All is
    computed in float32.

    Args:
        tokens: visual tokens of one sample, (L, C), L >= 1.
        keep_ratio: share of the tokens that remain, in (0, 1].
        num_neighbors: neighbours that the density is taken over; at most L - 1 of them are used.

    Returns:
        merged tokens (R, C) in the type of ``tokens``, with R = max(1, floor(keep_ratio * L)), and the sorted
        indices (R,) of the centres, whose places they take.

    Raises:
        ValueError: a setting out of its range, no token, or a token that is not finite.
    """
    check_ratio(keep_ratio)
    check_neighbors(num_neighbors)
    if tokens.ndim != 2 or not tokens.numel():
        raise ValueError(f'tokens must be of shape (L, C) with L >= 1 and C >= 1, got {tuple(tokens.shape)}')
    num_tokens = len(tokens)
    num_kept = count_kept(num_tokens, keep_ratio)
    with torch.autocast(tokens.device.type, enabled=False):
        values = tokens.float()
        constant = values.detach()
        if not constant.isfinite().all():
            bad = (~constant.isfinite().all(dim=1)).nonzero().flatten()
            raise ValueError(f'tokens must be finite, got NaN or infinity in {len(bad)} tokens, first {bad[0].item()}')
        if num_kept == num_tokens:  # each token is a cluster of its own
            return tokens, torch.arange(num_tokens, device=tokens.device)
        square_distances = pairwise_square_distances(constant)  # (L, L)
        neighbors = nearest_neighbors(square_distances, min(num_neighbors, num_tokens - 1))  # (L, k)
        centres = choose_centres(local_densities(constant, neighbors), num_kept)  # (R,)
        clusters = assign_clusters(square_distances, constant.square().sum(dim=1), centres)  # (L,)
        weights = reverse_attention_weights(values, centres, clusters)  # (L,)
        merged = values.new_zeros(num_kept, values.shape[1]).index_add(0, clusters, weights[:, None] * values)
    return merged.to(tokens.dtype), centres  # (R, C), (R,)


@MODELS.register_module()
class ReverseAttnCompressor(BaseModule):
    """Compress the visual tokens of one sample by reverse attention; it has no parameters.

    Args:
        keep_ratio: share of the tokens that remain, in (0, 1].
        num_neighbors: neighbours that the density is taken over, at least 1.
    """

    def __init__(self, *, keep_ratio: float = 0.5, num_neighbors: int = 8, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        check_ratio(keep_ratio)
        check_neighbors(num_neighbors)
        self.keep_ratio = keep_ratio
        self.num_neighbors = num_neighbors

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Merge tokens (L, C) to (R, C); also their sorted places (R,). See ``reverse_attn_merge``."""
        return reverse_attn_merge(tokens, self.keep_ratio, self.num_neighbors)

    def count_kept(self, num_tokens: int) -> int:
        """R for L = ``num_tokens``."""
        return count_kept(num_tokens, self.keep_ratio)

    def extra_repr(self) -> str:
        """The settings, for the printed model."""
        return f'keep_ratio={self.keep_ratio}, num_neighbors={self.num_neighbors}'
