"""MLLMTextEncoder: the MLLM's own embeddings, without a second model."""

import copy

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from lavida_mm.models.mllm import MLLMBackbone
from lavida_mm.models.text_encoders import MLLMTextEncoder
from lavida_mm.models.tiny.builders import save_tiny_mllm
from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import DataError
from tests.conftest import ROOT

WORDS = ['red star', 'a cross that moves left', 'Ähre']
PIXELS = (16, 16)


@pytest.fixture(scope='module', params=['qwen2_vl', 'smolvlm'])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp('mllm') / request.param
    save_tiny_mllm(path, family=request.param, seed=0)
    return str(path)


def bound_encoder(folder, train_embeddings='seg'):
    mllm = MLLMBackbone(pretrained=folder, frame_pixels=PIXELS, train_embeddings=train_embeddings)
    encoder = MODELS.build(dict(type='MLLMTextEncoder'))
    encoder.bind(mllm)
    return encoder, mllm


def reference(folder, words):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    embed = AutoModelForImageTextToText.from_pretrained(folder).get_input_embeddings()
    with torch.no_grad():
        return torch.stack([embed(torch.tensor(tokenizer.encode(f' {word}'))).mean(dim=0) for word in words])


@pytest.mark.parametrize('train_embeddings', ['seg', 'all'])
@pytest.mark.parametrize('training', [True, False])
def test_equals_plain_transformers(folder, train_embeddings, training):
    encoder, mllm = bound_encoder(folder, train_embeddings)
    features = encoder.train(training)(WORDS)
    torch.testing.assert_close(features.detach(), reference(folder, WORDS), rtol=1e-5, atol=1e-5)
    assert encoder.out_channels == mllm.hidden_size == features.shape[1]
    assert features.requires_grad == (train_embeddings == 'all')


def test_the_tokens_are_those_that_the_prompt_holds(folder):
    _, mllm = bound_encoder(folder)
    tokenizer = mllm.writer.tokenizer
    row = tokenizer(' red star', add_special_tokens=False)['input_ids']
    prompt = tokenizer('Find what is unusual here: blue ring, red star.', add_special_tokens=False)['input_ids']
    assert any(prompt[place : place + len(row)] == row for place in range(len(prompt)))


def test_features_are_remembered_while_the_embeddings_are_frozen(folder):
    frozen, _ = bound_encoder(folder)
    frozen(['star'])
    assert list(frozen._cache) == ['star']
    trained, mllm = bound_encoder(folder, 'all')
    before = trained(['star'])
    before.square().sum().backward()
    weight = mllm.model.get_input_embeddings().weight
    assert weight.grad.any()
    torch.optim.SGD([weight], lr=1.0).step()
    assert (trained(['star']) - before).abs().max() > 1e-4
    assert not trained._cache


def test_the_mllm_is_not_a_part_of_it(folder):
    encoder, _ = bound_encoder(folder)
    assert not list(encoder.parameters()) and not encoder.state_dict()
    assert list(encoder.modules()) == [encoder]


def test_copies_of_a_model_use_their_own_mllm(folder):
    """An average of the weights is kept in a deep copy of the whole model."""
    encoder, mllm = bound_encoder(folder)
    model = torch.nn.ModuleDict({'mllm': mllm, 'text_encoder': encoder})
    twin = copy.deepcopy(model)
    assert twin['text_encoder'].mllm is twin['mllm'] is not mllm


def test_without_an_mllm_it_says_who_binds_it():
    with pytest.raises(RuntimeError, match=r'call bind\(mllm\), as LAVIDA does'):
        MLLMTextEncoder()(['star'])


def test_on_meta_there_are_no_features(folder):
    with torch.device('meta'):
        encoder, mllm = bound_encoder(folder)
    assert encoder.out_channels == mllm.hidden_size
    with pytest.raises(RuntimeError, match='shapes but no weights'):
        encoder(['star'])


@pytest.mark.parametrize('words', [[], ['star', ''], ['  ']])
def test_words_that_are_none(folder, words):
    with pytest.raises(DataError, match='words must'):
        bound_encoder(folder)[0](words)


def test_lavida_binds_its_own_mllm(monkeypatch):
    from lavida_mm.engine.launch import load_config

    monkeypatch.chdir(ROOT)
    model = MODELS.build(load_config('configs/examples/tiny_mllm_text.py').model)
    assert model.text_encoder.mllm is model.mllm
    names = [name for name, _ in model.named_parameters()]
    assert len(names) == len(set(names)) and not [name for name in names if name.startswith('text_encoder')]
