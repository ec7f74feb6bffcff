"""MLLMBackbone's own promises: what is trained, saved and refused. test_families.py has the forward pass."""

import json
import shutil

import pytest
import torch
from mmengine.runner.checkpoint import get_state_dict, load_state_dict
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from lavida_mm.models.compressors import ReverseAttnCompressor, StaticTokenFilter
from lavida_mm.models.mllm.loading import fingerprint
from lavida_mm.models.tiny.builders import save_tiny_mllm
from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import DataError
from tests.test_models.test_mllm.reference import WORDS, plain_forward


def trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_fresh_lora_and_rows_change_nothing(tiny_folder, make_clip, build):
    clip = make_clip(4)
    state, loss = plain_forward(tiny_folder, clip)
    with torch.no_grad():
        ours = build(tiny_folder, lora=dict(r=4), train_embeddings='seg')([clip], [WORDS], [0])
    torch.testing.assert_close(ours.seg_states, state, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.loss, loss, rtol=1e-5, atol=1e-5)


def test_lora_stays_inside_the_language_model(tiny_folder, build):
    model = build(tiny_folder, lora=dict(r=2, targets=('q_proj', 'v_proj', 'o_proj')))
    names = trained(model)
    inside = f'model.{model.family.language_model}.layers.'
    assert names and all(name.startswith(inside) and '.lora_' in name for name in names)
    assert len(names) == 2 * 3 * 2  # layers, projections, A and B


@pytest.mark.parametrize('flags', range(4))
@pytest.mark.parametrize('embeddings', ['seg', 'all', 'none'])
def test_freeze_flags(tiny_folders, build, flags, embeddings):
    vision, language = bool(flags & 1), bool(flags & 2)
    model = build(
        tiny_folders['qwen2_vl'],
        lora=dict(r=2),
        freeze_vision=vision,
        freeze_language=language,
        train_embeddings=embeddings,
    )
    everything = dict(model.named_parameters())
    expected = {name for name in everything if '.lora_' in name or name.startswith('seg_rows.')}
    if not vision:
        expected |= {name for name in everything if '.visual.' in name}
    if not language:
        expected |= {name for name in everything if '.language_model.' in name and 'embed_tokens' not in name}
    if embeddings == 'all':
        expected |= {name for name in everything if 'embed_tokens' in name or 'lm_head' in name}
    assert trained(model) == expected
    assert ('seg_rows.input_row' in everything) == (embeddings == 'seg')


def test_full_fine_tuning_trains_everything(tiny_folder, make_clip, build):
    model = build(tiny_folder, freeze_vision=False, freeze_language=False, train_embeddings='all').train()
    assert trained(model) == {name for name, _ in model.named_parameters()}
    out = model([make_clip(4)], [WORDS], [0], ReverseAttnCompressor())
    (out.loss + out.seg_states.square().mean()).backward()
    for part in [*model.vision_parts, model.language_model]:
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_gradients_reach_what_is_trained_and_nothing_else(tiny_folder, make_clip, build):
    """The authors' code cut the gradient to the embeddings, `<SEG>`'s included, by compressing under no_grad."""
    model = build(tiny_folder, lora=dict(r=2, dropout=0.0), train_embeddings='seg').train()
    for name, parameter in model.named_parameters():
        if 'lora_B' in name:  # zero to begin with, which hides the gradient of A
            torch.nn.init.normal_(parameter, std=0.1)
    out = model([make_clip(4)], [WORDS], [0], ReverseAttnCompressor())
    (out.seg_states.square().mean() + out.loss).backward()
    reached = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert reached == trained(model)
    assert {'seg_rows.input_row', 'seg_rows.output_row'} <= reached
    assert not any(p.grad is not None for n, p in model.named_parameters() if n not in reached)


def test_gradients_pass_the_merge_to_the_tower(qwen_folder, make_clip, build):
    model = build(qwen_folder, freeze_vision=False).train()
    model([make_clip(4)], [WORDS], [0], ReverseAttnCompressor()).seg_states.square().mean().backward()
    assert any('patch_embed' in n and p.grad.abs().sum() > 0 for n, p in model.named_parameters() if p.grad is not None)


def test_the_rows_of_seg_learn_as_the_matrices_do(tiny_folders, make_clip, build):
    """One step of plain descent with the whole matrices trained moves the rows of `<SEG>` in the same way."""
    losses, rows = [], []
    for embeddings in ('seg', 'all'):
        model = build(tiny_folders['qwen2_vl'], train_embeddings=embeddings)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
        out = model([make_clip(4)], [WORDS], [0])
        (out.loss + out.seg_states.square().mean()).backward()
        losses.append(out.loss.item())
        optimizer.step()
        if model.seg_rows is not None:
            model.seg_rows.write_back(model.model.get_input_embeddings(), model.model.get_output_embeddings())
        seg = model.writer.seg_id
        rows.append((model.model.get_input_embeddings().weight[seg], model.model.get_output_embeddings().weight[seg]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    for ours, theirs in zip(*rows, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_tied_matrices_have_one_row(tiny_folders, tmp_path, make_clip, build):
    folder = tmp_path / 'tied'
    shutil.copytree(tiny_folders['qwen2_vl'], folder)
    config = AutoConfig.from_pretrained(folder)
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = True
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    model = build(folder, train_embeddings='seg')
    assert model.model.get_output_embeddings().weight is model.model.get_input_embeddings().weight
    assert trained(model) == {'seg_rows.input_row'}
    model([make_clip(2)], [WORDS], [0]).loss.backward()
    assert model.seg_rows.input_row.grad.abs().sum() > 0


def test_a_frozen_tower_stays_in_eval_mode_and_takes_no_gradient(tiny_folder, make_clip, build):
    model = build(tiny_folder, train_embeddings='all').train()
    assert model.training and not any(m.training for part in model.vision_parts for m in part.modules())
    model([make_clip(2)], [WORDS], [0]).loss.backward()
    assert all(parameter.grad is None for part in model.vision_parts for parameter in part.parameters())


def test_gradient_checkpointing_changes_no_gradient(tiny_folder, make_clip, build):
    gradients = []
    for checkpointing in (False, True):
        model = build(
            tiny_folder, lora=dict(r=2, dropout=0.0), train_embeddings='seg', gradient_checkpointing=checkpointing
        ).train()
        for name, parameter in model.named_parameters():
            if 'lora_' in name:
                torch.nn.init.constant_(parameter, 0.02)
        model([make_clip(4)], [WORDS], [0], ReverseAttnCompressor()).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and gradients[0]
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_seg_is_added_once_and_spare_rows_stay(tiny_folder, build):
    config = json.loads((tiny_folder / 'config.json').read_text())
    rows = config['text_config']['vocab_size']
    model = build(tiny_folder)
    assert model.writer.seg_id == len(model.writer.tokenizer) - 1 < rows
    assert model.model.get_input_embeddings().num_embeddings == rows == model.model.lm_head.out_features
    assert model.writer.tokenizer.tokenize('is <SEG>.').count('<SEG>') == 1


def test_the_vocabulary_grows_where_no_row_is_spare(tiny_folders, tmp_path, make_clip, build):
    folder = tmp_path / 'full'
    shutil.copytree(tiny_folders['qwen2_vl'], folder)
    plain = AutoModelForImageTextToText.from_pretrained(folder)
    size = len(AutoProcessor.from_pretrained(folder).tokenizer)
    plain.resize_token_embeddings(size)
    plain.save_pretrained(folder)
    models = [build(folder, train_embeddings=kind) for kind in ('seg', 'none')]
    for model in models:
        assert model.model.get_input_embeddings().num_embeddings == size + 1 == model.model.lm_head.out_features
        mean = plain.get_input_embeddings().weight.mean(dim=0)
        torch.testing.assert_close(model.model.get_input_embeddings().weight[size], mean)
    with torch.no_grad():
        states = [model([make_clip(1)], [WORDS], [0]).seg_states for model in models]
    assert states[0].shape == (1, 96) and torch.equal(*states)  # the same row, however often it is loaded


def test_trained_parameters_of_half_precision_weights_are_float32(tiny_folders, make_clip, build):
    settings = dict(lora=dict(r=2), train_embeddings='seg')
    model = build(tiny_folders['qwen2_vl'], dtype='bfloat16', **settings).train()
    kinds = {parameter.dtype for parameter in model.parameters() if parameter.requires_grad}
    assert kinds == {torch.float32}
    assert model.vision_parts[0].patch_embed.proj.weight.dtype == torch.bfloat16
    out = model([make_clip(4)], [WORDS], [0], ReverseAttnCompressor())
    out.loss.backward()
    exact = build(tiny_folders['qwen2_vl'], **settings)([make_clip(4)], [WORDS], [0], ReverseAttnCompressor())
    assert out.loss.item() == pytest.approx(exact.loss.item(), rel=0.05)


def test_runs_under_autocast(tiny_folder, make_clip, build):
    model = build(tiny_folder, lora=dict(r=2), train_embeddings='seg').train()
    with torch.autocast('cpu', torch.bfloat16):
        out = model([make_clip(4)], [WORDS], [0], ReverseAttnCompressor())
    (out.loss + out.seg_states.float().mean()).backward()
    assert out.loss.isfinite()


def test_budget_of_training_and_test(tiny_folders, make_clip, build):
    model = build(tiny_folders['qwen2_vl'], frame_pixels=(4, 9), test_frame_pixels=(25, 36), image_pixels=(1, 2))
    clip, image = make_clip(4, 96, 96), make_clip(1, 96, 96)
    assert model.train()([clip, image], [WORDS] * 2, [0, 0]).num_tokens_before == [18, 1]
    assert model.eval()([clip, image], [WORDS] * 2, [0, 0]).num_tokens_before == [50, 1]
    assert model.count_visual_tokens(4, 96, 96, training=True) == 18
    assert model.count_visual_tokens(4, 96, 96, training=False) == 50
    assert model.count_visual_tokens(1, 96, 96, training=False) == 1


def test_shows_only_some_frames(tiny_folders, make_clip, build):
    clip = make_clip(7)
    with torch.no_grad():
        some = build(tiny_folders['qwen2_vl'], llm_sample_frames=3)([clip], [WORDS], [0])
        chosen = build(tiny_folders['qwen2_vl'])([clip[[0, 3, 6]]], [WORDS], [0])
    torch.testing.assert_close(some.seg_states, chosen.seg_states)


def test_initialising_twice_keeps_the_loaded_weights(tiny_folders, build):
    model = build(tiny_folders['qwen2_vl'], train_embeddings='seg')
    before = {name: value.clone() for name, value in model.named_parameters()}
    model.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


LORA = dict(lora=dict(r=2), train_embeddings='seg')


def shake(model):
    """Give what is trained other values, as training would."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def test_the_state_dict_holds_what_is_trained_and_no_more(tiny_folder, build):
    model = build(tiny_folder, **LORA)
    for state in (model.state_dict(), get_state_dict(model)):  # torch's way and mmengine's
        assert set(state) == trained(model) | {'base_fingerprint', 'lora_alpha'}
    size = sum(value.nbytes for value in model.state_dict().values())
    assert size < 0.2 * sum(path.stat().st_size for path in tiny_folder.glob('*.safetensors'))


@pytest.mark.parametrize('settings', [LORA, dict(freeze_language=False, train_embeddings='all')])
def test_what_was_saved_gives_identical_outputs(tiny_folder, make_clip, build, settings, caplog):
    source, model = shake(build(tiny_folder, **settings)), build(tiny_folder, **settings)
    with torch.no_grad():
        wanted = source([make_clip(4)], [WORDS], [0])
        assert not torch.equal(model([make_clip(4)], [WORDS], [0]).seg_states, wanted.seg_states)
        load_state_dict(model, {name: value.clone() for name, value in source.state_dict().items()}, strict=True)
        found = model([make_clip(4)], [WORDS], [0])
    assert torch.equal(found.seg_states, wanted.seg_states) and torch.equal(found.loss, wanted.loss)


def test_loads_its_part_of_a_checkpoint(tiny_folders, tmp_path, build):
    source = build(tiny_folders['qwen2_vl'], **LORA)
    torch.nn.init.constant_(source.seg_rows.input_row, 3.0)
    torch.save({'state_dict': {f'mllm.{k}': v for k, v in source.state_dict().items()}}, tmp_path / 'all.pth')
    model = build(
        tiny_folders['qwen2_vl'],
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'all.pth'), prefix='mllm.'),
        **LORA,
    )
    model.init_weights()
    assert (model.seg_rows.input_row == 3).all()


def test_adapters_of_another_base_model_are_refused(tiny_folders, tmp_path, build):
    other = tmp_path / 'other'
    save_tiny_mllm(other, family='qwen2_vl', seed=1)
    state = build(other, **LORA).state_dict()
    model = build(tiny_folders['qwen2_vl'], **LORA)
    with pytest.raises(DataError, match=r'base_fingerprint: .* another base model than MLLMBackbone.pretrained='):
        load_state_dict(model, state)
    del state['base_fingerprint']  # a checkpoint of before they were written
    load_state_dict(model, state)


def test_a_checkpoint_with_all_weights_needs_no_base(tiny_folders, tmp_path, build):
    other = tmp_path / 'other'
    save_tiny_mllm(other, family='qwen2_vl', seed=1)
    everything = dict(freeze_vision=False, freeze_language=False, train_embeddings='all')
    model = build(tiny_folders['qwen2_vl'], **everything)
    load_state_dict(model, build(other, **everything).state_dict(), strict=True)


def test_of_tied_weights_a_checkpoint_needs_one_name(tmp_path, build):
    save_tiny_mllm(tmp_path, wide=True)
    everything = dict(freeze_vision=False, freeze_language=False, train_embeddings='all')
    state = build(tmp_path, **everything).state_dict()
    model = build(tmp_path, **everything)
    assert model.model.get_output_embeddings().weight is model.model.get_input_embeddings().weight
    load_state_dict(model, {name: value for name, value in state.items() if 'lm_head' not in name}, strict=True)
    embeddings = next(name for name in state if name.endswith('embed_tokens.weight'))
    with pytest.raises(RuntimeError, match='embed_tokens'):
        load_state_dict(model, {name: value for name, value in state.items() if name != embeddings}, strict=True)


def test_the_fingerprint_is_of_the_values_not_of_their_precision(tiny_folders, tmp_path):
    plain = AutoModelForImageTextToText.from_pretrained(tiny_folders['qwen2_vl'])
    plain.bfloat16().save_pretrained(tmp_path / 'half')
    ours = fingerprint(tiny_folders['qwen2_vl'])
    assert ours.dtype == torch.uint8 and ours.shape == (32,)
    assert torch.equal(ours, fingerprint(tmp_path / 'half'))
    (tmp_path / 'torch').mkdir()
    torch.save(load_file(tiny_folders['qwen2_vl'] / 'model.safetensors'), tmp_path / 'torch' / 'pytorch_model.bin')
    assert torch.equal(ours, fingerprint(tmp_path / 'torch'))
    plain.lm_head.weight.data[0, 0] += 1
    plain.save_pretrained(tmp_path / 'changed')
    assert not torch.equal(ours, fingerprint(tmp_path / 'changed'))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(frame_pixels=(0, 4)), r'frame_pixels must be two integers, 1 <= least <= most.*\(0, 4\)'),
        (dict(frame_pixels=(9, 4)), 'frame_pixels must be two integers'),
        (dict(test_frame_pixels=(4,)), 'test_frame_pixels must be two integers'),
        (dict(image_pixels=(2.5, 4)), 'image_pixels must be two integers'),
        (dict(llm_sample_frames=0), 'llm_sample_frames must be an integer, at least 1, or None, got 0'),
        (dict(llm_sample_frames=1.5), 'llm_sample_frames must be an integer.*got 1.5'),
        (dict(frame_pixels=5), 'frame_pixels must be two integers.*got 5'),
        (dict(image_pixels=0), 'image_pixels must be two integers.*got 0'),
        (dict(freeze_vision='abc'), "freeze_vision must be True or False, got 'abc'"),
        (dict(gradient_checkpointing=1), 'gradient_checkpointing must be True or False, got 1'),
        (dict(lora=True), 'lora must be a dict or None, got True'),
        (dict(lora=dict(alpha='abc')), "lora.alpha must be a number above 0, got 'abc'"),
        (dict(lora=dict(dropout=None)), r'lora.dropout must be a number in \[0, 1\), got None'),
        (dict(lora=dict(targets=[1])), r'lora.targets must be a list of projection names, got \[1\]'),
        (dict(dtype='half'), "dtype must be one of .*'half'"),
        (dict(attn_implementation='flash'), "attn_implementation must be one of .*'flash'"),
        (dict(quantize='8bit'), "quantize must be None or '4bit', got '8bit'"),
        (dict(quantize='4bit', freeze_language=False), 'needs freeze_language=True'),
        (dict(train_embeddings=True), 'train_embeddings must be one of seg, all, none, got True'),
        (dict(lora=dict(rank=4)), r"lora: unknown keys \['rank'\]"),
        (dict(lora=dict(r=0)), 'lora.r must be an integer >= 1, got 0'),
        (dict(lora=dict(alpha=0)), 'lora.alpha must be a number above 0, got 0'),
        (dict(lora=dict(dropout=1.0)), r'lora.dropout must be a number in \[0, 1\), got 1.0'),
        (dict(lora=dict(targets='q_proj')), 'lora.targets must be a list'),
        (dict(lora=dict(targets=('q_proj', 'qkv'))), "no layer of the language model has a projection 'qkv'"),
    ],
)
def test_settings_out_of_range(tiny_folders, build, settings, message):
    with pytest.raises(ValueError, match=message):
        build(tiny_folders['qwen2_vl'], **settings)


@pytest.mark.parametrize(
    ('settings', 'cure'),
    [
        (dict(attn_implementation='flash_attention_2'), 'pip install flash-attn'),
        (dict(quantize='4bit'), r'pip install lavida_mm\[qlora\]'),
    ],
)
def test_a_package_that_is_not_here_is_named_with_its_cure(tiny_folders, build, monkeypatch, settings, cure):
    monkeypatch.setattr('transformers.utils.is_flash_attn_2_available', lambda: False)
    monkeypatch.setattr('transformers.utils.is_bitsandbytes_available', lambda: False)
    with pytest.raises(ImportError, match=cure):
        build(tiny_folders['qwen2_vl'], **settings)


def test_numbers_as_words_are_named_with_their_cure(tiny_folders, build, monkeypatch):
    monkeypatch.setattr('transformers.models.smolvlm.processing_smolvlm.num2words', None)
    with pytest.raises(ImportError, match=r'SmolVLM writes numbers as words: pip install lavida_mm\[smolvlm\]'):
        build(tiny_folders['smolvlm'])


def with_config(folder, tmp_path, **config):
    shutil.copytree(folder, tmp_path / 'other')
    stored = json.loads((folder / 'config.json').read_text())
    (tmp_path / 'other' / 'config.json').write_text(json.dumps({'dtype': stored['dtype'], **config}))
    return tmp_path / 'other'


def test_an_unknown_family_says_which_are_served_and_how_to_add_one(tiny_folders, tmp_path, build):
    folder = with_config(tiny_folders['qwen2_vl'], tmp_path, model_type='llava_next')
    with pytest.raises(ValueError, match=r"model_type 'llava_next'.*served: internvl, .*qwen3_vl.*docs/backbones.md"):
        build(folder)


def damage(folder, tmp_path, name, text):
    shutil.copytree(folder, tmp_path / 'damaged')
    path = tmp_path / 'damaged' / name
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text if isinstance(text, bytes) else path.read_bytes()[:text])
    return tmp_path / 'damaged'


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('model.safetensors', 1000, 'is no whole model of transformers: SafetensorError'),
        ('model.safetensors', b'', 'is no whole model of transformers'),
        ('config.json', b'{', 'is no whole model of transformers: JSONDecodeError'),
        ('config.json', b'[]', 'is no whole model of transformers: AttributeError'),
        ('config.json', b'{"model_type": "nope"}', "config.json: model_type must be one that .*got 'nope'"),
        ('tokenizer.json', b'{', 'is no whole model of transformers'),
        ('tokenizer.json', None, 'tokenizer.json: must be there, with tokens for any text'),
        ('chat_template.jinja', b'{% for %}', 'is no whole model of transformers: TemplateSyntaxError'),
    ],
)
def test_a_damaged_folder_is_named(tiny_folders, tmp_path, build, name, text, message):
    folder = damage(tiny_folders['qwen2_vl'], tmp_path, name, text)
    with pytest.raises(DataError, match=message) as caught:
        build(folder)
    assert str(folder) in str(caught.value)


def test_weights_that_are_missing_are_not_drawn_at_random(tiny_folders, tmp_path, build):
    shutil.copytree(tiny_folders['qwen2_vl'], tmp_path / 'short')
    config = json.loads((tmp_path / 'short' / 'config.json').read_text())
    config['text_config'].update(num_hidden_layers=3, layer_types=['full_attention'] * 3)
    (tmp_path / 'short' / 'config.json').write_text(json.dumps(config))
    with pytest.raises(DataError, match=r'lacks 12 weights that its config.json asks for, the first is .*layers\.2\.'):
        build(tmp_path / 'short')


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(lora=None, train_embeddings='seg'), 'is in the checkpoint and has no place in MLLMBackbone'),
        (dict(lora=dict(r=2, targets=['q_proj']), train_embeddings='seg'), 'v_proj.* has no place .*nor have 3 more'),
        (dict(lora=dict(r=2), train_embeddings='none'), 'seg_rows.* has no place'),
        (dict(lora=dict(r=2, alpha=160), train_embeddings='seg'), 'lora.alpha must be 16 as in the training, got 160'),
    ],
)
def test_adapters_that_have_no_place_are_refused(tiny_folders, build, settings, message):
    state = build(tiny_folders['qwen2_vl'], **LORA).state_dict()
    with pytest.raises(DataError, match=message):
        load_state_dict(build(tiny_folders['qwen2_vl'], **settings), state)


@pytest.mark.parametrize(
    'clip', [torch.zeros(0, 3, 8, 8), torch.zeros(2, 3, 0, 8), torch.zeros(2, 1, 8, 8), torch.zeros(3, 8, 8)]
)
def test_what_is_no_clip(tiny_folder, build, clip):
    with pytest.raises(DataError, match=r'a clip must be uint8 frames \(T, 3, H, W\), at least one'):
        build(tiny_folder)([clip.byte()], [WORDS], [0])


def test_frames_of_other_numbers_are_no_frames(tiny_folders, make_clip, build):
    with pytest.raises(DataError, match=r'a clip must be uint8 frames .*got torch.float32'):
        build(tiny_folders['qwen2_vl'])([make_clip(2).float()], [WORDS], [0])


def test_a_text_model_is_no_backbone(tiny_folders, tmp_path, build):
    folder = with_config(tiny_folders['qwen2_vl'], tmp_path, model_type='qwen2')
    with pytest.raises(ValueError, match="must be a vision-language model, got one of model_type 'qwen2'"):
        build(folder)


def test_a_chat_template_that_hides_the_answer(tiny_folders, tmp_path, make_clip, build):
    folder = tmp_path / 'other'
    shutil.copytree(tiny_folders['qwen2_vl'], folder)
    template = (folder / 'chat_template.jinja').read_text()
    (folder / 'chat_template.jinja').write_text(template.replace("{{ part['text'] }}", ''))
    with pytest.raises(DataError, match='chat_template: must show question and answer once'):
        build(folder)([make_clip(1)], [WORDS], [0])


@pytest.mark.parametrize('answer', ['nothing', 'two <SEG> of <SEG>'])
def test_an_answer_holds_one_seg(tiny_folders, make_clip, build, monkeypatch, answer):
    monkeypatch.setattr('lavida_mm.models.mllm.prompt_writer.build_answer', lambda template: answer)
    with pytest.raises(DataError, match=f'must hold exactly one <SEG>, got {answer.count("<SEG>")}'):
        build(tiny_folders['qwen2_vl'])([make_clip(1)], [WORDS], [0])


def test_a_tokenizer_that_cannot_take_seg(tiny_folders, build, monkeypatch):
    monkeypatch.setattr('transformers.PreTrainedTokenizerFast.add_tokens', lambda *_, **__: 0)
    with pytest.raises(DataError, match='<SEG> must be one token, and is not'):
        build(tiny_folders['qwen2_vl'])


def test_tokens_that_are_not_finite_name_the_sample(tiny_folders, make_clip, build):
    model = build(tiny_folders['internvl'])
    embed = model.family.embed

    def broken(*arguments):
        rows = embed(*arguments)
        rows[1].tokens[3, 2] = float('nan')
        return rows

    model.family.embed = broken
    with pytest.raises(ValueError, match='sample 1 of the batch: tokens must be finite'), torch.no_grad():
        model([make_clip(2), make_clip(2)], [WORDS] * 2, [0, 0], ReverseAttnCompressor())


@pytest.mark.parametrize('family', ['internvl', 'llava_onevision', 'smolvlm'])
def test_whole_frames_cannot_be_filtered(tiny_folders, make_clip, build, family):
    with pytest.raises(ValueError, match=r'token_filter=StaticTokenFilter.*cannot do: its tower takes whole frames'):
        build(tiny_folders[family])([make_clip(2)], [WORDS], [0], None, StaticTokenFilter())


@pytest.mark.parametrize(
    'words', [[], 'star', [None], ['star', ' '], ['<SEG>'], ['a <|video_pad|> b'], ['x<|im_end|>']]
)
def test_words_that_cannot_be_asked_for(tiny_folders, make_clip, build, words):
    with pytest.raises(DataError, match='categories'):
        build(tiny_folders['qwen2_vl'])([make_clip(1)], [words], [0])


def test_a_prompt_longer_than_the_context(tiny_folders, make_clip, build):
    words = [f'thing number {n}' for n in range(400)]
    with pytest.raises(DataError, match=r'400 words.*more than the context of 2048'):
        build(tiny_folders['qwen2_vl'])([make_clip(1)], [words], [0])


def test_two_hundred_words_fit(tiny_folders, make_clip, build):
    words = [f'{n} star' for n in range(200)]
    assert build(tiny_folders['qwen2_vl'])([make_clip(1)], [words], [0]).seg_states.isfinite().all()


def test_template_out_of_range(tiny_folders, make_clip, build):
    with pytest.raises(ValueError, match=r'template must be in 0\.\.5, got 6'):
        build(tiny_folders['qwen2_vl'])([make_clip(1)], [WORDS], [6])


def test_unknown_setting_fails_at_build(tiny_folders):
    with pytest.raises(TypeError, match='freeze_visual'):
        MODELS.build(dict(type='MLLMBackbone', pretrained=str(tiny_folders['qwen2_vl']), freeze_visual=True))
