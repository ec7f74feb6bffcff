"""Losses of frames (is the object there, and which word was it) and the choice among masks, against slow oracles."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavida_mm.models.losses import (
    CategoryLoss,
    ObjectScoreLoss,
    best_of_masks,
    category_loss,
    object_score_loss,
)
from lavida_mm.registry import MODELS
from tests.test_models.test_losses import oracles

SAME = dict(atol=1e-6, rtol=1e-6)


@st.composite
def frames(draw):
    """Logits (F,) and whether each frame holds the object: none, all or some do, or softly."""
    number = draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    logits = torch.tensor(rng.normal(0, draw(st.sampled_from([1.0, 5.0])), number), dtype=dtype)
    share = draw(st.sampled_from([0.0, 0.5, 1.0]))
    hard = (rng.random(number) < share).astype(float)
    targets = rng.random(number).astype(np.float32) if draw(st.booleans()) else hard
    return logits.requires_grad_(), torch.tensor(targets, dtype=dtype)


@settings(max_examples=60, deadline=None)
@given(frames())
def test_object_entropy_equals_the_oracle_and_mmdet(case):
    losses = pytest.importorskip('mmdet.models.losses.cross_entropy_loss')
    logits, targets = case
    theirs = logits.detach().clone().requires_grad_()
    expected = losses.binary_cross_entropy(theirs, targets, reduction='none')
    expected.sum().backward()
    found = object_score_loss(logits, targets)
    oracles.assert_equal(found, logits, oracles.entropy, targets)
    torch.testing.assert_close(found, expected.to(found), **SAME)
    torch.testing.assert_close(logits.grad, theirs.grad, **SAME)


@settings(max_examples=60, deadline=None)
@given(frames(), st.sampled_from([0.0, 1.0, 2.0]), st.sampled_from([None, 0.25, 0.75]))
def test_object_focal_equals_the_oracle_and_mmdet(case, gamma, alpha):
    losses = pytest.importorskip('mmdet.models.losses.focal_loss')
    logits, targets = case
    scale = 2 if alpha is None else 1  # without alpha both classes weigh 1: twice the one half
    theirs = logits.detach()[:, None].clone().requires_grad_()
    weight = 0.5 if alpha is None else alpha
    expected = losses.py_sigmoid_focal_loss(theirs, targets[:, None], gamma=gamma, alpha=weight, reduction='none')[:, 0]
    (scale * expected).sum().backward()
    found = object_score_loss(logits, targets, gamma=gamma, alpha=alpha)
    oracles.assert_equal(found, logits, lambda x, t: scale * oracles.focal(x, t, weight, gamma), targets)
    torch.testing.assert_close(found, (scale * expected).to(found), **SAME)
    torch.testing.assert_close(logits.grad, theirs.grad[:, 0], **SAME)


@st.composite
def words(draw):
    """Logits (F, n), true words and named words (F, n): none, one, several or all true, and rows that are filled up."""
    shape = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    logits = torch.tensor(rng.normal(0, draw(st.sampled_from([1.0, 5.0])), shape), dtype=dtype)
    lengths = rng.integers(1, shape[1] + 1, shape[0])
    named = torch.tensor(np.arange(shape[1]) < lengths[:, None])
    true = torch.tensor(rng.random(shape) < draw(st.sampled_from([0.0, 0.3, 1.0])))
    return logits.requires_grad_(), true, named


@settings(max_examples=60, deadline=None)
@given(words())
def test_category_loss_equals_the_oracle(case):
    logits, true, named = case
    found = category_loss(logits, true, named)
    oracles.assert_equal(found, logits, oracles.category, true, named)
    silent = ~(true & named).any(dim=1)
    assert not found[silent].any() and not logits.grad[silent].any()
    assert not logits.grad[~named].any()


@settings(max_examples=30, deadline=None)
@given(words(), st.integers(0, 5))
def test_category_loss_of_one_true_word_is_mmdets_cross_entropy(case, place):
    losses = pytest.importorskip('mmdet.models.losses.cross_entropy_loss')
    logits = case[0]
    place %= logits.shape[1]
    named = torch.ones(logits.shape, dtype=torch.bool)
    true = torch.zeros_like(named)
    true[:, place] = True
    found = category_loss(logits, true, named)
    expected = losses.cross_entropy(logits, torch.full(logits.shape[:1], place), reduction='none')
    torch.testing.assert_close(found, expected.to(found), **SAME)
    own, theirs = (torch.autograd.grad(loss.sum(), logits)[0] for loss in (found, expected))
    torch.testing.assert_close(own, theirs, **SAME)


def test_bf16_is_computed_in_float32():
    logits = (torch.randn(6, 4) * 3).bfloat16()
    named = torch.ones(6, 4, dtype=torch.bool)
    true = torch.eye(6, 4) > 0
    found = category_loss(logits, true, named), object_score_loss(logits, true), object_score_loss(logits, true, 2.0)
    exact = logits.float()
    expected = category_loss(exact, true, named), object_score_loss(exact, true), object_score_loss(exact, true, 2.0)
    for own, wanted in zip(found, expected, strict=True):
        assert own.dtype == torch.float32
        assert torch.equal(own, wanted)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_the_best_mask_is_the_cheapest(num_frames, num_masks, seed):
    rng = np.random.default_rng(seed)
    cost = rng.integers(0, 3, (num_frames, num_masks)).astype(float)  # ties occur
    losses = [torch.tensor(rng.normal(size=cost.shape), requires_grad=True) for _ in range(2)]
    tensor = torch.tensor(cost, requires_grad=True)
    found = best_of_masks(tensor, *losses)
    sum(loss.sum() for loss in found).backward()
    assert tensor.grad is None
    for loss, chosen in zip(losses, found, strict=True):
        learns = np.zeros_like(cost)
        for frame, row in enumerate(cost):
            first = min(range(num_masks), key=lambda mask: (row[mask], mask))
            learns[frame, first] = 1
            assert chosen[frame] == loss[frame, first]
        np.testing.assert_array_equal(loss.grad.numpy(), learns)


def test_a_mask_whose_cost_is_nan_is_not_passed_over():
    cost = torch.tensor([[0.1, torch.nan]])
    (chosen,) = best_of_masks(cost, cost)
    assert chosen.isnan().all()


def test_the_shells_weigh_and_default_to_the_paper():
    scores, present = torch.randn(6), torch.tensor([0, 1, 0, 1, 1, 0])
    expected = -2 * torch.where(present == 1, scores.sigmoid().log(), (-scores).sigmoid().log())
    torch.testing.assert_close(ObjectScoreLoss()(scores, present), expected)
    focal = ObjectScoreLoss(gamma=2.0, alpha=0.25, loss_weight=5.0)
    torch.testing.assert_close(focal(scores, present), 5 * object_score_loss(scores, present, 2.0, 0.25))
    logits, true, named = torch.randn(2, 3), torch.eye(2, 3) > 0, torch.ones(2, 3) > 0
    torch.testing.assert_close(CategoryLoss()(logits, true, named), category_loss(logits, true, named))
    torch.testing.assert_close(
        CategoryLoss(loss_weight=0.5)(logits, true, named), category_loss(logits, true, named) / 2
    )


@pytest.mark.parametrize(
    ('change', 'rule'),
    [(dict(gamma=0.5), 'gamma must be 0 or at least 1'), (dict(alpha=0.0), r'alpha must be in \(0, 1\), got 0')],
)
def test_values_out_of_range_are_refused(change, rule):
    with pytest.raises(ValueError, match=rule):
        MODELS.build(dict(type='ObjectScoreLoss', **change))
