"""Reverse-attention compression: merge the dense background, keep what differs (docs/method.md, section 3)."""

import math

import torch
from torch import Tensor

from lavida_mm.models.compressors.cluster_sums import cluster_products, sum_by_cluster
from lavida_mm.models.compressors.density_clusters import check_neighbors, cluster_by_density
from lavida_mm.models.compressors.token_compressor import (
    TokenCompressor,
    TokenMerge,
    check_ratio,
    check_tokens,
    count_kept,
)
from lavida_mm.registry import MODELS

__all__ = ['ReverseAttnCompressor', 'attention_weights', 'plan_density_merge', 'reverse_attn_merge']


def attention_weights(tokens: Tensor, centres: Tensor, clusters: Tensor, reverse: bool = True) -> Tensor:
    """Weight of each token in its cluster: softmax of its product with the centre, or of minus this product.

    Args:
        tokens: (L, C).
        centres: indices (R,).
        clusters: cluster of each token, (L,).
        reverse: whether the least similar members weigh the most.

    Returns:
        (L,) in float32, or float64 where the tokens are; they sum to one in each cluster.
    """
    products = cluster_products(tokens[centres], tokens, clusters)  # (L,)
    logits = products * ((-1 if reverse else 1) / math.sqrt(tokens.shape[1]))
    highest = logits.new_full((len(centres),), -math.inf)
    highest = highest.scatter_reduce(0, clusters, logits.detach(), reduce='amax')  # (R,)
    weights = (logits - highest[clusters]).exp()
    weights = weights / sum_by_cluster(weights, clusters, len(centres))[clusters]
    return weights.to(torch.promote_types(tokens.dtype, torch.float32))


@torch.compiler.disable  # shapes on the way depend on the data
def plan_density_merge(tokens: Tensor, num_kept: int, num_neighbors: int, reverse: bool) -> TokenMerge:
    """Merge each token into its nearest dense token by attention, ordinary or reverse.

    Args:
        tokens: (L, C).
        num_kept: R.
        num_neighbors: neighbours that the density is taken over; at most L - 1 of them are used.
        reverse: whether the least similar members of a cluster weigh the most.
    """
    if num_kept == len(tokens):
        return TokenMerge(torch.arange(num_kept, device=tokens.device))
    centres, clusters = cluster_by_density(tokens.detach(), num_kept, num_neighbors)
    return TokenMerge(centres, clusters, attention_weights(tokens, centres, clusters, reverse))


def reverse_attn_merge(tokens: Tensor, keep_ratio: float = 0.5, num_neighbors: int = 8) -> tuple[Tensor, Tensor]:
    """Merge each token into its nearest dense token, weighted against similarity (docs/method.md, section 3).

    Which tokens are centres and which cluster a token joins is constant; gradients flow through the merged tokens.

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
    check_tokens(tokens)
    merge = plan_density_merge(tokens, count_kept(len(tokens), keep_ratio), num_neighbors, reverse=True)
    return merge.apply(tokens), merge.indices


@MODELS.register_module()
class ReverseAttnCompressor(TokenCompressor):
    """Merges the visual tokens of a sample around dense ones by reverse attention; it has no parameters.

    Args:
        keep_ratio: share of the tokens that remain, in (0, 1].
        num_neighbors: neighbours that the density is taken over, at least 1. A sample of no more tokens than that
            uses all others.
        reverse: whether the least similar members of a cluster weigh the most; False is ordinary attention.
    """

    def __init__(
        self, *, keep_ratio: float = 0.5, num_neighbors: int = 8, reverse: bool = True, init_cfg: dict | None = None
    ) -> None:
        super().__init__(keep_ratio=keep_ratio, init_cfg=init_cfg)
        check_neighbors(num_neighbors)
        self.num_neighbors = num_neighbors
        self.reverse = reverse

    def plan(self, tokens: Tensor) -> TokenMerge:
        """Dense tokens stay, with what they take from the tokens nearest to them."""
        return plan_density_merge(tokens, self.count_kept(len(tokens)), self.num_neighbors, self.reverse)

    def extra_repr(self) -> str:
        """The settings, for the printed model."""
        return f'{super().extra_repr()}, num_neighbors={self.num_neighbors}, reverse={self.reverse}'
