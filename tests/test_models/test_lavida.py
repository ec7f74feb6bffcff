"""The wiring: losses, predictions, mixed batches, and what must not depend on what."""

import re

import numpy as np
import pytest
import torch
from mmengine.config import Config

from lavida_mm.registry import MODELS
from lavida_mm.structures import VADDataSample
from tests.conftest import ROOT


def tiny_model(config: str = 'lavida_tiny.py', **changes) -> torch.nn.Module:
    cfg = Config.fromfile(ROOT / 'configs' / config)
    cfg.merge_from_dict(changes)
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


EACH = {'model.mllm.answer': 'each', 'model.mask_head.answer_skip': True, 'model.mask_head.category_scores': 'answer'}


def make_sample(
    categories: list[str], num_frames: int, seed: int, anomalous: bool
) -> tuple[torch.Tensor, VADDataSample]:
    rng = np.random.default_rng(seed)
    clip = torch.from_numpy(rng.integers(0, 256, (num_frames, 3, 96, 96), dtype=np.uint8))
    sample = VADDataSample(
        metainfo=dict(
            video_id=f'v{seed}',
            frame_inds=np.arange(num_frames),
            num_frames=num_frames,
            fps=8.0,
            ori_shape=(96, 96),
            img_shape=(96, 96),
            categories=categories,
            source='test',
            template=0,
        )
    )
    sample.gt_masks = torch.zeros(num_frames, 96, 96, dtype=torch.bool)
    sample.gt_masks[:, 20:50, 30:60] = anomalous
    sample.gt_frame_labels = torch.full((num_frames,), int(anomalous))
    sample.gt_category_labels = torch.zeros(len(categories), dtype=torch.long)
    sample.gt_category_labels[0] = int(anomalous)
    return clip, sample


def make_batch() -> tuple[list[torch.Tensor], list[VADDataSample]]:
    rows = [
        make_sample(['red star', 'blue ring', 'white cross'], 4, 0, True),
        make_sample(['green square'], 1, 1, True),
        make_sample(['cyan ring', 'yellow triangle'], 4, 2, False),
    ]
    return [clip for clip, _ in rows], [sample for _, sample in rows]


@pytest.fixture(scope='module')
def model() -> torch.nn.Module:
    return tiny_model()


@pytest.mark.parametrize('config', ['lavida_tiny.py', 'lavida_tiny_sam2.py', 'examples/tiny_sam2_memory.py'])
def test_loss_reaches_every_trained_parameter_and_no_other(config):
    model = tiny_model(config).train()
    clips, samples = make_batch()
    losses = model(clips, samples, mode='loss')
    assert set(losses) == {'loss_focal', 'loss_dice', 'loss_iou', 'loss_object', 'loss_lm'}
    assert all(torch.isfinite(value) for value in losses.values())
    sum(losses.values()).backward()
    missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


def test_answers_word_by_word_have_a_loss_that_reaches_every_trained_parameter():
    model = tiny_model(**EACH, **{'model.answer_loss_weight': 0.5}).train()
    losses = model(*make_batch(), mode='loss')
    assert set(losses) == {'loss_focal', 'loss_dice', 'loss_iou', 'loss_object', 'loss_lm', 'loss_answer'}
    sum(losses.values()).backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert model.mask_head.answer_scale.grad != 0


def test_answers_word_by_word_are_learnt_and_found_again():
    """Seen often enough, the true word is told from the others, and so is the clip that shows nothing."""
    model = tiny_model(**EACH).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    for _ in range(25):
        losses = model(*make_batch(), mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    assert losses['loss_answer'] < 0.1
    with torch.no_grad():
        found = model.eval()(*make_batch(), mode='predict')
    assert [[round(score) for score in one.pred_category_scores[0].tolist()] for one in found] == [
        [1, 0, 0],
        [1],
        [0, 0],
    ]
    assert [round(float(one.pred_frame_scores.mean())) for one in found] == [1, 1, 0]


def test_frozen_parts_are_those_of_the_paper(model):
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert not [name for name in trained if name.startswith(('text_encoder.', 'mask_head.segmenter.image_encoder.'))]
    assert [name for name in trained if 'lora_' in name]
    assert [name for name in trained if name.startswith('projector.')]


def test_predict_gives_scores_and_masks_of_the_contract(model):
    clips, samples = make_batch()
    with torch.no_grad():
        predictions = model.eval()(clips, samples, mode='predict')
    for clip, prediction in zip(clips, predictions, strict=True):
        assert prediction.pred_frame_scores.shape == (len(clip),)
        assert prediction.pred_masks.shape == (len(clip), 96, 96)
        assert prediction.pred_category_scores.shape == (len(clip), len(prediction.categories))
        for scores in (prediction.pred_frame_scores, prediction.pred_masks, prediction.pred_category_scores):
            assert scores.min() >= 0 and scores.max() <= 1


@pytest.mark.parametrize('changes', [{}, dict(config='examples/tiny_sam2_memory.py'), EACH])
def test_a_batch_equals_its_samples_one_by_one(model, changes):
    model = tiny_model(**changes) if changes else model
    model.eval()
    clips, samples = make_batch()
    with torch.no_grad():
        together = model(clips, samples, mode='predict')
        together = [(p.pred_frame_scores.clone(), p.pred_masks.clone()) for p in together]
        alone = [model([clip], [sample], mode='predict')[0] for clip, sample in zip(clips, samples, strict=True)]
    for (scores, masks), single in zip(together, alone, strict=True):
        torch.testing.assert_close(scores, single.pred_frame_scores, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(masks, single.pred_masks, atol=1e-5, rtol=1e-4)


def test_words_change_the_scores(model):
    model.eval()
    clip, sample = make_sample(['red star'], 4, 3, True)
    _, other = make_sample(['blue ring'], 4, 3, True)
    with torch.no_grad():
        first = model([clip], [sample], mode='predict')[0].pred_frame_scores
        second = model([clip], [other], mode='predict')[0].pred_frame_scores
    assert not torch.equal(first, second)


def test_compression_halves_the_visual_tokens():
    for compressor, expected in ((dict(type='ReverseAttnCompressor', keep_ratio=0.5), 16), (None, 32)):
        model = tiny_model()
        compress = MODELS.build(compressor) if compressor else None
        clip, sample = make_sample(['red star'], 4, 4, True)
        read = model.mllm([clip], [sample.categories], [0], compress)
        assert read.num_tokens_before == [32]
        assert read.num_tokens_after == [expected]


def test_preprocessor_names_a_clip_of_another_form(model):
    clips, samples = make_batch()
    with pytest.raises(ValueError, match=r'inputs\[1\] must have shape \(T, 3, H, W\), got \(3, 96, 96\)'):
        model.data_preprocessor(dict(inputs=[clips[0], clips[1][0], clips[2]], data_samples=samples))
    with pytest.raises(ValueError, match='3 clips, 2 samples'):
        model.data_preprocessor(dict(inputs=clips, data_samples=samples[:2]))


@pytest.mark.parametrize('mode', ['loss', 'predict'])
def test_a_sample_without_words_is_refused(model, mode):
    clips, samples = make_batch()
    samples[1].set_metainfo(dict(categories=[]))
    with pytest.raises(ValueError, match='categories must name at least one word'):
        model(clips, samples, mode=mode)


def test_nothing_anomalous_in_the_batch_trains_the_score_alone(model):
    clip, sample = make_sample(['red star', 'blue ring'], 4, 0, False)
    losses = model.train()([clip], [sample], mode='loss')
    assert losses['loss_focal'] == losses['loss_dice'] == losses['loss_iou'] == 0
    assert losses['loss_object'] > 0


def test_memory_goes_on_through_the_windows_of_a_video():
    stream = {'model.mask_head.stream_memory': True}
    model = tiny_model('examples/tiny_sam2_memory.py', **stream).eval()
    windows = []
    for start, seed in ((0, 3), (4, 4)):
        clip, sample = make_sample(['red star', 'blue ring'], 4, seed, True)
        sample.set_metainfo(dict(video_id='v', frame_inds=np.arange(start, start + 4), num_frames=8))
        windows.append((clip, sample))
    with torch.no_grad():
        scores = [model([clip], [sample], mode='predict')[0].pred_frame_scores for clip, sample in windows]
        memory = [model.mask_head.segmenter.new_memory()]
        for (clip, sample), found in zip(windows, scores, strict=True):
            encoded = model._encode([clip], [sample])
            output = model.mask_head(encoded.features, encoded.projected, memory)
            torch.testing.assert_close(found, output.object_logits.sigmoid(), atol=1e-6, rtol=1e-5)
            memory = output.memory
    assert memory[0].num_seen == 8


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'projector.visual_channels': 32}, 'projector.visual_channels must be 64, the channels of the segmenter'),
        (
            {'projector.similarity.visual_channels': 32},
            'projector.similarity.visual_channels must be 64, the channels of the segmenter, got 32',
        ),
        (
            {'projector.similarity.text_channels': 32},
            'projector.similarity.text_channels must be 64, the channels of text_encoder, got 32',
        ),
        ({'projector.similarity': None}, 'similarity_skip=True needs projector.similarity, got a projector without'),
        ({'mask_head.answer_skip': True}, "mask_head.answer_skip=True needs mllm.answer='each', got another"),
        ({'mask_head.category_scores': 'answer'}, "mask_head.category_scores='answer' needs mllm.answer='each'"),
        ({'answer_loss_weight': -1}, 'answer_loss_weight must be'),
        (
            {
                'projector.similarity': None,
                'mask_head.similarity_skip': False,
                'mask_head.category_scores': 'similarity',
            },
            "category_scores='similarity' needs projector.similarity, got a projector without",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused_at_build(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        tiny_model(**{f'model.{name}': value for name, value in change.items()})


def test_unknown_mode(model):
    with pytest.raises(ValueError, match="'loss', 'predict' or 'tensor', got 'los'"):
        model(*make_batch(), mode='los')


def test_sample_refuses_a_field_of_another_rank():
    sample = VADDataSample()
    with pytest.raises(ValueError, match=r'gt_masks must be a tensor of 3 dimensions, got a tensor of shape \(4, 4\)'):
        sample.gt_masks = torch.zeros(4, 4)
    with pytest.raises(ValueError, match='pred_frame_scores must be a tensor of 1 dimensions, got list'):
        sample.pred_frame_scores = [0.5]


@pytest.mark.parametrize(
    ('key', 'width', 'part'), [('seg_channels', 96, 'mllm'), ('text_channels', 64, 'text_encoder')]
)
def test_a_projector_of_another_width_is_named_at_build(key, width, part):
    message = f'projector.{key} must be {width}, the channels of {part}, got 3584'
    with pytest.raises(ValueError, match=message):
        tiny_model(**{f'model.projector.{key}': 3584})
