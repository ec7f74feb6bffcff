"""The control of reverse attention: the same clusters, merged by ordinary attention."""

from torch import Tensor

from lavida_mm.models.compressors.density_clusters import check_neighbors
from lavida_mm.models.compressors.reverse_attn_compressor import plan_density_merge
from lavida_mm.models.compressors.token_compressor import TokenCompressor, TokenMerge
from lavida_mm.registry import MODELS

__all__ = ['SimilarityMergeCompressor']


@MODELS.register_module()
class SimilarityMergeCompressor(TokenCompressor):
    """Merges tokens around dense ones as ``ReverseAttnCompressor`` does, but the most similar members weigh the most.

    Args:
        keep_ratio: share of the tokens that remain, in (0, 1].
        num_neighbors: neighbours that the density is taken over, at least 1. A sample of no more tokens than that
            uses all others.
    """

    def __init__(self, *, keep_ratio: float = 0.5, num_neighbors: int = 8, init_cfg: dict | None = None) -> None:
        super().__init__(keep_ratio=keep_ratio, init_cfg=init_cfg)
        check_neighbors(num_neighbors)
        self.num_neighbors = num_neighbors

    def plan(self, tokens: Tensor) -> TokenMerge:
        """Dense tokens stay, with what they take from the tokens nearest to them."""
        return plan_density_merge(tokens, self.count_kept(len(tokens)), self.num_neighbors, reverse=False)

    def extra_repr(self) -> str:
        """The settings, for the printed model."""
        return f'{super().extra_repr()}, num_neighbors={self.num_neighbors}'
