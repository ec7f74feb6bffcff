"""MLLMBackbone against plain transformers on the processor's own inputs, and its own promises."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from lavida_mm.models.compressors import ReverseAttnCompressor
from lavida_mm.models.mllm import MLLMBackbone
from lavida_mm.models.mllm.prompts import ANSWER_TEMPLATES, QUESTION_TEMPLATES
from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import DataError

WORDS = ['red star', 'blue ring', 'cross with stripes']


def build(folder, **settings):
    settings = {'lora': None, 'frame_pixels': (16, 16), **settings}
    return MLLMBackbone(pretrained=str(folder), **settings).eval()


def plain_inputs(folder, clip, words=WORDS, template=0):
    """The processor's own inputs for one sample, with the labels of the answer."""
    processor = AutoProcessor.from_pretrained(folder)
    processor.tokenizer.add_tokens(['<SEG>'], special_tokens=True)
    kind = 'video' if len(clip) > 1 else 'image'
    question = QUESTION_TEMPLATES[template].format(categories=', '.join(words))
    user = {'role': 'user', 'content': [{'type': kind}, {'type': 'text', 'text': question}]}
    answer = {'role': 'assistant', 'content': [{'type': 'text', 'text': ANSWER_TEMPLATES[template]}]}
    visual = {'videos': [clip]} if kind == 'video' else {'images': [clip[0]]}
    lengths, inputs = [], None
    for messages, more in (([user], True), ([user, answer], False)):
        text = processor.apply_chat_template(messages, add_generation_prompt=more, tokenize=False)
        inputs = processor(text=[text], return_tensors='pt', **visual)
        lengths.append(inputs['input_ids'].shape[1])
    labels = inputs['input_ids'].clone()
    labels[:, : lengths[0]] = -100
    inputs.pop('second_per_grid_ts', None)  # ours: one second per token grid, transformers' own default
    return {**inputs, 'labels': labels}, processor.tokenizer.convert_tokens_to_ids('<SEG>')


def plain_forward(folder, clip, **prompt):
    inputs, seg_id = plain_inputs(folder, clip, **prompt)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    with torch.no_grad():
        out = model(**inputs, output_hidden_states=True)
    return out.hidden_states[-1][inputs['input_ids'] == seg_id], out.loss


@pytest.mark.parametrize('num_frames', [1, 2, 3, 4])
@pytest.mark.parametrize('size', [(96, 96), (72, 120)])
def test_equals_plain_transformers(tiny_folder, make_clip, num_frames, size):
    clip = make_clip(num_frames, *size)
    state, loss = plain_forward(tiny_folder, clip, template=1)
    # Units of 24 x 24 pixels: 96 x 96 is 16 of them, 72 x 120 is 15, so that neither is resized.
    with torch.no_grad():
        ours = build(tiny_folder, frame_pixels=(15, 16))([clip], [WORDS], [1])
    torch.testing.assert_close(ours.seg_states, state, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.loss, loss, rtol=1e-5, atol=1e-5)
    assert ours.num_tokens_before == ours.num_tokens_after
    assert ours.num_tokens_before == [(num_frames + 1) // 2 * size[0] * size[1] // 576]


def test_fresh_lora_changes_nothing(tiny_folder, make_clip):
    clip = make_clip(4)
    state, _ = plain_forward(tiny_folder, clip)
    with torch.no_grad():
        ours = build(tiny_folder, lora=dict(r=4))([clip], [WORDS], [0])
    torch.testing.assert_close(ours.seg_states, state, rtol=1e-5, atol=1e-5)


class KeepSome(torch.nn.Module):
    """Takes chosen visual tokens as they are."""

    def __init__(self, indices):
        super().__init__()
        self.indices = torch.tensor(indices)

    def forward(self, tokens):
        return tokens[self.indices], self.indices


def test_kept_tokens_keep_their_rotary_positions(tiny_folder, make_clip):
    """By hand: the plain model's own embeddings and positions of the full sequence, then rows taken out."""
    clip, kept = make_clip(4), [1, 2, 7, 16, 17, 30, 31]
    inputs, seg_id = plain_inputs(tiny_folder, clip)
    model = AutoModelForImageTextToText.from_pretrained(tiny_folder).eval()
    ids = inputs['input_ids'][0]
    visual = ids == model.config.video_token_id
    with torch.no_grad():
        embeddings = model.get_input_embeddings()(ids)
        tower = model.model.visual(inputs['pixel_values_videos'], grid_thw=inputs['video_grid_thw'])
        embeddings[visual] = tower.pooler_output
        positions, _ = model.model.get_rope_index(
            ids[None], mm_token_type_ids=inputs['mm_token_type_ids'], video_grid_thw=inputs['video_grid_thw']
        )
        stay = ~visual
        stay[visual.nonzero().flatten()[kept]] = True
        hidden = model.model.language_model(
            inputs_embeds=embeddings[stay][None], position_ids=positions[:, :, stay]
        ).last_hidden_state
        ours = build(tiny_folder)([clip], [WORDS], [0], KeepSome(kept))
    torch.testing.assert_close(ours.seg_states, hidden[0][ids[stay] == seg_id], rtol=1e-5, atol=1e-5)
    assert (ours.num_tokens_before, ours.num_tokens_after) == ([32], [7])


@pytest.mark.parametrize('compressor', [None, ReverseAttnCompressor(keep_ratio=0.5)])
def test_a_mixed_batch_equals_one_by_one(tiny_folder, make_clip, compressor):
    model = build(tiny_folder, image_pixels=(4, 64))
    clips = [make_clip(4), make_clip(1, 120, 72, seed=1), make_clip(3, 50, 90, seed=2), make_clip(2, seed=3)]
    words = [WORDS, ['star'], [f'thing number {n}' for n in range(30)], ['red ring', 'cross']]
    templates = [0, 3, 5, 2]
    with torch.no_grad():
        batch = model(clips, words, templates, compressor)
        single = [model([c], [w], [t], compressor) for c, w, t in zip(clips, words, templates, strict=True)]
    torch.testing.assert_close(batch.seg_states, torch.cat([one.seg_states for one in single]), rtol=1e-4, atol=1e-5)
    assert batch.num_tokens_before == [n for one in single for n in one.num_tokens_before]
    assert batch.num_tokens_after == [n for one in single for n in one.num_tokens_after]


def test_compression_halves_the_visual_tokens(tiny_folder, make_clip):
    out = build(tiny_folder)([make_clip(4), make_clip(1)], [WORDS, WORDS], [0, 0], ReverseAttnCompressor())
    assert out.num_tokens_before == [32, 16]
    assert out.num_tokens_after == [16, 8]
    assert out.seg_states.shape == (2, 96)


def test_words_and_frames_reach_the_state(tiny_folders, make_clip):
    model = build(tiny_folders['qwen2_vl'])
    with torch.no_grad():
        out = model([make_clip(2), make_clip(2), make_clip(2, seed=1)], [['star'], ['ring'], ['star']], [0] * 3)
    first, other_word, other_frames = out.seg_states
    assert (first - other_word).abs().max() > 1e-3
    assert (first - other_frames).abs().max() > 1e-4


def trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_lora_stays_inside_the_language_model(tiny_folder):
    model = build(tiny_folder, lora=dict(r=2, targets=('q_proj', 'v_proj', 'qkv', 'o_proj')), train_embeddings=False)
    names = trained(model)
    assert names and all('.language_model.layers.' in name and '.lora_' in name for name in names)
    assert len(names) == 2 * 3 * 2  # layers, projections (vision's fused qkv is not among them), A and B


@pytest.mark.parametrize('flags', range(8))
def test_freeze_flags(tiny_folders, flags):
    vision, language, embeddings = bool(flags & 1), bool(flags & 2), bool(flags & 4)
    model = build(
        tiny_folders['qwen2_vl'],
        lora=dict(r=2),
        freeze_vision=vision,
        freeze_language=language,
        train_embeddings=embeddings,
    )
    names = trained(model)
    everything = dict(model.named_parameters())
    expected = {name for name in everything if '.lora_' in name}
    if not vision:
        expected |= {name for name in everything if '.visual.' in name}
    if not language:
        expected |= {name for name in everything if '.language_model.' in name and 'embed_tokens' not in name}
    if embeddings:
        expected |= {name for name in everything if 'embed_tokens' in name or 'lm_head' in name}
    assert names == expected


def test_gradients_reach_what_is_trained_and_nothing_else(tiny_folder, make_clip):
    """The authors' code cut the gradient to the embeddings, `<SEG>`'s included, by compressing under no_grad."""
    model = build(tiny_folder, lora=dict(r=2, dropout=0.0), freeze_vision=False).train()
    out = model([make_clip(4)], [WORDS], [0], ReverseAttnCompressor())
    out.seg_states.square().mean().backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    embeddings = next(grad for name, grad in gradients.items() if 'embed_tokens' in name)
    assert embeddings[model.writer.seg_id].abs().sum() > 0
    assert any('.visual.patch_embed' in name for name in gradients)
    assert set(gradients) <= trained(model)


def test_a_frozen_tower_stays_in_eval_mode_and_takes_no_gradient(tiny_folder, make_clip):
    model = build(tiny_folder).train()
    assert model.training and not any(module.training for module in model.vision_tower.modules())
    model([make_clip(2)], [WORDS], [0]).loss.backward()
    assert all(parameter.grad is None for parameter in model.vision_tower.parameters())


def test_seg_is_added_once_and_spare_rows_stay(tiny_folder):
    rows = json.loads((tiny_folder / 'config.json').read_text())['text_config']['vocab_size']
    model = build(tiny_folder)
    size = len(model.writer.tokenizer)
    assert model.writer.seg_id == size - 1 < rows
    assert model.model.get_input_embeddings().num_embeddings == rows == model.model.lm_head.out_features
    assert model.writer.tokenizer.tokenize('is <SEG>.').count('<SEG>') == 1


def test_the_vocabulary_grows_where_no_row_is_spare(tiny_folders, tmp_path, make_clip):
    folder = tmp_path / 'full'
    shutil.copytree(tiny_folders['qwen2_vl'], folder)
    plain = AutoModelForImageTextToText.from_pretrained(folder)
    size = len(AutoProcessor.from_pretrained(folder).tokenizer)
    plain.resize_token_embeddings(size)
    plain.save_pretrained(folder)
    model = build(folder)
    assert model.model.get_input_embeddings().num_embeddings == size + 1 == model.model.lm_head.out_features
    assert model([make_clip(1)], [WORDS], [0]).seg_states.shape == (1, 96)


def test_trained_parameters_of_half_precision_weights_are_float32(tiny_folders, make_clip):
    model = build(tiny_folders['qwen2_vl'], lora=dict(r=2), dtype='bfloat16').train()
    kinds = {parameter.dtype for parameter in model.parameters() if parameter.requires_grad}
    assert kinds == {torch.float32}
    assert model.vision_tower.patch_embed.proj.weight.dtype == torch.bfloat16
    out = model([make_clip(4)], [WORDS], [0], ReverseAttnCompressor())
    out.loss.backward()
    exact = build(tiny_folders['qwen2_vl'], lora=dict(r=2))([make_clip(4)], [WORDS], [0], ReverseAttnCompressor())
    assert out.loss.item() == pytest.approx(exact.loss.item(), rel=0.05)


def test_runs_under_autocast(tiny_folders, make_clip):
    model = build(tiny_folders['qwen2_vl'], lora=dict(r=2)).train()
    with torch.autocast('cpu', torch.bfloat16):
        out = model([make_clip(4)], [WORDS], [0], ReverseAttnCompressor())
    (out.loss + out.seg_states.float().mean()).backward()
    assert out.loss.isfinite()


def test_budget_of_training_and_test(tiny_folders, make_clip):
    model = build(tiny_folders['qwen2_vl'], frame_pixels=(4, 9), test_frame_pixels=(25, 36), image_pixels=(1, 2))
    clip, image = make_clip(4, 96, 96), make_clip(1, 96, 96)
    assert model.train()([clip, image], [WORDS] * 2, [0, 0]).num_tokens_before == [18, 1]
    assert model.eval()([clip, image], [WORDS] * 2, [0, 0]).num_tokens_before == [50, 1]
    assert model.count_visual_tokens(4, 96, 96, training=True) == 18
    assert model.count_visual_tokens(4, 96, 96, training=False) == 50
    assert model.count_visual_tokens(1, 96, 96, training=False) == 1


def test_shows_only_some_frames(tiny_folders, make_clip):
    clip = make_clip(7)
    with torch.no_grad():
        some = build(tiny_folders['qwen2_vl'], llm_sample_frames=3)([clip], [WORDS], [0])
        chosen = build(tiny_folders['qwen2_vl'])([clip[[0, 3, 6]]], [WORDS], [0])
    torch.testing.assert_close(some.seg_states, chosen.seg_states)


def test_initialising_twice_keeps_the_loaded_weights(tiny_folders):
    model = build(tiny_folders['qwen2_vl'])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_loads_its_part_of_a_checkpoint(tiny_folders, tmp_path):
    source = build(tiny_folders['qwen2_vl'])
    torch.nn.init.constant_(source.language_model.norm.weight, 3.0)
    torch.save({'state_dict': {f'mllm.{k}': v for k, v in source.state_dict().items()}}, tmp_path / 'all.pth')
    model = build(
        tiny_folders['qwen2_vl'],
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'all.pth'), prefix='mllm.'),
    )
    model.init_weights()
    assert (model.language_model.norm.weight == 3).all()


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(frame_pixels=(0, 4)), r'frame_pixels must be two integers, 1 <= least <= most.*\(0, 4\)'),
        (dict(frame_pixels=(9, 4)), 'frame_pixels must be two integers'),
        (dict(test_frame_pixels=(4,)), 'test_frame_pixels must be two integers'),
        (dict(image_pixels=(2.5, 4)), 'image_pixels must be two integers'),
        (dict(llm_sample_frames=0), 'llm_sample_frames must be at least 1, got 0'),
        (dict(dtype='half'), "dtype must be one of .*'half'"),
        (dict(lora=dict(rank=4)), r"lora: unknown keys \['rank'\]"),
        (dict(lora=dict(r=0)), 'lora.r must be an integer >= 1, got 0'),
        (dict(lora=dict(dropout=1.0)), r'lora.dropout must be in \[0, 1\), got 1.0'),
        (dict(lora=dict(targets='q_proj')), 'lora.targets must be a list'),
    ],
)
def test_settings_out_of_range(tiny_folders, settings, message):
    with pytest.raises(ValueError, match=message):
        build(tiny_folders['qwen2_vl'], **settings)


def test_an_unknown_family_says_which_are_served(tiny_folders, tmp_path):
    folder = tmp_path / 'other'
    shutil.copytree(tiny_folders['qwen2_vl'], folder)
    config = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps({'model_type': 'llava_onevision', 'dtype': config['dtype']}))
    with pytest.raises(ValueError, match=r"model_type 'llava_onevision'.*supported: qwen2_5_vl, qwen2_vl"):
        build(folder)


@pytest.mark.parametrize('words', [[], ['star', ' '], ['<SEG>'], ['a <|video_pad|> b'], ['x<|im_end|>']])
def test_words_that_cannot_be_asked_for(tiny_folders, make_clip, words):
    with pytest.raises(DataError, match='categories'):
        build(tiny_folders['qwen2_vl'])([make_clip(1)], [words], [0])


def test_a_prompt_longer_than_the_context(tiny_folders, make_clip):
    words = [f'thing number {n}' for n in range(400)]
    with pytest.raises(DataError, match=r'400 words.*more than the context of 2048'):
        build(tiny_folders['qwen2_vl'])([make_clip(1)], [words], [0])


def test_two_hundred_words_fit(tiny_folders, make_clip):
    words = [f'{n} star' for n in range(200)]
    assert build(tiny_folders['qwen2_vl'])([make_clip(1)], [words], [0]).seg_states.isfinite().all()


def test_template_out_of_range(tiny_folders, make_clip):
    with pytest.raises(ValueError, match=r'template must be in 0\.\.5, got 6'):
        build(tiny_folders['qwen2_vl'])([make_clip(1)], [WORDS], [6])


def test_unknown_setting_fails_at_build(tiny_folders):
    with pytest.raises(TypeError, match='freeze_visual'):
        MODELS.build(dict(type='MLLMBackbone', pretrained=str(tiny_folders['qwen2_vl']), freeze_visual=True))
