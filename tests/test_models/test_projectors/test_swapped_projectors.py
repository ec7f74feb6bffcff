"""Every projector in the whole model: what learns, and where words get scores."""

import pytest
import torch

from lavida_mm.engine.launch import load_config
from lavida_mm.registry import MODELS
from tests.conftest import ROOT
from tests.test_models.test_lavida import make_batch

SIMILARITY = dict(type='PixelTextSimilarity', visual_channels=64, text_channels=64, embed_channels=64)
CATEGORY_LOSS = dict(type='CategoryLoss')


@pytest.fixture(params=['mlp', 'qformer', 'multi_scale'])
def config(request, monkeypatch):
    monkeypatch.chdir(ROOT)
    return load_config(f'configs/ablation/projector_{request.param}.py').model


def build(config):
    torch.manual_seed(0)
    return MODELS.build(config)


def labelled_batch():
    clips, samples = make_batch()
    for sample in samples:
        sample.gt_category_labels[0] = int(sample.gt_frame_labels.any())
    return clips, samples


def reads_words(config):
    return config.projector.type == 'MultiScaleSemanticProjector'


def test_the_compared_configs_differ_in_the_projector_alone(config):
    base = load_config('configs/lavida_tiny.py').model
    assert config.projector.similarity is None if 'similarity' in config.projector else True
    assert not config.mask_head.similarity_skip
    base.mask_head.similarity_skip = False
    for part in base:
        if part != 'projector':
            assert config[part] == base[part]
    for name in ('hidden', 'num_queries', 'depth', 'num_heads', 'mlp_channels', 'cross_downsample'):
        assert config.projector.get(name, base.projector[name]) == base.projector[name]


def test_loss_reaches_every_trained_parameter(config):
    model = build(config).train()
    losses = model(*make_batch(), mode='loss')
    sum(losses.values()).backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_scores_of_words_are_there_only_where_something_tells_them_apart(config):
    clips, samples = make_batch()
    with torch.no_grad():
        for sample in build(config).eval()(clips, samples, mode='predict'):
            assert sample.pred_frame_scores.isfinite().all()
            assert ('pred_category_scores' in sample) == reads_words(config)


def test_a_loss_on_words_needs_something_that_tells_them_apart(config):
    config.mask_head.loss_category = CATEGORY_LOSS
    model = build(config).train()
    if reads_words(config):
        assert model(*labelled_batch(), mode='loss')['loss_category'].isfinite()
        return
    with pytest.raises(ValueError, match='loss_category needs a projector with category text or `similarity`'):
        model(*labelled_batch(), mode='loss')


def test_a_similarity_map_tells_words_apart_whatever_the_projector(config):
    config.projector.similarity = SIMILARITY
    config.mask_head.update(similarity_skip=True, loss_category=CATEGORY_LOSS)
    model = build(config).train()
    clips, samples = labelled_batch()
    losses = model(clips, samples, mode='loss')
    sum(losses.values()).backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    with torch.no_grad():
        for sample in model.eval()(clips, samples, mode='predict'):
            assert sample.pred_category_scores.shape == (len(sample.frame_inds), len(sample.categories))
