"""CLIPTextEncoder against plain transformers, and its memory."""

import shutil

import pytest
import torch
from transformers import AutoTokenizer, CLIPConfig, CLIPModel, CLIPTextModelWithProjection

from lavida_mm.datasets.synthetic.vocabulary import COLOURS, SHAPES
from lavida_mm.models.text_encoders import CLIPTextEncoder, text_encoder
from lavida_mm.models.tiny.builders import save_tiny_clip_text
from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import DataError

WORDS = ['red star', 'blue ring', 'a cross that moves left', 'Ähre']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('clip') / 'clip_text'
    save_tiny_clip_text(path, seed=0)
    return str(path)


def reference(folder, words):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = CLIPTextModelWithProjection.from_pretrained(folder).eval()
    with torch.no_grad():
        return torch.cat([model(**tokenizer([word], return_tensors='pt')).text_embeds for word in words])


@pytest.mark.parametrize('freeze', [True, False])
@pytest.mark.parametrize('training', [True, False])
def test_equals_plain_transformers(folder, freeze, training):
    encoder = CLIPTextEncoder(pretrained=folder, freeze=freeze).train(training)
    features = encoder(WORDS)
    assert encoder.out_channels == 64
    torch.testing.assert_close(features.detach(), reference(folder, WORDS), rtol=1e-5, atol=1e-5)
    assert features.requires_grad == (not freeze)


def test_different_words_differ(folder):
    words = [f'{colour} {shape}' for colour in COLOURS for shape in SHAPES]
    features = CLIPTextEncoder(pretrained=folder).eval()(words)
    cosine = torch.nn.functional.cosine_similarity(features[:, None], features[None], dim=-1)
    assert (cosine - torch.eye(len(words))).max() < 0.99


def count_calls(encoder, monkeypatch):
    calls = []
    encode = encoder.encode
    monkeypatch.setattr(encoder, 'encode', lambda words: calls.extend(words) or encode(words))
    return calls


def test_a_frozen_encoder_runs_once_per_word(folder, monkeypatch):
    encoder = CLIPTextEncoder(pretrained=folder).eval()
    calls = count_calls(encoder, monkeypatch)
    first = encoder(['red star', 'blue ring', 'red star'])
    second = encoder(['blue ring', 'cross', 'red star'])
    assert calls == ['red star', 'blue ring', 'cross']
    assert torch.equal(first[0], first[2]) and torch.equal(first[0], second[2]) and torch.equal(first[1], second[0])


def test_features_do_not_depend_on_the_words_beside_them_at_test(folder):
    long = 'a cross that moves left behind the others and enters last'
    alone = CLIPTextEncoder(pretrained=folder).eval()(['star'])
    beside = CLIPTextEncoder(pretrained=folder).eval()([long, 'star'])
    assert torch.equal(alone[0], beside[1])


def test_the_memory_is_bounded_and_keeps_the_latest(folder, monkeypatch):
    monkeypatch.setattr(text_encoder, 'CACHE_SIZE', 3)
    encoder = CLIPTextEncoder(pretrained=folder).eval()
    encoder(['a', 'b', 'c'])
    encoder(['a'])
    encoder(['d'])
    assert list(encoder._cache) == ['c', 'a', 'd']
    assert encoder(['a', 'b', 'c', 'd', 'e']).shape == (5, 64)
    assert len(encoder._cache) == 3


def test_new_weights_bring_new_features(folder):
    encoder = CLIPTextEncoder(pretrained=folder).eval()
    before = encoder(['star'])
    encoder.load_state_dict({name: value * 1.5 for name, value in encoder.state_dict().items()})
    assert (encoder(['star']) - before).abs().max() > 1e-3


def test_an_unfrozen_encoder_follows_its_weights(folder):
    encoder = CLIPTextEncoder(pretrained=folder, freeze=False).eval()
    with torch.no_grad():
        before = encoder(['star'])
    encoder.train()
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)
    encoder(['star']).square().sum().backward()
    optimizer.step()
    encoder.eval()
    with torch.no_grad():
        assert (encoder(['star']) - before).abs().max() > 1e-3


def test_autocast_does_not_change_the_features(folder):
    encoder = CLIPTextEncoder(pretrained=folder)
    with torch.autocast('cpu', torch.bfloat16):
        cast = encoder(['star'])
    assert torch.equal(cast, CLIPTextEncoder(pretrained=folder)(['star']))


def test_a_phrase_longer_than_the_context_is_cut(folder):
    assert CLIPTextEncoder(pretrained=folder)(['star ' * 500]).isfinite().all()


@pytest.mark.parametrize('words', [[], ['star', ''], ['  '], [None]])
def test_words_that_are_none(folder, words):
    with pytest.raises(DataError, match='words must'):
        CLIPTextEncoder(pretrained=folder)(words)


def test_reads_the_text_half_of_a_whole_clip(folder, tmp_path):
    """The released folder holds both halves of CLIP."""
    whole = tmp_path / 'clip'
    text = CLIPTextModelWithProjection.from_pretrained(folder)
    vision = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, image_size=32)
    config = CLIPConfig(text_config=text.config.to_dict(), vision_config=vision, projection_dim=64)
    model = CLIPModel(config)
    model.text_model.load_state_dict(text.text_model.state_dict())
    model.text_projection.load_state_dict(text.text_projection.state_dict())
    model.save_pretrained(whole)
    for name in ('tokenizer.json', 'tokenizer_config.json'):
        shutil.copy(f'{folder}/{name}', whole / name)
    encoder = CLIPTextEncoder(pretrained=str(whole)).eval()
    torch.testing.assert_close(encoder(WORDS), reference(folder, WORDS), rtol=1e-5, atol=1e-5)


def test_loads_its_part_of_a_checkpoint(folder, tmp_path):
    state = {f'text_encoder.{k}': v + 1 for k, v in CLIPTextEncoder(pretrained=folder).state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'stage0.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'stage0.pth'), prefix='text_encoder.')
    encoder = MODELS.build(dict(type='CLIPTextEncoder', pretrained=folder, init_cfg=init))
    encoder.init_weights()
    assert all(torch.equal(value, state[f'text_encoder.{name}']) for name, value in encoder.state_dict().items())
