"""The projectors that read no category text: the same contract, and what each may and may not look at."""

import pytest
import torch

from lavida_mm.models.projectors import MLPProjector, Projector, QFormerProjector
from lavida_mm.registry import MODELS
from tests.test_models.test_projectors.test_multi_scale_semantic_projector import SIMILARITY, _fields, _inputs

SIZES = dict(seg_channels=20, visual_channels=16, hidden=32)
CONFIGS = {
    'MLPProjector': SIZES,
    'QFormerProjector': dict(**SIZES, num_queries=3, depth=2, num_heads=4, mlp_channels=24),
}
WITH_AND_WITHOUT = pytest.mark.parametrize('similarity', [None, SIMILARITY], ids=['plain', 'similarity'])


@pytest.fixture(params=CONFIGS)
def build(request):
    def _build(**changes):
        torch.manual_seed(0)
        projector = MODELS.build(dict(type=request.param, **{**CONFIGS[request.param], **changes}))
        if projector.dense_prompt is not None:  # zero at the start, which would hide mistakes
            torch.nn.init.normal_(projector.dense_prompt[2].weight)
        return projector.eval()

    return _build


@WITH_AND_WITHOUT
def test_shapes(build, similarity):
    projector = build(similarity=similarity)
    assert isinstance(projector, Projector)
    output = projector(**_inputs())
    assert output.sparse.shape == (5, 1, 16)
    assert output.categories is None
    if similarity is None:
        assert output.dense is None and output.similarity is None
    else:
        assert output.dense.shape == (5, 16, 5, 6)
        assert output.similarity.shape == (5, 4, 5, 6)


@WITH_AND_WITHOUT
def test_gradients_reach_every_parameter(build, similarity):
    projector = build(similarity=similarity)
    output = projector(**_inputs())
    total = output.sparse.square().sum()
    if output.dense is not None:
        total = total + output.dense.square().sum()
    total.backward()
    still = [name for name, p in projector.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A bias of keys shifts all scores of a query alike, so softmax undoes it: its gradient is zero by nature.
    assert [name for name in still if not name.endswith('k_proj.bias')] == []


@WITH_AND_WITHOUT
def test_a_batch_equals_its_samples_one_by_one(build, similarity):
    projector, inputs = build(similarity=similarity), _inputs()
    together = projector(**inputs)
    for sample, words in ((0, 4), (1, 2)):
        frames = inputs['clip_index'] == sample
        alone = projector(
            seg_states=inputs['seg_states'][sample : sample + 1],
            text=inputs['text'][sample : sample + 1, :words],
            text_mask=torch.ones(1, words, dtype=torch.bool),
            features=inputs['features'][frames],
            position=inputs['position'],
            clip_index=torch.zeros(int(frames.sum()), dtype=torch.long),
        )
        torch.testing.assert_close(alone.sparse, together.sparse[frames])
        if similarity is not None:
            torch.testing.assert_close(alone.dense, together.dense[frames])
            torch.testing.assert_close(alone.similarity, together.similarity[frames, :words])


@WITH_AND_WITHOUT
def test_words_reach_the_similarity_map_only_and_in_any_order(build, similarity):
    projector, inputs = build(similarity=similarity), _inputs(lengths=(4, 4))
    plain = _fields(projector(**inputs))
    order = torch.tensor([2, 0, 3, 1])
    shuffled = _fields(projector(**dict(inputs, text=inputs['text'][:, order])))
    other = _fields(projector(**dict(inputs, text=inputs['text'] + 1)))
    assert torch.equal(shuffled['sparse'], plain['sparse']) and torch.equal(other['sparse'], plain['sparse'])
    if similarity is not None:
        torch.testing.assert_close(shuffled['dense'], plain['dense'])
        torch.testing.assert_close(shuffled['similarity'], plain['similarity'][:, order])
        assert (other['dense'] - plain['dense']).abs().max() > 1e-4


def test_the_seg_state_reaches_only_its_own_clip(build):
    projector, inputs = build(), _inputs()
    plain = projector(**inputs)
    inputs['seg_states'][0] += 1.0
    changed = projector(**inputs)
    assert (changed.sparse[:2] - plain.sparse[:2]).abs().amax(dim=(1, 2)).min() > 1e-4
    torch.testing.assert_close(changed.sparse[2:], plain.sparse[2:])


@pytest.mark.parametrize(
    ('change', 'rule'),
    [
        (dict(clip_index=torch.zeros(4, dtype=torch.long)), 'clip_index must have one entry per frame'),
        (dict(seg_states=torch.zeros(3, 20)), 'must agree'),
        (dict(text_mask=torch.tensor([[True] * 4, [False] * 4])), 'at least one word'),
    ],
)
def test_inputs_that_do_not_match_are_refused(build, change, rule):
    with pytest.raises(ValueError, match=rule):
        build()(**{**_inputs(), **change})


@pytest.mark.parametrize(('field', 'part'), [('seg_states', 'mllm'), ('text', 'text_encoder')])
def test_nan_names_its_part(build, field, part):
    inputs = _inputs()
    inputs[field][0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match=part):
        build()(**inputs)


def test_the_mlp_says_the_same_to_all_frames_of_a_clip_and_the_qformer_looks_at_each():
    inputs = _inputs()
    torch.manual_seed(0)
    mlp = MLPProjector(**CONFIGS['MLPProjector'])(**inputs)
    qformer = QFormerProjector(**CONFIGS['QFormerProjector'])(**inputs)
    assert torch.equal(mlp.sparse[2], mlp.sparse[3]) and torch.equal(mlp.sparse[3], mlp.sparse[4])
    assert (qformer.sparse[2] - qformer.sparse[3]).abs().max() > 1e-4


def test_the_qformer_knows_where_in_the_frame_it_looks():
    inputs = _inputs()
    torch.manual_seed(0)
    projector = QFormerProjector(**CONFIGS['QFormerProjector'])
    moved = dict(inputs, position=inputs['position'].flip(-1))
    assert (projector(**moved).sparse - projector(**inputs).sparse).abs().max() > 1e-4


def test_full_sizes_build_on_meta_with_the_defaults():
    with torch.device('meta'):
        mlp = MLPProjector(seg_channels=3584, visual_channels=256)
        qformer = QFormerProjector(seg_channels=3584, visual_channels=256)
    assert [tuple(p.shape) for p in mlp.parameters()] == [(768, 3584), (768,), (256, 768), (256,)]
    shapes = {name: tuple(p.shape) for name, p in qformer.named_parameters()}
    assert shapes['qformer.queries.weight'] == (48, 768)
    assert shapes['prompt_out.weight'] == (256, 48 * 768)
    assert 'qformer.blocks.4.mlp.lin1.weight' in shapes and 'qformer.blocks.5.mlp.lin1.weight' not in shapes
    assert not [name for name in shapes if 'text' in name or 'category' in name]


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match='hidden and depth must be at least 1, got 32 and 0'):
        MLPProjector(**SIZES, depth=0)
    with pytest.raises(ValueError, match='num_queries and depth must be at least 1'):
        QFormerProjector(**SIZES, num_heads=4, num_queries=0)
