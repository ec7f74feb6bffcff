"""Sums over clusters of tokens and products with their centres: chunked, differentiable, the same at every run."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ['cluster_products', 'cluster_sums', 'sum_by_cluster']

CHUNK_ELEMENTS = 2**21  # of an (L, C) temporary: 16 MiB of float64 at a time


def sum_by_cluster(values: Tensor, clusters: Tensor, num_clusters: int) -> Tensor:
    """Add up what belongs to the same cluster, always in the same order.

    Args:
        values: (L,).
        clusters: cluster of each value, (L,).
        num_clusters: R.

    Returns:
        (R,).
    """
    return _add_rows(values.new_zeros(num_clusters), clusters, values)


def cluster_sums(weights: Tensor, features: Tensor, clusters: Tensor, num_clusters: int) -> Tensor:
    """Weighted sum of the members of each cluster, accumulated in float32 or better.

    Args:
        weights: (L,).
        features: (L, C).
        clusters: cluster of each token, (L,).
        num_clusters: R.

    Returns:
        (R, C), float32, or float64 where ``weights`` or ``features`` are.
    """
    return _ClusterSums.apply(weights, features, clusters, num_clusters)


def cluster_products(centres: Tensor, features: Tensor, clusters: Tensor) -> Tensor:
    """Inner product of each token with the centre of its cluster.

    It is float64: in an exponential, what float32 loses of a large product would be an error of several per cent.

    Args:
        centres: (R, C).
        features: (L, C).
        clusters: cluster of each token, (L,).

    Returns:
        float64 (L,).
    """
    return _ClusterProducts.apply(centres, features, clusters)


def _wide(*tensors: Tensor) -> torch.dtype:
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def _add_rows(totals: Tensor, clusters: Tensor, rows: Tensor) -> Tensor:
    if rows.is_cuda:  # its index_add adds in whatever order the threads run; index_put sorts first
        return totals.index_put_((clusters,), rows, accumulate=True)
    return totals.index_add_(0, clusters, rows)


def _token_parts(features: Tensor) -> Iterator[slice]:
    num_tokens, num_channels = features.shape
    step = max(1, CHUNK_ELEMENTS // max(1, num_channels))
    return (slice(start, start + step) for start in range(0, num_tokens, step))


def _sums(weights: Tensor, features: Tensor, clusters: Tensor, num_clusters: int) -> Tensor:
    dtype = _wide(weights, features)
    sums = features.new_zeros(num_clusters, features.shape[1], dtype=dtype)
    for part in _token_parts(features):
        _add_rows(sums, clusters[part], features[part].to(dtype) * weights[part, None])
    return sums


def _products(centres: Tensor, features: Tensor, clusters: Tensor) -> Tensor:
    products = features.new_empty(len(features), dtype=torch.float64)
    for part in _token_parts(features):
        products[part] = centres[clusters[part]].double().mul_(features[part]).sum(dim=1)
    return products


def _scaled_centres(scales: Tensor, centres: Tensor, clusters: Tensor, dtype: torch.dtype) -> Tensor:
    scaled = centres.new_empty(len(clusters), centres.shape[1], dtype=dtype)
    for part in _token_parts(scaled):
        scaled[part] = scales[part, None] * centres[clusters[part]]
    return scaled


class _ClusterSums(torch.autograd.Function):
    """Its gradient is a product with the centres, as that of ``_ClusterProducts`` is a sum over the clusters."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, features: Tensor, clusters: Tensor, num_clusters: int) -> Tensor:
        ctx.save_for_backward(weights, features, clusters)
        return _sums(weights, features, clusters, num_clusters)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, features, clusters = ctx.saved_tensors
        for_weights = for_features = None
        if ctx.needs_input_grad[0]:
            for_weights = _products(gradient, features, clusters).to(weights.dtype)
        if ctx.needs_input_grad[1]:
            for_features = _scaled_centres(weights, gradient, clusters, features.dtype)
        return for_weights, for_features, None, None


class _ClusterProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, centres: Tensor, features: Tensor, clusters: Tensor) -> Tensor:
        ctx.save_for_backward(centres, features, clusters)
        return _products(centres, features, clusters)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        centres, features, clusters = ctx.saved_tensors
        for_centres = for_features = None
        if ctx.needs_input_grad[0]:
            for_centres = _sums(gradient, features, clusters, len(centres)).to(centres.dtype)
        if ctx.needs_input_grad[1]:
            for_features = _scaled_centres(gradient, centres, clusters, features.dtype)
        return for_centres, for_features, None
