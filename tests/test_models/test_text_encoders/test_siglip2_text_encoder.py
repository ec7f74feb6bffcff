"""SigLIP2TextEncoder against plain transformers, on tiny models in the released format."""

import json

import pytest
import torch
from tokenizers import trainers
from transformers import AutoTokenizer, GemmaTokenizer, Siglip2Config, Siglip2Model, SiglipConfig, SiglipModel

from lavida_mm.models.text_encoders import SigLIP2TextEncoder
from lavida_mm.models.tiny.builders import save_tiny_clip_text
from lavida_mm.models.tiny.vocabulary import build_corpus
from lavida_mm.utils.errors import DataError

WORDS = ['red star', 'a cross that moves left', 'Ähre', 'star ' * 100]
CONTEXT = 64


def train_tokenizer():
    """A tokenizer of Gemma's kind with the settings of the released SigLIP 2 checkpoints."""
    special = ['<pad>', '<eos>', '<bos>', '<unk>', '<mask>', *(f'<0x{byte:02X}>' for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    learner = GemmaTokenizer().backend_tokenizer
    learner.train_from_iterator(build_corpus(()), trainer)
    learnt = json.loads(learner.to_str())['model']
    return GemmaTokenizer(
        vocab=learnt['vocab'], merges=[tuple(pair) for pair in learnt['merges']], add_bos_token=False,
        add_eos_token=True, padding_side='right', model_input_names=['input_ids'],
    )  # fmt: skip


@pytest.fixture(scope='module', params=['siglip', 'siglip2'])
def folder(request, tmp_path_factory):
    """As released: both halves of the model; a fixed image size is stored as siglip, NaFlex as siglip2."""
    path = tmp_path_factory.mktemp(request.param) / 'model'
    tokenizer = train_tokenizer()
    sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
    ends = dict(bos_token_id=None, eos_token_id=None)  # the default ids lie outside of a vocabulary this small
    text = dict(**sizes, **ends, vocab_size=len(tokenizer), projection_size=24)
    config_class, model_class = {'siglip': (SiglipConfig, SiglipModel), 'siglip2': (Siglip2Config, Siglip2Model)}[
        request.param
    ]
    torch.manual_seed(0)
    model_class(config_class(text_config=text, vision_config=sizes)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def reference(folder, words):
    """Pooled features of the whole model, on the texts prepared as its authors did."""
    model_class = (
        SiglipModel if json.loads((folder / 'config.json').read_text())['model_type'] == 'siglip' else Siglip2Model
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lower = [word.lower() for word in words]
    ids = tokenizer(lower, padding='max_length', max_length=CONTEXT, truncation=True, return_tensors='pt')['input_ids']
    with torch.no_grad():
        return model_class.from_pretrained(folder).eval().get_text_features(input_ids=ids).pooler_output


@pytest.mark.parametrize('freeze', [True, False])
@pytest.mark.parametrize('training', [True, False])
def test_equals_plain_transformers(folder, freeze, training):
    encoder = SigLIP2TextEncoder(pretrained=str(folder), freeze=freeze).train(training)
    features = encoder(WORDS)
    assert encoder.out_channels == 24
    torch.testing.assert_close(features.detach(), reference(folder, WORDS), rtol=1e-5, atol=1e-5)
    assert features.requires_grad == (not freeze)


def test_tokenizer_settings_that_differ_from_training_do_not_matter(folder, tmp_path):
    """What transformers makes of a Gemma tokenizer where nothing is said: <bos> in front, padding on the left."""
    encoder = SigLIP2TextEncoder(pretrained=str(folder)).eval()
    expected = encoder(WORDS)
    tokenizer = AutoTokenizer.from_pretrained(folder, add_bos_token=True, add_eos_token=False, padding_side='left')
    assert tokenizer(['star'])['input_ids'][0][0] == tokenizer.bos_token_id
    encoder._tokenizer = tokenizer
    encoder._cache.clear()
    assert torch.equal(encoder(WORDS), expected)


def test_capitals_do_not_matter(folder):
    encoder = SigLIP2TextEncoder(pretrained=str(folder)).eval()
    assert torch.equal(encoder(['Red Star']), encoder(['red star']))


def test_a_frozen_encoder_runs_once_per_word(folder, monkeypatch):
    encoder = SigLIP2TextEncoder(pretrained=str(folder)).eval()
    calls = []
    encode = encoder.encode
    monkeypatch.setattr(encoder, 'encode', lambda words: calls.extend(words) or encode(words))
    encoder(['red star', 'ring'])
    encoder(['ring', 'cross', 'red star'])
    assert calls == ['red star', 'ring', 'cross']


def test_a_local_folder_builds_on_meta(folder):
    with torch.device('meta'):
        shapes = SigLIP2TextEncoder(pretrained=str(folder))
    loaded = SigLIP2TextEncoder(pretrained=str(folder))
    assert {n: p.shape for n, p in shapes.named_parameters()} == {n: p.shape for n, p in loaded.named_parameters()}


def test_another_model_family_is_refused(tmp_path):
    save_tiny_clip_text(tmp_path, seed=0)
    with pytest.raises(ValueError, match=r"model_type must be one of siglip, .*, got 'clip_text_model'"):
        SigLIP2TextEncoder(pretrained=str(tmp_path))


def test_weights_that_are_not_there_are_named(folder, tmp_path):
    """transformers would draw them at random and go on."""
    from safetensors.torch import load_file, save_file

    for name in ('config.json', 'tokenizer.json', 'tokenizer_config.json'):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    weights = load_file(folder / 'model.safetensors')
    weights = {name: value for name, value in weights.items() if not name.startswith('text_model.head')}
    save_file(weights, tmp_path / 'model.safetensors', metadata={'format': 'pt'})
    with pytest.raises(DataError, match=r'lack 2 parts of the text tower, such as .*head\.bias'):
        SigLIP2TextEncoder(pretrained=str(tmp_path))


@pytest.mark.parametrize(
    ('pretrained', 'channels', 'layers'),
    [
        ('google/siglip2-base-patch16-224', 768, 12),
        ('google/siglip2-base-patch16-naflex', 768, 12),
        ('google/siglip2-large-patch16-256', 1024, 24),
        ('google/siglip2-so400m-patch14-384', 1152, 27),
    ],
)
def test_released_sizes_build_on_meta(pretrained, channels, layers):
    with torch.device('meta'):
        encoder = SigLIP2TextEncoder(pretrained=pretrained)
    shapes = {name: tuple(value.shape) for name, value in encoder.model.named_parameters()}
    assert encoder.out_channels == channels
    assert shapes['embeddings.token_embedding.weight'] == (256000, channels)
    assert shapes['embeddings.position_embedding.weight'] == (CONTEXT, channels)
    assert shapes['head.weight'] == (channels, channels)
    assert f'encoder.layers.{layers - 1}.mlp.fc1.weight' in shapes
    assert f'encoder.layers.{layers}.mlp.fc1.weight' not in shapes
    with pytest.raises(RuntimeError, match='SigLIP2TextEncoder was built on the meta device'):
        encoder(['star'])
