"""The method's equations (docs/method.md, section 3), slowly, in float64, and the inputs that are hard for them."""

import math

import numpy as np

KINDS = ('random', 'clustered', 'tight', 'far', 'copies', 'lattice', 'orthogonal', 'nested', 'huge or tiny')


def densities(tokens: np.ndarray, k: int) -> np.ndarray:
    """lrd(p), token by token; of equally near tokens those of lowest index are the neighbours."""
    num_tokens, channels = tokens.shape
    near, kd = [], []
    for p in range(num_tokens):
        distances = np.sqrt(((tokens - tokens[p]) ** 2).sum(axis=1) / channels)
        others = sorted((d, o) for o, d in enumerate(distances.tolist()) if o != p)[:k]
        near.append(others)
        kd.append(others[-1][0])
    return np.array([k / (sum(max(kd[o], d) for d, o in near[p]) + 1e-10) for p in range(num_tokens)])


def choose_centres(lrd: np.ndarray, kept: int) -> list[int]:
    """The densest; of equally dense ones those of lowest index."""
    return sorted(sorted(range(len(lrd)), key=lambda p: (-lrd[p], p))[:kept])


def assign(tokens: np.ndarray, centres: list[int]) -> dict[int, list[int]]:
    """Members of each centre's cluster; a centre belongs to its own."""
    members = {c: [c] for c in centres}
    for p in range(len(tokens)):
        if p not in members:
            members[min(centres, key=lambda c: (((tokens[p] - tokens[c]) ** 2).sum(), c))].append(p)
    return members


def merge(tokens: np.ndarray, centres: list[int], sign: int = -1) -> np.ndarray:
    """Merged tokens for given centres; ``sign`` is -1 for reverse attention."""
    merged = []
    for c, members in assign(tokens, centres).items():
        logits = np.array([sign * (tokens[c] @ tokens[j]) / math.sqrt(tokens.shape[1]) for j in members])
        weights = np.exp(logits - logits.max())
        merged.append((weights / weights.sum()) @ tokens[members])
    return np.array(merged)


def count_kept(num_tokens: int, keep_ratio: float) -> int:
    return max(1, math.floor(keep_ratio * num_tokens))


def cut_is_clear(lrd: np.ndarray, kept: int) -> bool:
    """Whether the densities on both sides of the cut differ by more than 1e-4 of themselves."""
    ranked = np.sort(lrd)[::-1]
    return kept == len(lrd) or ranked[kept - 1] > ranked[kept] * (1 + 1e-4)


def make_tokens(kind: str, rng: np.random.Generator, num_tokens: int, channels: int) -> np.ndarray:
    """Float32 tokens (L, C) of a kind."""
    noise = rng.normal(size=(num_tokens, channels))
    few = -(-num_tokens // 5)
    group = rng.integers(0, few, num_tokens)
    if kind == 'clustered':
        spread = np.array([0.05, 0.3, 1.0, 2.0])[group % 4]
        noise = 3 * rng.normal(size=(few, channels))[group] + spread[:, None] * noise
    elif kind == 'tight':
        noise = 3 * rng.normal(size=(3, channels))[group % 3] + 10.0 ** -rng.integers(3, 7) * noise
    elif kind == 'far':
        noise = noise + 10.0 ** rng.integers(1, 6)
    elif kind == 'copies':
        noise = noise[group]
    elif kind == 'lattice':
        noise = rng.integers(-1, 2, noise.shape)
    elif kind == 'orthogonal':
        noise = np.eye(max(noise.shape))[:num_tokens, :channels]
    elif kind == 'nested':  # what one product cannot tell apart, at two scales
        noise = 1000 * rng.normal(size=(3, channels))[group % 3] + 1e-3 * rng.normal(size=(few, channels))[group]
    elif kind == 'huge or tiny':
        noise = noise * 10.0 ** rng.integers(-18, 19)
    return noise.astype(np.float32)


def clustered(seed: int, num_tokens: int, channels: int) -> np.ndarray:
    """Tight and loose groups with outliers, as static background and moving things give, float32."""
    return make_tokens('clustered', np.random.default_rng(seed), num_tokens, channels)
