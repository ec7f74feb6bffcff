"""The losses of masks against slow oracles, torchvision and mmdet."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import sigmoid_focal_loss

from lavida_mm.models.losses import DiceLoss, FocalLoss, MaskIoULoss, dice_loss, focal_loss, mask_iou
from lavida_mm.registry import MODELS
from tests.test_models.test_losses import oracles

SAME = dict(atol=1e-6, rtol=1e-6)


def assert_same(found, found_inputs, expected, expected_inputs):
    """Values and gradients agree."""
    torch.testing.assert_close(found, expected, **SAME)
    (own,) = torch.autograd.grad(found.sum(), found_inputs)
    (theirs,) = torch.autograd.grad(expected.sum(), expected_inputs)
    torch.testing.assert_close(own, theirs, **SAME)


@settings(max_examples=60, deadline=None)
@given(oracles.masks(), st.sampled_from([0.0, 1.0, 1.5, 2.0]), st.sampled_from([0.25, 0.5, 0.9]))
def test_focal_equals_the_oracle(case, gamma, alpha):
    logits, targets = case
    found = focal_loss(logits, targets, alpha=alpha, gamma=gamma)
    oracles.assert_equal(found, logits, lambda x, t: oracles.focal(x, t, alpha, gamma), targets)


@settings(max_examples=60, deadline=None)
@given(oracles.masks(), st.sampled_from([1e-3, 1.0]))
def test_dice_equals_the_oracle(case, smooth):
    logits, targets = case
    found = dice_loss(logits, targets, smooth)
    oracles.assert_equal(found, logits, lambda x, t: oracles.dice(x, t, smooth), targets)


@settings(max_examples=60, deadline=None)
@given(oracles.masks(), st.data())
def test_iou_loss_equals_the_oracle(case, data):
    logits, targets = case
    wanted = [oracles.iou(*pair) for pair in zip(logits.detach().numpy(), targets.numpy(), strict=True)]
    assert mask_iou(logits, targets).tolist() == pytest.approx(wanted)
    guesses = data.draw(st.lists(st.floats(-0.5, 1.5, width=32), min_size=len(wanted), max_size=len(wanted)))
    predicted = torch.tensor(guesses, requires_grad=True)
    found = MaskIoULoss()(predicted, logits, targets)
    found.sum().backward()
    np.testing.assert_allclose(found.tolist(), np.abs(np.subtract(guesses, wanted)), **SAME)
    far = np.abs(np.subtract(guesses, wanted)) > 1e-6  # at 0 the slope is a matter of taste
    assert predicted.grad.numpy()[far] == pytest.approx(np.sign(np.subtract(guesses, wanted))[far])
    assert logits.grad is None


@settings(max_examples=40, deadline=None)
@given(oracles.masks(), st.sampled_from([0.0, 1.5, 2.0]), st.sampled_from([0.25, 0.9]))
def test_focal_equals_torchvision_and_mmdet(case, gamma, alpha):
    """The mean over each mask's pixels of what they give per pixel."""
    losses = pytest.importorskip('mmdet.models.losses.focal_loss')
    logits, targets = case
    found = focal_loss(logits, targets, alpha=alpha, gamma=gamma)
    expected = sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma, reduction='none').mean(dim=(1, 2))
    assert_same(found, logits, expected, logits)
    flat = logits.detach().flatten(1).requires_grad_()
    expected = losses.py_sigmoid_focal_loss(flat, targets.flatten(1), gamma=gamma, alpha=alpha, reduction='none')
    assert_same(focal_loss(flat[:, None], targets.flatten(1)[:, None], alpha, gamma), flat, expected.mean(dim=1), flat)


@settings(max_examples=40, deadline=None)
@given(oracles.masks(), st.sampled_from([1e-3, 1.0]))
def test_dice_equals_mmdet(case, smooth):
    """Its naive form, of probabilities, with eps in the part of smooth."""
    losses = pytest.importorskip('mmdet.models.losses.dice_loss')
    logits, targets = case
    found = dice_loss(logits, targets, smooth)
    expected = losses.dice_loss(logits.sigmoid(), targets, eps=smooth, naive_dice=True, reduction='none')
    assert_same(found, logits, expected.to(found), logits)


def test_masks_of_one_frame_share_its_target():
    logits, targets = torch.randn(5, 3, 7, 9), torch.rand(5, 1, 7, 9).round()
    for function in (focal_loss, dice_loss, mask_iou):
        found = function(logits, targets)
        assert found.shape == (5, 3)
        for mask in range(3):
            torch.testing.assert_close(found[:, mask], function(logits[:, mask], targets[:, 0]))


@pytest.mark.parametrize('function', [focal_loss, dice_loss])
def test_bf16_is_computed_in_float32(function):
    logits = (torch.randn(2, 64, 64) * 3).bfloat16().requires_grad_()
    targets = torch.rand(2, 64, 64) > 0.9
    values = function(logits, targets)
    values.sum().backward()
    assert values.dtype == torch.float32
    plain = logits.detach().float().requires_grad_()
    expected = function(plain, targets.float())
    expected.sum().backward()
    torch.testing.assert_close(values, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(logits.grad, plain.grad.bfloat16())


@pytest.mark.parametrize('loss', [FocalLoss(), FocalLoss(gamma=1.0), FocalLoss(gamma=0.0), DiceLoss()])
def test_extreme_logits_stay_finite(loss):
    logits = torch.tensor([[[-1024.0, 1024.0], [88.0, -88.0]]], requires_grad=True)
    for target in (torch.zeros(1, 2, 2), torch.ones(1, 2, 2)):
        value = loss(logits, target).sum()
        (gradient,) = torch.autograd.grad(value, logits)
        assert torch.isfinite(value) and torch.isfinite(gradient).all()


def test_two_empty_masks_agree():
    logits, targets = torch.full((1, 4, 4), -30.0), torch.zeros(1, 4, 4)
    assert dice_loss(logits, targets).item() == pytest.approx(0, abs=1e-6)
    assert focal_loss(logits, targets).item() == pytest.approx(0, abs=1e-6)
    assert mask_iou(logits, targets).item() == 1


def test_the_shells_weigh_and_default_to_the_paper():
    logits, targets = torch.randn(4, 8, 8), torch.rand(4, 8, 8).round()
    torch.testing.assert_close(FocalLoss()(logits, targets), 20 * focal_loss(logits, targets))
    torch.testing.assert_close(DiceLoss()(logits, targets), 2 * dice_loss(logits, targets))
    predicted = torch.rand(4)
    expected = 3 * (predicted - mask_iou(logits, targets)).abs()
    torch.testing.assert_close(MaskIoULoss(loss_weight=3.0)(predicted, logits, targets), expected)


@pytest.mark.parametrize(
    ('config', 'rule'),
    [
        (dict(type='FocalLoss', alpha=1.0), 'alpha must be in'),
        (dict(type='FocalLoss', gamma=-1.0), 'gamma must be 0 or at least 1, got -1'),
        (dict(type='FocalLoss', gamma=0.5), 'gamma must be 0 or at least 1, got 0.5'),
        (dict(type='DiceLoss', smooth=0.0), 'smooth must be a finite number above 0, got 0.0'),
        (dict(type='DiceLoss', smooth=float('nan')), 'smooth must be a finite number above 0, got nan'),
        (dict(type='DiceLoss', loss_weight='two'), "loss_weight must be a finite number of at least 0, got 'two'"),
        (dict(type='FocalLoss', loss_weight=-1), 'loss_weight must be a finite number of at least 0, got -1'),
        (dict(type='MaskIoULoss', loss_weight=float('inf')), 'loss_weight must be a finite number .* got inf'),
        (dict(type='CategoryLoss', loss_weight=True), 'loss_weight must be a finite number .* got True'),
        (dict(type='ObjectScoreLoss', loss_weight=None), 'loss_weight must be a finite number .* got None'),
    ],
)
def test_values_out_of_range_are_refused(config, rule):
    with pytest.raises(ValueError, match=rule):
        MODELS.build(config)


def test_an_unknown_key_is_refused():
    with pytest.raises(TypeError, match='weight'):
        MODELS.build(dict(type='FocalLoss', weight=1.0))
