"""Token merging by bipartite soft matching (Bolya et al., "Token Merging: Your ViT But Faster", ICLR 2023)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lavida_mm.models.compressors.cluster_sums import cluster_sums
from lavida_mm.models.compressors.token_compressor import TokenCompressor, TokenMerge
from lavida_mm.registry import MODELS

__all__ = ['ToMeCompressor', 'bipartite_soft_matching', 'tome_clusters']

CHUNK_ELEMENTS = 2**22  # of the similarities of the two sides


def bipartite_soft_matching(tokens: Tensor, num_merged: int) -> tuple[Tensor, Tensor]:
    """Which tokens of even place merge into which tokens of odd place: the most similar pairs.

    Each token of even place is paired with the token of odd place that is most similar to it by the cosine. Of equally
    similar ones, the first counts.

    Args:
        tokens: (n, C).
        num_merged: how many pairs are wanted, at most floor(n / 2).

    Returns:
        places that merge and places that they merge into, (num_merged,) each.
    """
    directions = F.normalize(tokens.float(), dim=1)
    even, odd = directions[::2], directions[1::2]
    best, partners = [], []
    for part in even.split(max(1, CHUNK_ELEMENTS // len(odd))):
        similarities = part @ odd.T  # (b, n // 2)
        partner = similarities.argmax(dim=1)
        best.append(similarities.gather(1, partner[:, None])[:, 0])
        partners.append(partner)
    merged = torch.cat(best).sort(descending=True, stable=True).indices[:num_merged]
    return 2 * merged, 2 * torch.cat(partners)[merged] + 1


@torch.compiler.disable  # its shapes change from round to round
@torch.no_grad()
def tome_clusters(tokens: Tensor, num_kept: int) -> tuple[Tensor, Tensor]:
    """Merge by soft matching until ``num_kept`` tokens are left: half of them at most in each round.

    Args:
        tokens: (L, C).
        num_kept: R.

    Returns:
        sorted places of the tokens that others merged into or that were left alone, (R,), and the cluster of each
        token, (L,).
    """
    places = torch.arange(len(tokens), device=tokens.device)
    clusters, merged = places, tokens
    with torch.autocast(tokens.device.type, enabled=False):
        while len(places) > num_kept:
            num_merged = min(len(places) - num_kept, len(places) // 2)
            sources, targets = bipartite_soft_matching(merged, num_merged)
            stays = torch.ones_like(places, dtype=torch.bool)
            stays[sources] = False
            joins = torch.arange(len(places), device=places.device)
            joins[sources] = targets
            clusters = (stays.cumsum(dim=0) - 1)[joins][clusters]
            places = places[stays]
            merged = cluster_sums(mean_weights(clusters), tokens, clusters, len(places))
    return places, clusters


def mean_weights(clusters: Tensor) -> Tensor:
    """Weights (L,) that make the weighted sum over each cluster its mean."""
    return 1 / clusters.bincount()[clusters]


@MODELS.register_module()
class ToMeCompressor(TokenCompressor):
    """Merges similar tokens round by round; a merged token is the mean of all tokens in it.

    The paper merges a fixed number in each layer of a vision transformer, by the attention's keys. Here all is done at
    once, by the tokens themselves, and a merged token takes the place of the token that others merged into.

    Args:
        keep_ratio: share of the tokens that remain, in (0, 1].
    """

    def __init__(self, *, keep_ratio: float = 0.5, init_cfg: dict | None = None) -> None:
        super().__init__(keep_ratio=keep_ratio, init_cfg=init_cfg)

    def plan(self, tokens: Tensor) -> TokenMerge:
        """See ``tome_clusters``."""
        places, clusters = tome_clusters(tokens.detach(), self.count_kept(len(tokens)))
        return TokenMerge(places, clusters, mean_weights(clusters))
