"""What every token compressor has in common: the plan it makes, its batch, its checks."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor

from lavida_mm.models.compressors.cluster_sums import cluster_sums

__all__ = ['TokenCompressor', 'TokenMerge', 'check_ratio', 'check_tokens', 'count_kept']


def check_ratio(keep_ratio: float) -> None:
    """Raise ValueError unless ``keep_ratio`` lies in (0, 1]; NaN does not."""
    if isinstance(keep_ratio, bool) or not isinstance(keep_ratio, int | float) or not 0 < keep_ratio <= 1:
        raise ValueError(f'keep_ratio must be a number in (0, 1], got {keep_ratio!r}')


def check_tokens(tokens: Tensor) -> None:
    """Raise ValueError unless ``tokens`` are (L, C), at least one, and finite."""
    if tokens.ndim != 2 or not tokens.numel():
        raise ValueError(f'tokens must be of shape (L, C) with L >= 1 and C >= 1, got {tuple(tokens.shape)}')
    if tokens.detach().sum().isfinite():  # the fast way; large tokens may exceed a sum
        return
    low, high = tokens.detach().aminmax(dim=1)  # NaN if any is
    finite = low.isfinite() & high.isfinite()  # (L,)
    if not finite.all():
        bad = (~finite).nonzero().flatten()
        raise ValueError(f'tokens must be finite, got NaN or infinity in {len(bad)} tokens, first {bad[0].item()}')


def count_kept(num_tokens: int, keep_ratio: float) -> int:
    """How many of ``num_tokens`` remain: max(1, floor(keep_ratio * num_tokens))."""
    return max(1, math.floor(keep_ratio * num_tokens))


class TokenMerge(NamedTuple):
    """How the L tokens of a sample become R.

    It holds for whatever belongs to these tokens, such as the features that a vision tower hands to deeper layers of
    the language model.

    Attributes:
        indices: sorted places of the R tokens in the sample, without repetition, (R,).
        clusters: which of the R tokens each of the L joins, 0..R-1, (L,); None drops those that are not kept.
        weights: of each token in its cluster, (L,), with a sum of one per cluster; None as ``clusters`` is.
    """

    indices: Tensor
    clusters: Tensor | None = None
    weights: Tensor | None = None

    @torch.compiler.disable  # it goes through the tokens in chunks
    def apply(self, features: Tensor) -> Tensor:
        """Select or merge: gradients reach ``features`` and ``weights``, and every run gives the same result.

        Args:
            features: one row per token, (L, C').

        Returns:
            (R, C') in the type of ``features``; means are accumulated in float32, or in float64 if that is the type.

        Raises:
            ValueError: the number of rows is not L.
        """
        if self.clusters is None or self.weights is None:
            return features[self.indices]
        if len(features) != len(self.clusters):
            raise ValueError(f'the merge is of {len(self.clusters)} tokens, got {len(features)} features')
        return cluster_sums(self.weights, features, self.clusters, len(self.indices)).to(features.dtype)


class TokenCompressor(BaseModule):
    """Decides which tokens of a sample remain and what they take from the others.

    A subclass defines ``plan``. All keep R = max(1, floor(keep_ratio * L)) tokens.

    Args:
        keep_ratio: share of the tokens that remain, in (0, 1].
    """

    def __init__(self, *, keep_ratio: float, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        check_ratio(keep_ratio)
        self.keep_ratio = keep_ratio

    @abstractmethod
    def plan(self, tokens: Tensor) -> TokenMerge:
        """How one sample is compressed.

        Args:
            tokens: visual tokens of the sample, (L, C), finite, L >= 1.
        """

    def forward(self, samples: Sequence[Tensor]) -> list[TokenMerge]:
        """The plan of each sample of a batch.

        Args:
            samples: visual tokens (L_i, C) of each sample.

        Raises:
            ValueError: no token, or one that is not finite. The sample is named, counted from 0.
        """
        merges = []
        for number, tokens in enumerate(samples):
            try:
                check_tokens(tokens)
                merges.append(self.plan(tokens))
            except ValueError as error:
                raise ValueError(f'sample {number} of the batch: {error}') from error
        return merges

    def count_kept(self, num_tokens: int) -> int:
        """R for L = ``num_tokens``."""
        return count_kept(num_tokens, self.keep_ratio)

    def extra_repr(self) -> str:
        """The settings, for the printed model."""
        return f'keep_ratio={self.keep_ratio}'
