"""The losses once more, from their equations, one value at a time in float64; and inputs to hold them against."""

import numpy as np
import torch
from hypothesis import strategies as st

STEP = 1e-30  # imaginary: f(x + ih) has the derivative of f as its imaginary part over h, to the last digit


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def focal(x, t, alpha=0.25, gamma=2.0):
    """Mean over the pixels of one mask."""
    p = sigmoid(x)
    right = p * t + (1 - p) * (1 - t)
    entropy = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    return np.mean((alpha * t + (1 - alpha) * (1 - t)) * (1 - right) ** gamma * entropy)


def dice(x, t, smooth=1.0):
    """One minus the Dice coefficient of one mask."""
    p = sigmoid(x)
    return 1 - (2 * np.sum(p * t) + smooth) / (np.sum(p) + np.sum(t) + smooth)


def iou(x, t):
    """Intersection over union of one mask with its target."""
    pairs = [(a > 0, b > 0.5) for a, b in zip(x.ravel(), t.ravel(), strict=True)]
    union = sum(a or b for a, b in pairs)
    return sum(a and b for a, b in pairs) / union if union else 1.0


def entropy(x, t):
    """Binary cross entropy of one logit."""
    return -(t * np.log(sigmoid(x)) + (1 - t) * np.log(sigmoid(-x)))


def category(x, true, named):
    """Minus the logarithm of the share of the true words in one frame's softmax."""
    if not (true & named).any():
        return 0 * np.sum(x)
    powers = np.exp(x[named])
    return -np.log(np.sum(np.exp(x[true & named])) / np.sum(powers))


def gradient(function, x, *others):
    """Derivative of a function of one array by each of its entries."""
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        moved = np.array(x, dtype=np.complex128)
        moved[place] += 1j * STEP
        found[place] = np.imag(function(moved, *others)) / STEP
    return found


def assert_equal(values, inputs, function, *others):
    """Values (F,) and gradients (F, ...) of a loss of ``inputs`` (F, ...) are those of the oracle, to 1e-6."""
    values.sum().backward()
    for index, x in enumerate(inputs.detach().double().numpy()):
        own = [np.asarray(other)[index] for other in others]
        np.testing.assert_allclose(values[index].item(), function(x, *own), atol=1e-6, rtol=1e-6)
        np.testing.assert_allclose(inputs.grad[index].numpy(), gradient(function, x, *own), atol=1e-6, rtol=1e-6)


@st.composite
def masks(draw):
    """Logits (F, H, W), float32 or float64, and targets: empty, full, hard or soft; one frame or more."""
    shape = tuple(draw(st.integers(1, top)) for top in (3, 5, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    logits = torch.tensor(rng.normal(0, draw(st.sampled_from([0.1, 1.0, 4.0])), shape), dtype=dtype)
    makers = {
        'empty': np.zeros_like,
        'full': np.ones_like,
        'hard': lambda x: (rng.random(x.shape) < 0.3).astype(float),
        'soft': lambda x: rng.random(x.shape).astype(np.float32).astype(float),
    }
    kinds = draw(st.lists(st.sampled_from(sorted(makers)), min_size=shape[0], max_size=shape[0]))
    targets = np.stack([makers[kind](np.zeros(shape[1:])) for kind in kinds])
    return logits.requires_grad_(), torch.tensor(targets, dtype=dtype)
