"""The mask head: losses against a slow loop, predictions, gates, and what happens when nothing is there."""

import numpy as np
import pytest
import torch

from lavida_mm.models.losses import dice_loss, focal_loss, mask_iou
from lavida_mm.models.mask_heads import AnomalyMaskHead
from lavida_mm.models.mask_heads.ground_truth import read_targets
from lavida_mm.models.mask_heads.mask_probabilities import gate_masks, select_masks
from lavida_mm.models.mask_heads.word_logits import both_logit, category_logits
from lavida_mm.models.mllm.word_answers import PADDED_ANSWER
from lavida_mm.models.projectors import ProjectorOutput
from lavida_mm.registry import MODELS
from lavida_mm.structures import VADDataSample

SIDE, DIM = 32, 16
SEGMENTER = dict(
    type='SAM',
    image_encoder=dict(type='ConvImageEncoder', widths=(16, 16, 16), depths=(1, 1, 1), out_channels=DIM),
    image_size=SIDE, prompt_dim=DIM, transformer_depth=1, transformer_heads=2, transformer_mlp=24, iou_hidden=16,
    freeze_image_encoder=False,
)  # fmt: skip
LOSSES = {'loss_focal', 'loss_dice', 'loss_iou', 'loss_object'}


def _head(**changes) -> AnomalyMaskHead:
    torch.manual_seed(0)
    return MODELS.build({**dict(type='AnomalyMaskHead', segmenter=SEGMENTER), **changes})


def _sample(labels, shape=(SIDE, SIDE), words=('red star', 'blue ring'), target=0, ori_shape=None):
    frames = len(labels)
    sample = VADDataSample(
        metainfo=dict(
            video_id='v',
            frame_inds=np.arange(frames),
            img_shape=shape,
            ori_shape=ori_shape or shape,
            categories=list(words),
        )
    )
    masks = torch.zeros(frames, *shape, dtype=torch.bool)
    for frame, label in enumerate(labels):
        masks[frame, 4 : 14 + frame, 6:20] = bool(label)
    sample.gt_masks = masks
    sample.gt_frame_labels = torch.tensor(labels)
    sample.gt_category_labels = torch.tensor([int(any(labels) and word == target) for word in range(len(words))])
    return sample


def _batch(*samples):
    clips = [torch.randint(0, 256, (len(s.gt_frame_labels), 3, *s.img_shape), dtype=torch.uint8) for s in samples]
    return clips, list(samples)


def _projected(frames, similarity=True, words=2):
    generator = torch.Generator().manual_seed(3)
    grid = (frames, words, SIDE // 8, SIDE // 8)
    return ProjectorOutput(
        sparse=torch.randn(frames, 1, DIM, generator=generator).requires_grad_(),
        dense=torch.randn(frames, DIM, *grid[2:], generator=generator).requires_grad_(),
        categories=torch.randn(frames, words, DIM, generator=generator).requires_grad_(),
        similarity=torch.randn(grid, generator=generator).requires_grad_() if similarity else None,
    )


@pytest.mark.parametrize('loss_size', [None, SIDE])
@pytest.mark.parametrize('mask_choice', ['best_iou', 'single'])
def test_losses_equal_a_slow_loop(mask_choice, loss_size):
    head = _head(mask_choice=mask_choice, loss_size=loss_size).eval()
    clips, samples = _batch(_sample([1, 0, 1]), _sample([0]), _sample([1]))
    features, projected = head.encode(clips), _projected(5)
    found = head.loss(features, projected, samples)
    assert set(found) == LOSSES

    output = head(features, projected)
    size = loss_size or SIDE // 2
    expected = dict.fromkeys(LOSSES, 0.0)
    frame = 0
    for sample in samples:
        for label, mask in zip(sample.gt_frame_labels.tolist(), sample.gt_masks, strict=True):
            truth = torch.nn.functional.adaptive_avg_pool2d(mask[None, None].float(), size)[0, 0]
            score = output.object_logits[frame].sigmoid()
            expected['loss_object'] += -2 * (score if label else 1 - score).log().item() / 5
            candidates = []
            for index in [0] if mask_choice == 'single' else [1, 2, 3]:
                logits = output.masks[frame, index]
                logits = torch.nn.functional.interpolate(logits[None, None], (size, size), mode='bilinear')[0, 0]
                focal, dice = 20 * focal_loss(logits, truth).item(), 2 * dice_loss(logits, truth).item()
                iou = abs(output.ious[frame, index].item() - mask_iou(logits, truth).item())
                candidates.append((focal + dice, focal, dice, iou))
            if label:
                _, focal, dice, iou = min(candidates)
                expected['loss_focal'] += focal / 5
                expected['loss_dice'] += dice / 5
                expected['loss_iou'] += iou / 5
            frame += 1
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_only_the_best_mask_learns():
    head = _head().eval()
    clips, samples = _batch(_sample([1]))
    features = head.encode(clips)
    output = head(features, _projected(1))
    truth = head.segmenter.fit_masks(samples[0].gt_masks)[:, None]
    best = (20 * focal_loss(output.masks[:, 1:], truth) + 2 * dice_loss(output.masks[:, 1:], truth)).argmin() + 1
    losses = head.loss(features, _projected(1), samples)
    (losses['loss_focal'] + losses['loss_dice']).backward()
    gradients = [mlp.layers[-1].weight.grad for mlp in head.segmenter.mask_decoder.output_hypernetworks_mlps]
    learns = [gradient is not None and bool(gradient.any()) for gradient in gradients]
    assert learns == [index == best for index in range(4)]


def test_an_all_absent_batch_has_zero_mask_losses_and_a_whole_graph():
    head = _head(similarity_skip=True)
    clips, samples = _batch(_sample([0, 0]), _sample([0]))
    projected = _projected(3)
    losses = head.loss(head.encode(clips), projected, samples)
    for name in ('loss_focal', 'loss_dice', 'loss_iou'):
        assert losses[name].item() == 0
    assert losses['loss_object'].item() > 0
    sum(losses.values()).backward()
    missing = [name for name, p in head.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
    assert projected.categories.grad is not None and projected.sparse.grad.any()


def test_gradients_reach_every_trained_parameter():
    """Over a few batches: a mask token learns only where its mask is the best one, the single mask's not at all."""
    head = _head(similarity_skip=True, loss_size=SIDE)
    for seed in range(12):
        torch.manual_seed(seed)
        clips, samples = _batch(_sample([1, 0, 1, 1]), _sample([1, 1, 0]))
        projected = _projected(7)
        projected.sparse = torch.randn(7, 1, DIM) * 3
        sum(head.loss(head.encode(clips), projected, samples).values()).backward()
    trained = {name: p.grad for name, p in head.named_parameters() if p.requires_grad}
    still = [name for name, gradient in trained.items() if gradient is None or not gradient.any()]
    unused = 'mask_decoder.output_hypernetworks_mlps.'  # of masks that are never the best: zero, not missing
    assert [name for name in still if unused not in name and not name.endswith('k_proj.bias')] == []


def test_ground_truth_takes_the_way_of_the_frames():
    head = _head(segmenter=dict(SEGMENTER, resize='pad')).eval()
    sample = _sample([1], shape=(16, SIDE))
    _, targets = read_targets([sample], 1, head.segmenter.fit_masks, head.segmenter.mask_size, torch.device('cpu'))
    expected = torch.zeros(SIDE, SIDE)
    expected[4:14, 6:20] = 1
    torch.testing.assert_close(targets[0], torch.nn.functional.avg_pool2d(expected[None], 2)[0])


def test_predict_fills_the_samples():
    head = _head(gate='none').eval()
    first, second = _sample([1, 0, 1], shape=(24, SIDE), ori_shape=(48, 64)), _sample([0], words=('a', 'b', 'c'))
    clips, samples = _batch(first, second)
    features, projected = head.encode(clips), _projected(4, words=3)
    predicted = head.predict(features, projected, samples)
    output = head(features, projected)
    assert predicted[0].pred_masks.shape == (3, 48, 64) and predicted[1].pred_masks.shape == (1, SIDE, SIDE)
    torch.testing.assert_close(predicted[0].pred_frame_scores, output.object_logits[:3].sigmoid())
    torch.testing.assert_close(predicted[1].pred_frame_scores, output.object_logits[3:].sigmoid())
    best = output.ious[2, 1:].argmax() + 1
    expected = head.segmenter.restore(output.masks[2:3, best], (24, SIDE), (48, 64)).sigmoid()
    torch.testing.assert_close(predicted[0].pred_masks[2], expected[0])
    strongest = projected.similarity.flatten(2).amax(dim=2).sigmoid()
    torch.testing.assert_close(predicted[0].pred_category_scores, strongest[:3, :2])
    torch.testing.assert_close(predicted[1].pred_category_scores, strongest[3:])
    assert not predicted[0].pred_masks.requires_grad


def test_masks_are_chosen():
    masks, ious = torch.randn(2, 4, 3, 3), torch.tensor([[9.0, 0.1, 0.3, 0.2], [9.0, 0.5, 0.3, 0.2]])
    assert torch.equal(select_masks(masks, ious, 'best_iou'), torch.stack([masks[0, 2], masks[1, 1]]))
    assert torch.equal(select_masks(masks, ious, 'single'), masks[:, 0])


def test_gates():
    logits, scores = torch.randn(3, 4, 4), torch.tensor([2.0, 0.0, -1.0])
    torch.testing.assert_close(gate_masks(logits, scores, 'none'), logits.sigmoid())
    hard = gate_masks(logits, scores, 'hard')
    torch.testing.assert_close(hard[0], logits[0].sigmoid())
    assert not hard[1:].any()
    torch.testing.assert_close(gate_masks(logits, scores, 'soft')[2], logits[2].sigmoid() * scores[2].sigmoid())


def test_category_logits_without_a_map_are_cosines():
    sparse, categories = torch.randn(2, 1, DIM), torch.randn(2, 3, DIM)
    categories[1, 2] = 4 * sparse[1, 0]
    logits = category_logits(sparse, categories, None)
    assert logits.shape == (2, 3)
    assert logits[1, 2].item() == pytest.approx(10)
    assert logits.abs().max() <= 10.0001


def test_the_similarity_skip_adds_the_map():
    head = _head(similarity_skip=True).eval()
    clips, _ = _batch(_sample([1, 0]))
    features, projected = head.encode(clips), _projected(2)
    with torch.no_grad():
        found = head(features, projected)
        head.mask_skip.zero_()
        head.object_skip.zero_()
        plain = head(features, projected)
    best_word = projected.similarity.amax(dim=1)
    torch.testing.assert_close(found.object_logits - plain.object_logits, best_word.amax(dim=(1, 2)))
    upsampled = torch.nn.functional.interpolate(best_word[:, None], (16, 16), mode='bilinear')
    torch.testing.assert_close(found.masks - plain.masks, upsampled.expand(-1, 4, -1, -1), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match='similarity_skip=True needs a projector with `similarity`'):
        head(features, _projected(2, similarity=False))


@pytest.mark.parametrize('frame_score', ['object', 'words'])
@pytest.mark.parametrize('similarity_skip', [False, True])
def test_a_word_counts_as_far_as_it_is_seen_and_true(similarity_skip, frame_score):
    """Against products of probabilities, word by word."""
    head = _head(answer_skip=True, similarity_skip=similarity_skip, frame_score=frame_score).eval()
    clips, _ = _batch(_sample([1, 0]))
    features, projected = head.encode(clips), _projected(2)
    answers = [[0.5, 2.0], [-1.0, -500.0]]
    projected.answers = torch.tensor(answers)
    with torch.no_grad():
        head.answer_scale.fill_(0.7)
        head.answer_bias.fill_(-0.2)
        if similarity_skip:
            head.object_skip.fill_(0.3)
        found = head(features, projected)
        plain = head.segmenter.decode(features, projected.sparse, projected.dense + head.segmenter.default_dense())
    own = plain.object_logits.tolist() if frame_score == 'object' else [0.0, 0.0]
    for frame, row in enumerate(answers):
        true = [1 / (1 + np.exp(-(0.7 * answer - 0.2))) for answer in row]
        seen = [1.0, 1.0]
        if similarity_skip:
            similarity = projected.similarity.detach().double()
            seen = [float((0.3 * similarity[frame, word].max()).sigmoid()) for word in range(2)]
        best = max(s * t for s, t in zip(seen, true, strict=True))
        assert float(found.object_logits[frame]) == pytest.approx(own[frame] + np.log(best / (1 - best)), abs=1e-4)
    with pytest.raises(ValueError, match="answer_skip=True needs an MLLM with answer='each'"):
        head(features, _projected(2))


@pytest.mark.parametrize('scale', [-0.05, 0.0, 0.35])
def test_padded_words_stay_out_whatever_the_scale(scale):
    """A frame's score does not depend on how many words another sample of the batch names."""
    head = _head(answer_skip=True, frame_score='words').eval()
    clips, _ = _batch(_sample([1]))
    features, scores = head.encode(clips), []
    with torch.no_grad():
        head.answer_scale.fill_(scale)
        for answers in ([[-6.0]], [[-6.0, PADDED_ANSWER]]):
            projected = _projected(1)
            projected.answers = torch.tensor(answers)
            scores.append(float(head(features, projected).object_logits))
    assert scores[0] == scores[1] == pytest.approx(scale * -6 + 1)


def test_logits_of_both_against_probabilities():
    one, other = torch.meshgrid(torch.linspace(-15, 15, 13), torch.linspace(-15, 15, 13), indexing='ij')
    wanted = torch.logit(one.double().sigmoid() * other.double().sigmoid())
    torch.testing.assert_close(both_logit(one, other).double(), wanted, rtol=1e-5, atol=1e-5)
    assert both_logit(torch.tensor(-1e4), torch.tensor(-1e4)).isfinite()


def test_an_answer_as_the_score_of_a_word():
    head = _head(category_scores='answer').eval()
    clips, samples = _batch(_sample([1, 0]))
    features, projected = head.encode(clips), _projected(2)
    with pytest.raises(ValueError, match="category_scores='answer' needs an MLLM with answer='each'"):
        head.predict(features, projected, samples)
    projected.answers = torch.tensor([[0.5, 2.0], [-1.0, 0.0]])
    (found,) = head.predict(features, projected, samples)
    torch.testing.assert_close(found.pred_category_scores, projected.answers.sigmoid())


def test_the_dense_prompt_adds_to_sams():
    head = _head().eval()
    features, projected = head.encode([torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)]), _projected(2)
    dense = projected.dense + head.segmenter.default_dense()
    expected = head.segmenter.decode(features, projected.sparse, dense)
    torch.testing.assert_close(head(features, projected).masks, expected.masks)
    projected.dense = None
    torch.testing.assert_close(head(features, projected).masks, head.segmenter.decode(features, projected.sparse).masks)


def test_a_few_steps_overfit_one_batch():
    """The parts together can learn: masks fit and absent frames fall silent."""
    torch.manual_seed(0)
    head = _head(loss_size=SIDE)
    projector = MODELS.build(
        dict(
            type='MultiScaleSemanticProjector',
            seg_channels=8,
            text_channels=8,
            visual_channels=DIM,
            hidden=16,
            num_queries=2,
            depth=1,
            num_heads=2,
            mlp_channels=16,
            cross_heads=2,
            similarity=dict(type='PixelTextSimilarity', visual_channels=DIM, text_channels=8, embed_channels=8),
        )
    )
    samples = [_sample([1, 1]), _sample([0, 0])]
    clips = [torch.randint(0, 60, (2, 3, SIDE, SIDE), dtype=torch.uint8) for _ in samples]
    clips[0][:, 0][samples[0].gt_masks] = 250
    seg, text = torch.randn(2, 8), torch.randn(2, 2, 8)
    mask, clip_index = torch.ones(2, 2, dtype=torch.bool), torch.tensor([0, 0, 1, 1])
    parameters = [p for module in (head, projector) for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    totals = []
    for _ in range(40):
        features = head.encode(clips)
        projected = projector(seg, text, mask, features.deep, head.position_encoding(), clip_index)
        total = sum(head.loss(features, projected, samples).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.5 * totals[0]
    head.eval(), projector.eval()
    features = head.encode(clips)
    projected = projector(seg, text, mask, features.deep, head.position_encoding(), clip_index)
    found = head.predict(features, projected, samples)
    assert found[0].pred_frame_scores.min() > found[1].pred_frame_scores.max()


@pytest.mark.parametrize(
    ('change', 'rule'),
    [
        (dict(mask_choice='all'), "mask_choice must be one of .* got 'all'"),
        (dict(frame_score='maybe'), "frame_score must be one of .* got 'maybe'"),
        (dict(frame_score='words'), "frame_score='words' needs similarity_skip=True or answer_skip=True, got neither"),
        (dict(gate='maybe'), "gate must be one of .* got 'maybe'"),
        (dict(loss_size=0), 'loss_size must be a whole number of at least 1, got 0'),
        (dict(feature_cache=1.5), 'feature_cache must be a whole number of at least 0, got 1.5'),
        (dict(similarity_skip='no'), "similarity_skip must be True or False, got 'no'"),
        (dict(stream_memory=1), 'stream_memory must be True or False, got 1'),
    ],
)
def test_values_out_of_range_are_refused(change, rule):
    with pytest.raises(ValueError, match=rule):
        _head(**change)


def test_ground_truth_that_does_not_match_is_refused():
    head = _head().eval()
    clips, (sample,) = _batch(_sample([1, 0]))
    features, projected = head.encode(clips), _projected(2)
    with pytest.raises(ValueError, match=r'the samples hold 4 frames \[2, 2\], the features 2'):
        head.loss(features, projected, [sample, _sample([0, 1])])
    with pytest.raises(ValueError, match=r'the samples hold 4 frames \[2, 2\], the features 2'):
        head.predict(features, projected, [sample, _sample([0, 1])])
    broken = sample.clone()
    broken.gt_masks = broken.gt_masks[:1]
    with pytest.raises(ValueError, match=r'sample v: gt_masks and gt_frame_labels .* got 1 and 2'):
        head.loss(features, projected, [broken])
    broken = sample.clone()
    broken.gt_masks = broken.gt_masks[:, :9]
    with pytest.raises(ValueError, match=r'sample v: gt_masks must have the frames. size \(32, 32\), got \(9, 32\)'):
        head.loss(features, projected, [broken])
    broken = sample.clone()
    del broken.gt_masks
    with pytest.raises(ValueError, match='sample v: gt_masks is needed'):
        head.loss(features, projected, [broken])


def test_nan_prompts_name_the_projector():
    head = _head().eval()
    projected = _projected(1)
    projected.sparse = torch.full((1, 1, DIM), torch.nan)
    with pytest.raises(FloatingPointError, match='projector'):
        head(head.encode([torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)]), projected)


def test_losses_under_bf16_autocast_are_close():
    head = _head().eval()
    clips, samples = _batch(_sample([1, 0, 1]))
    plain = head.loss(head.encode(clips), _projected(3), samples)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        low = head.loss(head.encode(clips), _projected(3), samples)
    for name, value in plain.items():
        assert low[name].dtype == torch.float32
        torch.testing.assert_close(low[name], value, rtol=0.05, atol=0.02)


def test_the_head_knows_its_sizes():
    head = _head()
    assert head.embed_dim == DIM
    assert head.position_encoding().shape == (1, DIM, SIDE // 8, SIDE // 8)
