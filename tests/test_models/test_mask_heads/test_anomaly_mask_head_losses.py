"""What the mask head's losses are divided by, alone and in several processes; the words' loss; bad ground truth."""

import socket
import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn

from lavida_mm.engine.launch import leave_distributed
from lavida_mm.models.mask_heads import FrameFeatures
from lavida_mm.models.projectors import ProjectorOutput
from lavida_mm.registry import MODELS
from tests.test_models.test_mask_heads.test_anomaly_mask_head import (
    DIM,
    LOSSES,
    SIDE,
    _batch,
    _head,
    _projected,
    _sample,
)

MASK_LOSSES = LOSSES - {'loss_object'}
CATEGORY = dict(type='CategoryLoss', loss_weight=3.0)


def losses_of(head, samples, projected=None):
    torch.manual_seed(1)
    clips, _ = _batch(*samples)
    frames = sum(map(len, clips))
    return head.loss(head.encode(clips), projected or _projected(frames), samples)


# What sums are divided by


def test_by_positives_is_by_frames_times_their_ratio():
    samples = [_sample([1, 0, 1, 0]), _sample([0, 0, 0]), _sample([1])]
    by_frames, by_positives = (
        losses_of(_head(loss_norm=norm, loss_category=CATEGORY).eval(), samples) for norm in ('frames', 'positives')
    )
    for name in MASK_LOSSES | {'loss_category'}:
        torch.testing.assert_close(by_positives[name], by_frames[name] * 8 / 3)
        assert by_frames[name] > 0
    torch.testing.assert_close(by_positives['loss_object'], by_frames['loss_object'])


@pytest.mark.parametrize('norm', ['frames', 'positives'])
def test_without_any_object_the_losses_are_finite_and_the_graph_is_whole(norm):
    head = _head(loss_norm=norm, loss_category=CATEGORY)
    projected = _projected(3)
    losses = losses_of(head, [_sample([0, 0]), _sample([0])], projected)
    for name in MASK_LOSSES | {'loss_category'}:
        assert losses[name].item() == 0
    assert losses['loss_object'] > 0
    sum(losses.values()).backward()
    assert [name for name, p in head.named_parameters() if p.requires_grad and p.grad is None] == []
    assert not projected.categories.grad.any()


@pytest.mark.parametrize('labels', [[1], [0]])
def test_one_frame_is_a_batch(labels):
    losses = losses_of(_head(loss_norm='positives').eval(), [_sample(labels)])
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert (losses['loss_focal'] > 0) == bool(labels[0])


def test_an_all_object_target_can_be_reached():
    sample = _sample([1, 1])
    sample.gt_masks[:] = True
    losses = losses_of(_head(loss_size=SIDE).eval(), [sample])
    assert all(torch.isfinite(loss) and loss > 0 for loss in losses.values())


class _Step(nn.Module):
    """One training step's total loss, for DistributedDataParallel."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, clips, projected, samples):
        return sum(self.head.loss(self.head.encode(clips), projected, samples).values())


def _train_part(rank, world_size, port, folder, labels, norm):
    """Gradients of this process's share of the samples, averaged over all processes, and its loss."""
    warnings.filterwarnings('ignore', 'Grad strides do not match')  # of the convolutions' weights: slower, no fault
    torch.manual_seed(5)
    clips, samples = _batch(*map(_sample, labels))
    shares = [range(len(labels))] if world_size == 1 else [range(1), range(1, len(labels))]
    frame = torch.cat([torch.full((len(clip),), index) for index, clip in enumerate(clips)])
    whole = _projected(len(frame))
    whole.answers = torch.randn(len(frame), 2, generator=torch.Generator().manual_seed(4))
    own = torch.isin(frame, torch.tensor(shares[rank]))
    part = ProjectorOutput(**{name: values.detach()[own] for name, values in vars(whole).items()})
    step = _Step(_head(loss_norm=norm, loss_category=CATEGORY, similarity_skip=True, answer_skip=True).eval())
    model = step
    if world_size > 1:
        address = f'tcp://127.0.0.1:{port}'
        torch.distributed.init_process_group('gloo', init_method=address, rank=rank, world_size=world_size)
        model = nn.parallel.DistributedDataParallel(step)  # every trained parameter has a gradient, or this fails
    loss = model([clips[index] for index in shares[rank]], part, [samples[index] for index in shares[rank]])
    loss.backward()
    gradients = {name: p.grad for name, p in step.named_parameters() if p.requires_grad}
    torch.save((loss.detach(), gradients), f'{folder}/{world_size}_{rank}.pth')
    leave_distributed()  # what DistributedDataParallel holds of the group may wait for ever when it is taken apart


def train(world_size, folder, *args):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(
        _train_part, (world_size, port, folder, *args), nprocs=world_size, start_method='fork'
    )
    return [torch.load(folder / f'{world_size}_{rank}.pth') for rank in range(world_size)]


@pytest.mark.parametrize('norm', ['frames', 'positives'])
@pytest.mark.parametrize(
    'labels',
    [
        [[1, 1, 0, 1], [1], [0, 0]],  # 3 positives in 4 frames here, 1 in 3 there
        [[0, 0, 0], [1], [0]],
        [[0, 0], [0]],
    ],
    ids=['3 and 1', '0 and 1', '0 and 0'],
)
def test_two_processes_have_the_gradients_of_one(labels, norm, tmp_path):
    ((expected_loss, expected),) = train(1, tmp_path, labels, norm)
    (first_loss, first), (second_loss, second) = train(2, tmp_path, labels, norm)
    assert any(gradient.abs().max() > 1e-3 for gradient in expected.values())
    torch.testing.assert_close((first_loss + second_loss) / 2, expected_loss)
    for name, gradient in expected.items():
        torch.testing.assert_close(first[name], gradient, atol=2e-6, rtol=1e-4, msg=lambda text, name=name: name + text)
        assert torch.equal(first[name], second[name])


# Which of the named words was it


def test_category_loss_is_the_entropy_of_the_true_word_where_the_object_is():
    head = _head(loss_category=CATEGORY).eval()
    samples = [_sample([1, 0], target=1), _sample([0]), _sample([1], words=('a', 'b', 'c'), target=2)]
    projected = _projected(4, words=3)
    losses = losses_of(head, samples, projected)
    assert set(losses) == LOSSES | {'loss_category'}
    expected = 0.0
    for frame, true, number in ((0, 1, 2), (3, 2, 3)):
        prompt, words = projected.sparse[frame, 0], projected.categories[frame, :number]
        cosines = torch.stack([nn.functional.cosine_similarity(prompt, word, dim=0) for word in words])
        expected -= 3 * (10 * cosines).softmax(dim=0)[true].log() / 4
    torch.testing.assert_close(losses['loss_category'], expected)
    losses['loss_category'].backward()
    assert projected.categories.grad[0].any() and projected.sparse.grad[3].any()
    assert not projected.categories.grad[1:3].any() and not projected.categories.grad[0, 2].any()
    assert projected.similarity.grad is None  # the cosine is what it trains


def test_any_of_several_true_words_will_do():
    sample = _sample([1], words=('a', 'b', 'c'))
    sample.gt_category_labels = torch.tensor([1, 0, 1])
    projected = _projected(1, words=3)
    losses = {}
    for word in range(3):
        categories = torch.zeros(1, 3, DIM)
        categories[0, word] = 100 * projected.sparse[0, 0].detach()
        own = replace(projected, categories=categories)
        losses[word] = losses_of(_head(loss_category=CATEGORY).eval(), [sample], own)['loss_category']
    assert max(losses[0], losses[2]) < losses[1] / 10


@pytest.mark.parametrize('loss_category', [None, CATEGORY])
@pytest.mark.parametrize(
    ('wanted', 'without', 'found'),
    [
        ('auto', None, 'similarity'),
        ('auto', 'similarity', 'cosine'),
        ('auto', 'categories', 'similarity'),
        ('cosine', None, 'cosine'),
        ('similarity', None, 'similarity'),
    ],
)
def test_a_words_score_is_what_the_config_says(wanted, without, found, loss_category):
    clips, samples = _batch(_sample([1, 0]))
    whole = _projected(2)
    projected = whole if without is None else replace(whole, **{without: None})
    head = _head(loss_category=loss_category, category_scores=wanted).eval()
    (predicted,) = head.predict(head.encode(clips), projected, samples)
    cosine = 10 * nn.functional.cosine_similarity(whole.sparse, whole.categories, dim=2)
    expected = cosine if found == 'cosine' else whole.similarity.flatten(2).amax(dim=2)
    torch.testing.assert_close(predicted.pred_category_scores, expected.sigmoid().detach())


@pytest.mark.parametrize(
    ('wanted', 'missing', 'name'),
    [('cosine', 'categories', 'category text'), ('similarity', 'similarity', '`similarity`')],
)
def test_a_score_that_the_projector_cannot_give_is_refused(wanted, missing, name):
    clips, samples = _batch(_sample([1]))
    head = _head(category_scores=wanted).eval()
    rule = f"category_scores='{wanted}' needs a projector with {name}, got one without"
    with pytest.raises(ValueError, match=rule):
        head.predict(head.encode(clips), replace(_projected(1), **{missing: None}), samples)


def test_category_scores_is_checked():
    with pytest.raises(ValueError, match=r"category_scores must be one of .* got 'sum'"):
        _head(category_scores='sum')


def test_without_the_words_embeddings_their_similarity_is_trained():
    projected = _projected(1)
    projected.categories = None
    losses = losses_of(_head(loss_category=CATEGORY).eval(), [_sample([1])], projected)
    losses['loss_category'].backward()
    assert projected.similarity.grad.any()


def test_switched_off_the_words_loss_changes_nothing():
    samples = [_sample([1, 0])]
    off, on = losses_of(_head().eval(), samples), losses_of(_head(loss_category=CATEGORY).eval(), samples)
    assert set(off) == LOSSES
    for name in LOSSES:
        assert torch.equal(off[name], on[name])
    assert set(_head().state_dict()) == set(_head(loss_category=CATEGORY).state_dict())


def test_category_loss_teaches_the_word():
    """A projector learns to tell two words apart, each by its text alone."""
    torch.manual_seed(0)
    head = _head(loss_category=CATEGORY, category_scores='cosine')
    projector = MODELS.build(
        dict(
            type='MultiScaleSemanticProjector', seg_channels=8, text_channels=8, visual_channels=DIM, hidden=16,
            num_queries=2, depth=1, num_heads=2, mlp_channels=16, cross_heads=2,
        )
    )  # fmt: skip
    samples = [_sample([1], target=0), _sample([1], target=1)]
    clips, _ = _batch(*samples)
    seg, text = torch.randn(2, 8), torch.randn(1, 2, 8).expand(2, -1, -1)
    mask, clip_index = torch.ones(2, 2, dtype=torch.bool), torch.tensor([0, 1])
    optimizer = torch.optim.Adam(projector.parameters(), lr=1e-2)
    with torch.no_grad():
        features = head.eval().encode(clips)
    for _ in range(30):
        projected = projector(seg, text, mask, features.deep, head.position_encoding(), clip_index)
        optimizer.zero_grad()
        head.loss(features, projected, samples)['loss_category'].backward()
        optimizer.step()
    projected = projector(seg, text, mask, features.deep, head.position_encoding(), clip_index)
    found = [sample.pred_category_scores[0].argmax().item() for sample in head.predict(features, projected, samples)]
    assert found == [0, 1]


# Bad input


def test_loss_norm_is_checked():
    with pytest.raises(ValueError, match=r"loss_norm must be one of \('frames', 'positives'\), got 'pixels'"):
        _head(loss_norm='pixels')


def test_empty_masks_of_frames_that_are_called_anomalous_are_refused():
    sample = _sample([0, 1, 1])
    sample.gt_masks[:] = False
    rule = r'sample v: gt_masks must show the object .* gt_frame_labels calls anomalous \(\[1, 2\]\), .* all empty'
    with pytest.raises(ValueError, match=rule):
        losses_of(_head().eval(), [_sample([1]), sample])


def test_a_frame_whose_object_is_hidden_counts_as_a_frame_without_mask():
    """Labels may call a stretch anomalous in which the object is out of sight now and then."""
    hidden, seen = _sample([1, 1]), _sample([1, 0])
    hidden.gt_masks[1] = False
    found, expected = (losses_of(_head().eval(), [sample]) for sample in (hidden, seen))
    for name in MASK_LOSSES:
        torch.testing.assert_close(found[name], expected[name])


def test_masks_of_another_resolution_are_refused():
    sample = _sample([1], shape=(16, SIDE))
    sample.set_metainfo({'img_shape': (SIDE, SIDE)})
    with pytest.raises(ValueError, match=r'sample v: gt_masks must have .* size \(32, 32\), got \(16, 32\)'):
        losses_of(_head().eval(), [sample])


def test_words_that_do_not_fit_are_refused():
    head = _head(loss_category=CATEGORY).eval()

    def refused(rule, **changes):
        sample = _sample([1])
        for field, value in changes.items():
            if field == 'categories':
                sample.set_metainfo({field: value})
            elif value is None:
                delattr(sample, field)
            else:
                setattr(sample, field, value)
        with pytest.raises(ValueError, match=rule):
            losses_of(head, [sample])

    refused('sample v: categories must name at least one word, got none', categories=[])
    refused('sample v: categories name 3 words, but the projector was given 2', categories=['a', 'b', 'c'])
    refused('sample v: loss_category needs gt_category_labels .* 2 named words', gt_category_labels=None)
    refused('sample v: loss_category needs gt_category_labels', gt_category_labels=torch.ones(3, dtype=torch.long))
    zeros = torch.zeros(2, dtype=torch.long)
    refused(r"sample v: gt_category_labels must be 1 .* all of \['red star', 'blue ring'\]", gt_category_labels=zeros)
    neither = replace(_projected(1, similarity=False), categories=None)
    with pytest.raises(ValueError, match='loss_category needs a projector with category text or `similarity`'):
        losses_of(head, [_sample([1])], neither)


@pytest.mark.parametrize('bad', [torch.nan, torch.inf])
@pytest.mark.parametrize(
    ('field', 'part'),
    [
        ('sparse', 'projector: its prompts'),
        ('dense', 'projector: its dense prompts'),
        ('categories', "projector: its words' embeddings"),
        ('similarity', 'projector: its similarity logits'),
    ],
)
def test_numbers_that_are_none_name_the_part_that_made_them(field, part, bad):
    projected = _projected(1)
    with torch.no_grad():
        getattr(projected, field).view(-1)[3] = bad
    with pytest.raises(FloatingPointError, match=f'^{part} hold NaN or infinity$'):
        losses_of(_head().eval(), [_sample([1])], projected)


def test_features_that_are_no_numbers_name_the_segmenter():
    features = FrameFeatures(torch.full((1, DIM, SIDE // 8, SIDE // 8), torch.nan))
    with pytest.raises(FloatingPointError, match=r'^segmenter: its features hold NaN or infinity$'):
        _head().loss(features, _projected(1), [_sample([1])])
