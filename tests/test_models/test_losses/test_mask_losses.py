"""The losses against slow NumPy oracles and torchvision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import sigmoid_focal_loss

from lavida_mm.models.losses import DiceLoss, FocalLoss, MaskIoULoss, ObjectScoreLoss, dice_loss, focal_loss, mask_iou
from lavida_mm.registry import MODELS


def _focal_oracle(logits, targets, alpha=0.25, gamma=2.0):
    total = 0.0
    for x, t in zip(logits.ravel(), targets.ravel(), strict=True):
        p = 1 / (1 + np.exp(-x))
        right = p * t + (1 - p) * (1 - t)
        entropy = -(t * np.log(p) + (1 - t) * np.log1p(-p))
        total += (alpha * t + (1 - alpha) * (1 - t)) * (1 - right) ** gamma * entropy
    return total / logits.size


def _dice_oracle(logits, targets, smooth=1.0):
    p = 1 / (1 + np.exp(-logits))
    return 1 - (2 * (p * targets).sum() + smooth) / (p.sum() + targets.sum() + smooth)


def _iou_oracle(logits, targets):
    mask, truth = logits > 0, targets > 0.5
    union = sum(a or b for a, b in zip(mask.ravel(), truth.ravel(), strict=True))
    both = sum(a and b for a, b in zip(mask.ravel(), truth.ravel(), strict=True))
    return both / union if union else 1.0


def _numeric_gradient(function, logits, targets, step=1e-5):
    gradient = np.zeros_like(logits)
    for place in np.ndindex(logits.shape):
        up, down = logits.copy(), logits.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (function(up, targets) - function(down, targets)) / (2 * step)
    return gradient


@st.composite
def _masks(draw):
    """Logits (3, H, W) and a target (H, W) that may be empty, full, mixed or soft."""
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.normal(0, draw(st.sampled_from([0.1, 1.0, 4.0])), (3, height, width))
    kind = draw(st.sampled_from(['empty', 'full', 'mixed', 'soft']))
    targets = {
        'empty': np.zeros((height, width)),
        'full': np.ones((height, width)),
        'mixed': (rng.random((height, width)) < 0.3).astype(float),
        'soft': rng.random((height, width)),
    }[kind]
    return logits, targets


@settings(max_examples=40, deadline=None)
@given(_masks())
def test_values_and_gradients_equal_the_oracles(case):
    logits, targets = case
    for function, oracle in ((focal_loss, _focal_oracle), (dice_loss, _dice_oracle)):
        x = torch.tensor(logits, dtype=torch.float32, requires_grad=True)
        values = function(x, torch.tensor(targets, dtype=torch.float32))
        values.sum().backward()
        assert values.shape == (3,)
        for index in range(3):
            assert values[index].item() == pytest.approx(oracle(logits[index], targets), abs=2e-6, rel=1e-5)
            expected = _numeric_gradient(oracle, logits[index], targets)
            np.testing.assert_allclose(x.grad[index].numpy(), expected, atol=2e-6, rtol=1e-4)
    found = mask_iou(torch.tensor(logits), torch.tensor(targets))
    assert found.tolist() == pytest.approx([_iou_oracle(mask, targets) for mask in logits])


def test_focal_equals_torchvision_per_mask():
    logits, targets = torch.randn(5, 3, 7, 9), torch.rand(5, 1, 7, 9).round()
    found = focal_loss(logits, targets, alpha=0.4, gamma=1.5)
    for frame in range(5):
        for mask in range(3):
            expected = sigmoid_focal_loss(logits[frame, mask], targets[frame, 0], alpha=0.4, gamma=1.5)
            torch.testing.assert_close(found[frame, mask], expected.mean())


@pytest.mark.parametrize('function', [focal_loss, dice_loss])
def test_bf16_is_computed_in_float32(function):
    logits = (torch.randn(2, 64, 64) * 3).bfloat16().requires_grad_()
    targets = torch.rand(2, 64, 64) > 0.9
    values = function(logits, targets)
    values.sum().backward()
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, function(logits.detach().float(), targets.float()), rtol=1e-6, atol=0)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize('loss', [FocalLoss(), DiceLoss()])
def test_extreme_logits_stay_finite(loss):
    logits = torch.tensor([[[-1024.0, 1024.0], [88.0, -88.0]]], requires_grad=True)
    for target in (torch.zeros(1, 2, 2), torch.ones(1, 2, 2)):
        value = loss(logits, target).sum()
        (gradient,) = torch.autograd.grad(value, logits)
        assert torch.isfinite(value) and torch.isfinite(gradient).all()


def test_the_shells_weigh_and_default_to_the_paper():
    logits, targets = torch.randn(4, 8, 8), torch.rand(4, 8, 8).round()
    torch.testing.assert_close(FocalLoss()(logits, targets), 20 * focal_loss(logits, targets))
    torch.testing.assert_close(DiceLoss()(logits, targets), 2 * dice_loss(logits, targets))
    predicted = torch.rand(4)
    expected = 3 * (predicted - mask_iou(logits, targets)).abs()
    torch.testing.assert_close(MaskIoULoss(loss_weight=3.0)(predicted, logits, targets), expected)
    scores, present = torch.randn(6), torch.tensor([0, 1, 0, 1, 1, 0])
    expected = -2 * torch.where(present == 1, scores.sigmoid().log(), (-scores).sigmoid().log())
    torch.testing.assert_close(ObjectScoreLoss()(scores, present), expected)


def test_iou_loss_moves_the_prediction_only():
    predicted = torch.tensor([0.2], requires_grad=True)
    logits = torch.randn(1, 4, 4, requires_grad=True)
    MaskIoULoss()(predicted, logits, torch.ones(1, 4, 4)).sum().backward()
    assert predicted.grad.item() == -1.0
    assert logits.grad is None


@pytest.mark.parametrize(
    ('config', 'rule'),
    [
        (dict(type='FocalLoss', alpha=1.0), 'alpha must be in'),
        (dict(type='FocalLoss', gamma=-1.0), 'gamma must be at least 0'),
        (dict(type='DiceLoss', smooth=0.0), 'smooth must be above 0'),
    ],
)
def test_values_out_of_range_are_refused(config, rule):
    with pytest.raises(ValueError, match=rule):
        MODELS.build(config)


def test_an_unknown_key_is_refused():
    with pytest.raises(TypeError, match='weight'):
        MODELS.build(dict(type='FocalLoss', weight=1.0))
