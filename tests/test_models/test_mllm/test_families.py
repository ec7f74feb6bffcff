"""Each family against plain transformers on the processor's own inputs: positions, deep-stack features, masks."""

import pytest
import torch

from lavida_mm.models.compressors import NoCompressor, ReverseAttnCompressor, TokenCompressor, TokenMerge
from tests.test_models.test_mllm.reference import WORDS, plain_forward, plain_inputs, plain_model

# transformers' InternVLProcessor adds tensors up with NumPy.
pytestmark = pytest.mark.filterwarnings('ignore:__array_wrap__ must accept:DeprecationWarning')


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('num_frames', [1, 2, 3, 4])
@pytest.mark.parametrize('size', [(96, 96), (72, 120)])
def test_equals_plain_transformers(tiny_folder, make_clip, build, num_frames, size):
    clip = make_clip(num_frames, *size)
    state, loss = plain_forward(tiny_folder, clip, template=1)
    # Units of 24 x 24 pixels: 96 x 96 is 16 of them, 72 x 120 is 15, so that no Qwen model resizes either.
    model = build(tiny_folder, frame_pixels=(15, 16))
    with torch.no_grad():
        ours = model([clip], [WORDS], [1], NoCompressor())
    close(ours.seg_states, state)
    close(ours.loss, loss)
    per_grid = 15 if tiny_folder.name.startswith('qwen') and size == (72, 120) else 16
    grids = (num_frames + 1) // 2 if tiny_folder.name.startswith('qwen') else num_frames
    assert ours.num_tokens_before == ours.num_tokens_after == [grids * per_grid]
    assert model.count_visual_tokens(num_frames, *size, training=False) == grids * per_grid


@pytest.mark.parametrize('template', [0, 2, 5])
def test_prompts_are_tokenised_as_the_processor_does(tiny_folder, make_clip, build, template):
    clip = make_clip(4)
    inputs, _ = plain_inputs(tiny_folder, clip, template=template)
    model = build(tiny_folder)
    (sequence,) = model.writer.write_prompt(WORDS, template, model._prepare(clip))
    assert sequence.ids.tolist() == inputs['input_ids'][0].tolist()
    assert sequence.labels.tolist() == inputs['labels'][0].tolist()


@pytest.mark.parametrize('compressor', [None, ReverseAttnCompressor(keep_ratio=0.5)])
@pytest.mark.parametrize('least_padding', [0, 1])
def test_a_mixed_batch_equals_one_by_one(tiny_folder, make_clip, build, compressor, least_padding):
    """Images and clips of other lengths and sizes, padded on the left; one more column as flash attention needs it."""
    model = build(tiny_folder, image_pixels=(4, 64))
    clips = [make_clip(4), make_clip(1, 120, 72, seed=1), make_clip(3, 50, 90, seed=2), make_clip(2, seed=3)]
    words = [WORDS, ['star'], [f'thing number {n}' for n in range(30)], ['red ring', 'cross']]
    templates = [0, 3, 5, 2]
    with torch.no_grad():
        single = [model([c], [w], [t], compressor) for c, w, t in zip(clips, words, templates, strict=True)]
        model.least_padding = least_padding
        batch = model(clips, words, templates, compressor)
    close(batch.seg_states, torch.cat([one.seg_states for one in single]))
    assert batch.num_tokens_before == [n for one in single for n in one.num_tokens_before]
    assert batch.num_tokens_after == [n for one in single for n in one.num_tokens_after]


class KeepSome(TokenCompressor):
    """Takes chosen visual tokens as they are."""

    def __init__(self, indices):
        super().__init__(keep_ratio=1.0)
        self.indices = torch.tensor(indices)

    def plan(self, tokens):
        return TokenMerge(self.indices)


def test_kept_tokens_keep_their_rotary_positions_and_deepstack_features(tiny_folder, make_clip, build):
    """By hand: the plain model's own embeddings and positions of the full sequence, then rows taken out."""
    clip, kept = make_clip(4), [1, 2, 7, 16, 17, 30, 31]
    family = tiny_folder.name
    inputs, seg_id = plain_inputs(tiny_folder, clip)
    model = plain_model(tiny_folder)
    core, ids = model.model, inputs['input_ids'][0]
    with torch.no_grad():
        embeddings = model.get_input_embeddings()(ids)
        extra = {}
        if family.startswith('qwen'):
            visual = ids == model.config.video_token_id
            tower = core.visual(inputs['pixel_values_videos'], grid_thw=inputs['video_grid_thw'])
            features = tower.pooler_output
            positions, _ = core.get_rope_index(
                ids[None], mm_token_type_ids=inputs['mm_token_type_ids'], video_grid_thw=inputs['video_grid_thw']
            )
            language_model = core.language_model
        else:
            positions = torch.arange(len(ids))[None]
            clip_token = 'video_token_id' if family == 'llava_onevision' else 'image_token_id'
            visual = ids == getattr(model.config, clip_token)
            if family in ('internvl', 'smolvlm'):
                features = core.get_image_features(inputs['pixel_values']).pooler_output.flatten(0, 1)
            else:
                features = core.get_video_features(inputs['pixel_values_videos']).pooler_output[0]
                embeddings[visual.nonzero().flatten()[-1]] = core.image_newline
                visual[visual.nonzero().flatten()[-1]] = False
            language_model = core.text_model if family == 'smolvlm' else core.language_model
        embeddings[visual] = features
        stay = ~visual
        stay[visual.nonzero().flatten()[kept]] = True
        if family == 'qwen3_vl':
            extra['visual_pos_masks'] = visual[stay][None]
            extra['deepstack_visual_embeds'] = [layer[kept] for layer in tower.deepstack_features]
        hidden = language_model(
            inputs_embeds=embeddings[stay][None],
            attention_mask=torch.ones(1, int(stay.sum()), dtype=torch.long),
            position_ids=positions[..., stay],
            **extra,
        ).last_hidden_state
        ours = build(tiny_folder)([clip], [WORDS], [0], KeepSome(kept))
    close(ours.seg_states, hidden[0][ids[stay] == seg_id])
    assert ours.num_tokens_after == [7]


def test_compression_halves_the_visual_tokens(tiny_folder, make_clip, build):
    model = build(tiny_folder)
    with torch.no_grad():
        out = model([make_clip(4), make_clip(1)], [WORDS, WORDS], [0, 0], ReverseAttnCompressor())
    assert out.num_tokens_after == [number // 2 for number in out.num_tokens_before]
    assert out.seg_states.shape == (2, 96)


def test_words_and_frames_reach_the_state(tiny_folder, make_clip, build):
    model = build(tiny_folder)
    with torch.no_grad():
        out = model([make_clip(2), make_clip(2), make_clip(2, seed=1)], [['star'], ['ring'], ['star']], [0] * 3)
    first, other_word, other_frames = out.seg_states
    assert (first - other_word).abs().max() > 1e-3
    assert (first - other_frames).abs().max() > 1e-5
