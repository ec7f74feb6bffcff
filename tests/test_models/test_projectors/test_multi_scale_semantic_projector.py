"""The projector: shapes, padding, batching, gradients, errors."""

import pytest
import torch

from lavida_mm.models.projectors import MultiScaleSemanticProjector, PixelTextSimilarity, TwoWayQFormer
from lavida_mm.models.projectors.two_way_qformer import MaskedAttention
from lavida_mm.registry import MODELS

SIMILARITY = dict(type='PixelTextSimilarity', visual_channels=16, text_channels=12, embed_channels=8)


def _build(similarity=SIMILARITY, **changes):
    torch.manual_seed(0)
    config = dict(
        type='MultiScaleSemanticProjector', seg_channels=20, text_channels=12, visual_channels=16, hidden=32,
        num_queries=3, depth=2, num_heads=4, mlp_channels=24, cross_heads=4, similarity=similarity,
    )  # fmt: skip
    projector = MODELS.build({**config, **changes})
    if projector.dense_prompt is not None:  # zero at the start, which would hide mistakes
        torch.nn.init.normal_(projector.dense_prompt[2].weight)
    return projector


def _inputs(lengths=(4, 2), frames=(2, 3)):
    generator = torch.Generator().manual_seed(1)
    samples, words = len(lengths), max(lengths)
    return dict(
        seg_states=torch.randn(samples, 20, generator=generator),
        text=torch.randn(samples, words, 12, generator=generator),
        text_mask=torch.arange(words)[None] < torch.tensor(lengths)[:, None],
        features=torch.randn(sum(frames), 16, 5, 6, generator=generator),
        position=torch.randn(1, 16, 5, 6, generator=generator),
        clip_index=torch.arange(samples).repeat_interleave(torch.tensor(frames)),
    )


def _fields(output):
    return dict(sparse=output.sparse, dense=output.dense, categories=output.categories, similarity=output.similarity)


@pytest.mark.parametrize('similarity', [None, SIMILARITY])
def test_shapes(similarity):
    output = _build(similarity)(**_inputs())
    assert output.sparse.shape == (5, 1, 16)
    assert output.categories.shape == (5, 4, 16)
    if similarity is None:
        assert output.dense is None and output.similarity is None
    else:
        assert output.dense.shape == (5, 16, 5, 6)
        assert output.similarity.shape == (5, 4, 5, 6)


def test_padded_words_change_nothing():
    projector, inputs = _build().eval(), _inputs()
    plain = _fields(projector(**inputs))
    noisy = dict(inputs, text=inputs['text'].clone())
    noisy['text'][1, 2:] = 100 * torch.randn(2, 12)
    for name, value in _fields(projector(**noisy)).items():
        torch.testing.assert_close(value, plain[name], rtol=0, atol=0)
    extra = dict(inputs, text=torch.cat([inputs['text'], torch.randn(2, 3, 12)], dim=1))
    extra['text_mask'] = torch.cat([inputs['text_mask'], torch.zeros(2, 3, dtype=torch.bool)], dim=1)
    longer = _fields(projector(**extra))
    torch.testing.assert_close(longer['sparse'], plain['sparse'])
    torch.testing.assert_close(longer['dense'], plain['dense'])
    torch.testing.assert_close(longer['categories'][:, :4], plain['categories'])
    assert not longer['categories'][:, 4:].any()


def test_a_real_word_does_change_the_prompt():
    projector, inputs = _build().eval(), _inputs()
    plain = projector(**inputs)
    inputs['text'][1, 1] += 1.0
    changed = projector(**inputs)
    assert (changed.sparse[2:] - plain.sparse[2:]).abs().max() > 1e-4
    torch.testing.assert_close(changed.sparse[:2], plain.sparse[:2])  # the other clip


def test_the_seg_state_reaches_only_its_own_clip():
    projector, inputs = _build().eval(), _inputs()
    plain = projector(**inputs)
    inputs['seg_states'][0] += 1.0
    changed = projector(**inputs)
    assert (changed.sparse[:2] - plain.sparse[:2]).abs().amax(dim=(1, 2)).min() > 1e-4
    torch.testing.assert_close(changed.sparse[2:], plain.sparse[2:])


def test_the_order_of_the_words_does_not_matter():
    projector, inputs = _build().eval(), _inputs(lengths=(4, 4))
    order = torch.tensor([2, 0, 3, 1])
    plain = projector(**inputs)
    shuffled = projector(**dict(inputs, text=inputs['text'][:, order]))
    torch.testing.assert_close(shuffled.sparse, plain.sparse)
    torch.testing.assert_close(shuffled.dense, plain.dense)
    torch.testing.assert_close(shuffled.categories, plain.categories[:, order])


def test_a_batch_equals_its_samples_one_by_one():
    projector, inputs = _build().eval(), _inputs()
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
        torch.testing.assert_close(alone.dense, together.dense[frames])
        torch.testing.assert_close(alone.categories, together.categories[frames, :words])
        torch.testing.assert_close(alone.similarity, together.similarity[frames, :words])


@pytest.mark.parametrize('similarity', [None, SIMILARITY])
def test_gradients_reach_every_parameter(similarity):
    projector = _build(similarity)
    output = projector(**_inputs())
    total = output.sparse.square().sum() + output.categories.square().sum()
    if output.dense is not None:
        total = total + output.dense.square().sum()
    total.backward()
    still = [name for name, p in projector.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A bias of keys shifts all scores of a query alike, so softmax undoes it: its gradient is zero by nature.
    assert [name for name in still if not name.endswith('k_proj.bias')] == []


def test_the_dense_prompt_starts_at_zero():
    torch.manual_seed(0)
    projector = MultiScaleSemanticProjector(
        seg_channels=20, text_channels=12, visual_channels=16, hidden=32, num_queries=2, depth=1, num_heads=4,
        cross_heads=4, similarity=SIMILARITY,
    )  # fmt: skip
    assert not projector(**_inputs()).dense.any()


def test_the_size_of_the_paper():
    with torch.device('meta'):
        projector = MultiScaleSemanticProjector(seg_channels=3584, text_channels=512, visual_channels=256)
    shapes = {name: tuple(p.shape) for name, p in projector.named_parameters()}
    assert shapes['qformer.queries.weight'] == (48, 768)
    assert shapes['prompt_out.weight'] == (256, 48 * 768)
    assert shapes['cross_attn.q_proj.weight'] == (384, 768)
    assert shapes['qformer.blocks.4.mlp.lin1.weight'] == (2048, 768)
    assert 'qformer.blocks.5.mlp.lin1.weight' not in shapes


@pytest.mark.parametrize(
    ('change', 'rule'),
    [
        (dict(clip_index=torch.zeros(4, dtype=torch.long)), 'clip_index must have one entry per frame'),
        (dict(seg_states=torch.zeros(3, 20)), 'must agree'),
        (dict(text_mask=torch.tensor([[True] * 4, [False] * 4])), 'at least one word'),
        (dict(text=torch.zeros(2, 0, 12), text_mask=torch.zeros(2, 0, dtype=torch.bool)), 'at least one word'),
    ],
)
def test_inputs_that_do_not_match_are_refused(change, rule):
    with pytest.raises(ValueError, match=rule):
        _build()(**{**_inputs(), **change})


@pytest.mark.parametrize(('field', 'part'), [('seg_states', 'mllm'), ('text', 'text_encoder')])
def test_nan_names_its_part(field, part):
    inputs = _inputs()
    inputs[field][0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match=part):
        _build()(**inputs)


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match='multiple of downsample x num_heads'):
        _build(num_heads=5)
    with pytest.raises(ValueError, match='num_queries and depth'):
        _build(depth=0)


def test_masked_attention_equals_segment_anythings_on_the_real_keys():
    from segment_anything.modeling.transformer import Attention

    torch.manual_seed(0)
    ours = MaskedAttention(channels=16, num_heads=2, downsample=2)
    theirs = Attention(16, 2, downsample_rate=2)
    theirs.load_state_dict(ours.state_dict())
    q, k = torch.randn(3, 4, 16), torch.randn(3, 6, 16)
    torch.testing.assert_close(ours(q, k, k), theirs(q, k, k))
    mask = torch.arange(6)[None] < torch.tensor([6, 1, 4])[:, None]
    found = ours(q, k, k, mask)
    for row, length in enumerate((6, 1, 4)):
        part = slice(row, row + 1)
        torch.testing.assert_close(found[part], theirs(q[part], k[part, :length], k[part, :length]))


def test_qformer_returns_queries_and_sequence():
    qformer = TwoWayQFormer(channels=16, num_queries=5, depth=1, num_heads=2, mlp_channels=8)
    queries, sequence = qformer(torch.randn(2, 7, 16))
    assert queries.shape == (2, 5, 16) and sequence.shape == (2, 7, 16)


def test_similarity_is_scaled_cosine_plus_bias():
    torch.manual_seed(0)
    similarity = PixelTextSimilarity(
        visual_channels=6, text_channels=5, embed_channels=4, init_scale=7.0, init_bias=-2.0
    )
    features, text = torch.randn(2, 6, 3, 3), torch.randn(2, 4, 5)
    found = similarity(features, text)
    pixels = similarity.visual_proj(features)
    words = similarity.text_proj(text)
    for frame, word, row, column in ((0, 0, 0, 0), (1, 3, 2, 1)):
        v, t = pixels[frame, :, row, column], words[frame, word]
        expected = 7 * (v @ t) / (v.norm() * t.norm()) - 2
        torch.testing.assert_close(found[frame, word, row, column], expected)
    with pytest.raises(ValueError, match=r'init_scale must be a finite number above 0, got 0\.0'):
        PixelTextSimilarity(visual_channels=6, text_channels=5, embed_channels=4, init_scale=0.0)


def test_similarity_stays_float32_under_autocast():
    similarity = PixelTextSimilarity(visual_channels=6, text_channels=5, embed_channels=4)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = similarity(torch.randn(2, 6, 3, 3), torch.randn(2, 4, 5))
    assert found.dtype == torch.float32
