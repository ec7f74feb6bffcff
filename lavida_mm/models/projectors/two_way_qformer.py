"""Learned queries and a sequence that attend to each other."""

from segment_anything.modeling.common import MLPBlock
from segment_anything.modeling.transformer import Attention
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ['MaskedAttention', 'TwoWayQFormer']


class MaskedAttention(Attention):
    """segment-anything's attention with inner downsampling, with a mask and torch's fused kernels.

    Args:
        channels: channels in and out.
        num_heads: attention heads; must divide ``channels // downsample``.
        downsample: the inner channels are ``channels // downsample``.
    """

    def __init__(self, *, channels: int, num_heads: int, downsample: int = 1) -> None:
        if downsample < 1 or channels % (downsample * num_heads):
            raise ValueError(
                f'channels must be a multiple of downsample x num_heads, got {channels} and {downsample} x {num_heads}'
            )
        super().__init__(channels, num_heads, downsample_rate=downsample)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            q: queries, (B, N, C).
            k: keys, (B, L, C).
            v: values, (B, L, C).
            mask: True where a key may be attended to, bool (B, L); None: everywhere.

        Returns:
            (B, N, C).
        """
        q, k, v = (
            self._separate_heads(proj(x), self.num_heads)
            for proj, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        mask = None if mask is None else mask[:, None, None]  # (B, 1, 1, L)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_proj(self._recombine_heads(out))


class _TwoWayBlock(nn.Module):
    """Queries attend to themselves and to the sequence, pass an MLP, and are attended to by the sequence."""

    def __init__(self, channels: int, num_heads: int, mlp_channels: int, downsample: int) -> None:
        super().__init__()
        self.self_attn = MaskedAttention(channels=channels, num_heads=num_heads)
        self.norm1 = nn.LayerNorm(channels)
        self.to_sequence = MaskedAttention(channels=channels, num_heads=num_heads, downsample=downsample)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MLPBlock(channels, mlp_channels)
        self.norm3 = nn.LayerNorm(channels)
        self.to_queries = MaskedAttention(channels=channels, num_heads=num_heads, downsample=downsample)
        self.norm4 = nn.LayerNorm(channels)

    def forward(self, queries: Tensor, keys: Tensor, query_pe: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        placed = queries + query_pe
        queries = self.norm1(queries + self.self_attn(placed, placed, queries))
        queries = self.norm2(queries + self.to_sequence(queries + query_pe, keys, keys, mask))
        queries = self.norm3(queries + self.mlp(queries))
        keys = self.norm4(keys + self.to_queries(keys, queries + query_pe, queries))
        return queries, keys


class TwoWayQFormer(nn.Module):
    """Two-way attention between learned queries and a sequence of any length (docs/method.md, section 4).

    The sequence is a set: it has no positions, so the order of the words does not matter.

    Args:
        channels: channels of queries and sequence.
        num_queries: number of learned queries.
        depth: number of two-way blocks.
        num_heads: attention heads.
        mlp_channels: hidden channels of the blocks' MLP.
        downsample: inner downsampling of the attention between queries and sequence.
    """

    def __init__(
        self, *, channels: int, num_queries: int, depth: int, num_heads: int, mlp_channels: int, downsample: int = 2
    ) -> None:
        super().__init__()
        if num_queries < 1 or depth < 1:
            raise ValueError(f'num_queries and depth must be at least 1, got {num_queries} and {depth}')
        self.queries = nn.Embedding(num_queries, channels)
        self.blocks = nn.ModuleList([_TwoWayBlock(channels, num_heads, mlp_channels, downsample) for _ in range(depth)])
        self.final_attn = MaskedAttention(channels=channels, num_heads=num_heads, downsample=downsample)
        self.final_norm = nn.LayerNorm(channels)

    def forward(self, sequence: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend both ways.

        Args:
            sequence: (F, L, C).
            mask: True at real entries, bool (F, L); padded ones change nothing elsewhere.

        Returns:
            Queries (F, Q, C) and the sequence (F, L, C), whose padded entries mean nothing.
        """
        query_pe = self.queries.weight.expand(len(sequence), -1, -1)  # (F, Q, C)
        queries, keys = query_pe, sequence
        for block in self.blocks:
            queries, keys = block(queries, keys, query_pe, mask)
        return self.final_norm(queries + self.final_attn(queries + query_pe, keys, keys, mask)), keys
