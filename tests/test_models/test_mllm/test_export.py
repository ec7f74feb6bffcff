"""The merged folder under plain transformers, and tools/model_tools/export_hf.py."""

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from lavida_mm.models.mllm.export import export_merged
from tests.conftest import ROOT
from tests.test_engine import forked
from tests.test_models.test_mllm.reference import WORDS, plain_forward

# transformers' InternVLProcessor adds tensors up with NumPy.
pytestmark = pytest.mark.filterwarnings('ignore:__array_wrap__ must accept:DeprecationWarning')


def shake(model):
    """Give what is trained other values, as training would."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.mark.parametrize('embeddings', ['seg', 'all'])
def test_plain_transformers_computes_the_same(tiny_folder, tmp_path, make_clip, build, embeddings):
    clip = make_clip(4)
    model = shake(build(tiny_folder, lora=dict(r=2), train_embeddings=embeddings))
    with torch.no_grad():
        ours = model([clip], [WORDS], [0])
    folder = tmp_path / tiny_folder.name  # the reference looks at the name
    export_merged(model, folder)
    assert '<SEG>' in AutoProcessor.from_pretrained(folder).tokenizer.get_vocab()
    state, loss = plain_forward(folder, clip)
    torch.testing.assert_close(state, ours.seg_states, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(loss, ours.loss, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        again = build(folder)([clip], [WORDS], [0])
    torch.testing.assert_close(again.seg_states, ours.seg_states, rtol=1e-5, atol=1e-5)


def test_half_precision_stays_half(tiny_folders, tmp_path, build):
    model = shake(build(tiny_folders['qwen2_vl'], lora=dict(r=2), train_embeddings='all', dtype='bfloat16'))
    export_merged(model, tmp_path / 'out')
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / 'out', dtype='auto')
    assert {parameter.dtype for parameter in plain.parameters()} == {torch.bfloat16}


def test_a_grown_vocabulary_is_exported(tiny_folders, tmp_path, make_clip, build):
    folder = tiny_folders['qwen2_vl']
    plain = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    plain.resize_token_embeddings(len(processor.tokenizer))
    plain.save_pretrained(tmp_path / 'full')
    processor.save_pretrained(tmp_path / 'full')
    model = shake(build(tmp_path / 'full', train_embeddings='seg'))
    with torch.no_grad():
        ours = model([make_clip(4)], [WORDS], [0])
    export_merged(model, tmp_path / 'qwen2_vl')
    state, _ = plain_forward(tmp_path / 'qwen2_vl', make_clip(4))
    torch.testing.assert_close(state, ours.seg_states, rtol=1e-5, atol=1e-5)


@pytest.fixture
def leaf(tiny_folders, tmp_path):
    path = tmp_path / 'leaf.py'
    path.write_text(
        f"_base_ = '{ROOT}/configs/lavida_tiny.py'\n"
        f"model = dict(mllm=dict(pretrained='{tiny_folders['qwen2_vl']}', freeze_language=True, freeze_vision=True,\n"
        "    train_embeddings='seg'))\n"
    )
    return path


def export(folder, *args):
    return forked.run('tools/model_tools/export_hf.py', *args, folder=folder)


def test_the_tool_exports_what_a_checkpoint_holds(leaf, tiny_folders, tmp_path, make_clip, build):
    model = shake(build(tiny_folders['qwen2_vl'], lora={}, train_embeddings='seg'))
    weights = {f'mllm.{name}': value for name, value in model.state_dict().items()}
    torch.save({'state_dict': {**weights, 'projector.weight': torch.ones(3)}}, tmp_path / 'iter_1.pth')
    out = tmp_path / 'qwen2_vl'
    done = export(tmp_path, leaf, tmp_path / 'iter_1.pth', out)
    assert done.code == 0, done.err
    assert done.out.startswith(f'{out}: ') and 'iter_1.pth' in done.out
    with torch.no_grad():
        ours = model([make_clip(2)], [WORDS], [0])
    state, _ = plain_forward(out, make_clip(2))
    torch.testing.assert_close(state, ours.seg_states, rtol=1e-5, atol=1e-5)
    before = sorted(path.stat().st_mtime_ns for path in out.iterdir())
    again = export(tmp_path, leaf, tmp_path / 'iter_1.pth', out)
    assert again.code == 1 and '--overwrite replaces it' in again.err
    assert sorted(path.stat().st_mtime_ns for path in out.iterdir()) == before
    assert export(tmp_path, leaf, tmp_path / 'iter_1.pth', out, '--overwrite').code == 0


def test_nothing_but_an_earlier_export_is_replaced(leaf, tiny_folders, tmp_path, build):
    model = build(tiny_folders['qwen2_vl'], lora={}, train_embeddings='seg')
    work = tmp_path / 'work'
    work.mkdir()
    torch.save({'state_dict': {f'mllm.{k}': v for k, v in model.state_dict().items()}}, work / 'iter_1.pth')
    (tmp_path / 'precious').mkdir()
    (tmp_path / 'precious' / 'config.json').write_text('{}')
    (tmp_path / 'precious' / 'data.bin').write_text('mine')
    (tmp_path / 'file').write_text('mine')
    for output in (work, tmp_path / 'precious', tmp_path / 'file', tiny_folders['qwen2_vl']):
        done = export(tmp_path, leaf, work / 'iter_1.pth', output, '--overwrite')
        assert done.code == 1, done.err
        assert done.err.startswith(f'error: {output}: ') and done.err.count('\n') == 1
    assert (work / 'iter_1.pth').is_file() and (tmp_path / 'precious' / 'data.bin').read_text() == 'mine'


def test_bad_input_of_the_tool(leaf, tmp_path):
    torch.save({'state_dict': {'projector.weight': torch.ones(3)}}, tmp_path / 'other.pth')
    cases = [
        ((leaf, tmp_path / 'none.pth', tmp_path / 'out'), 1, 'no checkpoint found'),
        ((leaf, tmp_path / 'other.pth', tmp_path / 'out'), 1, 'state_dict: none of its 1 weights'),
        ((ROOT / 'configs/pretrain/tiny_segmenter_text.py', tmp_path / 'other.pth', tmp_path / 'out'), 2, 'model.mllm'),
    ]
    for arguments, code, message in cases:
        done = export(tmp_path, *arguments)
        assert done.code == code, done.err
        *_, last = done.err.splitlines()  # after transformers' progress bar
        assert last.startswith('error: ') and message in last
    assert not (tmp_path / 'out').exists()
