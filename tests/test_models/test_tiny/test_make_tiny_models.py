"""The tool that builds the tiny models: small, the same for the same seed, whole or absent."""

import importlib.util
import sys

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor, AutoTokenizer

from lavida_mm.models.mllm import MLLMBackbone
from lavida_mm.models.tiny.builders import MLLM_FAMILIES, save_tiny_mllm
from lavida_mm.utils.errors import run_tool
from tests.conftest import ROOT


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('make_tiny', ROOT / 'tools/model_tools/make_tiny_models.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(tool, *arguments):
    """Exit code of the tool."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['make_tiny_models.py', *map(str, arguments)])
        try:
            run_tool(tool.main)
        except SystemExit as end:
            return end.code
    return 0


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.fixture(scope='module')
def made(tool, tmp_path_factory):
    folder = tmp_path_factory.mktemp('made') / 'tiny'
    assert run(tool, '--out', folder, '--seed', 0) == 0
    return folder


def test_small_and_nothing_beside(made):
    assert sorted(path.name for path in made.iterdir()) == ['clip_text', 'mllm']
    assert sum(map(len, contents(made).values())) < 3e6


def test_the_shipped_models_are_what_the_tool_makes(made):
    shipped = ROOT / 'checkpoints/tiny'
    for part in ('mllm', 'clip_text'):
        ours, theirs = load_file(made / part / 'model.safetensors'), load_file(shipped / part / 'model.safetensors')
        assert ours.keys() == theirs.keys()
        # Orthogonal draws go through LAPACK, whose last digits differ between machines.
        assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)
        tokenizer = made / part / 'tokenizer.json'
        assert tokenizer.read_bytes() == (shipped / part / 'tokenizer.json').read_bytes()


def test_the_same_seed_gives_the_same_bytes_and_another_others(tool, made, tmp_path):
    assert run(tool, '--out', tmp_path / 'again') == 0
    assert contents(tmp_path / 'again') == contents(made)
    state = torch.random.get_rng_state()
    save_tiny_mllm(tmp_path / 'other', seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    first, second = (load_file(path / 'model.safetensors') for path in (made / 'mllm', tmp_path / 'other'))
    assert not torch.equal(first['lm_head.weight'], second['lm_head.weight'])


def test_further_words_are_one_token_each(tool, tmp_path):
    assert run(tool, '--wide', '--words', 'running', 'fallen', '--out', tmp_path) == 0
    for folder in ('mllm_wide', 'clip_text'):
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / folder)
        for word in ('running', 'fallen', 'red', 'limping'):
            number = len(tokenizer(f' {word}', add_special_tokens=False)['input_ids'])
            assert (number == 1) == (word != 'limping'), (folder, word)


def test_reloads_by_the_automatic_classes(made):
    processor = AutoProcessor.from_pretrained(made / 'mllm')
    assert type(processor).__name__ == 'Qwen2VLProcessor'
    assert (processor.video_processor.patch_size, processor.video_processor.merge_size) == (12, 2)
    text = '<|im_start|>user\n<|video_pad|>Wörter, 火 {x}<|im_end|>'
    assert processor.tokenizer.decode(processor.tokenizer(text)['input_ids']) == text
    clip = AutoTokenizer.from_pretrained(made / 'clip_text')
    ids = clip('zürich hafen 火')['input_ids']
    assert ids[0] == clip.bos_token_id and ids.index(clip.eos_token_id) == len(ids) - 1  # no byte is unknown


def test_what_is_there_is_kept_unless_told(tool, made, capsys):
    before = contents(made)
    assert run(tool, '--out', made, '--seed', 5) == 1
    assert '--overwrite replaces it' in capsys.readouterr().err
    assert contents(made) == before


def test_another_family_joins_and_overwriting_replaces(tool, tmp_path):
    folder = tmp_path / 'tiny'
    assert run(tool, '--out', folder, '--family', 'qwen2_5_vl') == 0
    assert sorted(path.name for path in folder.iterdir()) == ['clip_text', 'mllm_qwen2_5']
    model = MLLMBackbone(pretrained=str(folder / 'mllm_qwen2_5'), frame_pixels=(16, 16))
    assert model.model.config.model_type == 'qwen2_5_vl'
    before = contents(folder)
    assert run(tool, '--out', folder, '--family', 'qwen2_5_vl', '--seed', 3, '--overwrite') == 0
    after = contents(folder)
    assert before.keys() == after.keys()
    assert before['mllm_qwen2_5/model.safetensors'] != after['mllm_qwen2_5/model.safetensors']


def test_a_build_that_fails_leaves_the_old_one(tool, made, tmp_path, monkeypatch):
    def fail(path, **settings):
        path.mkdir()
        (path / 'half').touch()
        raise OSError(28, 'No space left on device', str(path))

    monkeypatch.setattr('lavida_mm.models.tiny.builders.save_tiny_mllm', fail)
    before = contents(made)
    assert run(tool, '--out', made, '--overwrite') == 1
    assert contents(made) == before


def test_every_family_has_a_folder_of_its_own(tool):
    assert tuple(tool.FAMILY_FOLDERS) == MLLM_FAMILIES
    assert len({tool.CLIP_FOLDER, *tool.FAMILY_FOLDERS.values()}) == len(MLLM_FAMILIES) + 1


def test_an_unknown_family(tool, tmp_path):
    assert run(tool, '--out', tmp_path, '--family', 'llava') == 2
    with pytest.raises(ValueError, match='family must be one of qwen2_vl, qwen2_5_vl'):
        save_tiny_mllm(tmp_path, family='llava')


def test_the_wide_model_alone(tool, tmp_path):
    assert run(tool, '--out', tmp_path, '--wide') == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ['clip_text', 'mllm_wide']
    assert MLLMBackbone(pretrained=str(tmp_path / 'mllm_wide'), frame_pixels=(36, 36)).hidden_size == 128


def test_the_wide_model_is_of_one_family(tool, tmp_path, capsys):
    assert run(tool, '--out', tmp_path, '--wide', '--family', 'smolvlm') == 2
    assert '--wide: must stand without another --family, got smolvlm' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
