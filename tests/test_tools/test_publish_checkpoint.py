"""tools/model_tools/publish_checkpoint.py: what it writes, and what it refuses."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.test_engine import forked

WEIGHTS = {'a.weight': torch.arange(6.0).reshape(2, 3), 'b.weight': torch.ones(4)}


def publish(folder, checkpoint, *args):
    tool = 'tools/model_tools/publish_checkpoint.py'
    return forked.run(tool, checkpoint, folder / 'out.safetensors', *args, folder=folder)


@pytest.mark.parametrize('form', ['runner', 'bare', 'safetensors'])
def test_weights_of_every_form_of_checkpoint(tmp_path, form):
    path = tmp_path / ('in.safetensors' if form == 'safetensors' else 'in.pth')
    if form == 'safetensors':
        save_file(WEIGHTS, path)
    else:
        torch.save({'state_dict': WEIGHTS, 'meta': {'iter': 3}} if form == 'runner' else WEIGHTS, path)
    done = publish(tmp_path, path, '--prefix', 'a.')
    assert done.code == 0, done.err
    written = load_file(tmp_path / 'out.safetensors')
    assert list(written) == ['a.weight'] and torch.equal(written['a.weight'], WEIGHTS['a.weight'])


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s.'])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_what_is_no_checkpoint_is_one_line_and_exit_code_1(tmp_path, suffix, content):
    path = tmp_path / f'in{suffix}'
    path.write_bytes(content)
    done = publish(tmp_path, path)
    assert done.code == 1, done.err
    assert done.err.startswith(f'error: {path}: ') and done.err.count('\n') == 1
    assert not (tmp_path / 'out.safetensors').exists()
