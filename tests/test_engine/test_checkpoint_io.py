import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint
from safetensors.torch import save_file
from torch import nn

from lavida_mm.engine import check_checkpoint, check_initial_weights, read_checkpoint_shapes
from lavida_mm.utils import DataError
from tests.test_engine.toy import OtherDetector, ToyDetector


def save(content, path):
    torch.save(content, path)
    return path


@pytest.fixture
def weights(tmp_path):
    return save({'state_dict': ToyDetector().state_dict(), 'meta': {}}, tmp_path / 'toy.pth')


def test_history_of_mmengine_loads_with_weights_only(tmp_path):
    hub = MessageHub.get_instance('test_history')
    hub.update_scalars({'loss': 0.5, 'count': 3})
    hub.update_scalar('loss', torch.tensor(0.25))
    hub.update_info('best_score', np.float64(0.75))
    hub.update_info('steps', [1, 2])
    path = save({'message_hub': hub.state_dict()}, tmp_path / 'hub.pth')
    loaded = torch.load(path, weights_only=True)['message_hub']
    assert loaded['log_scalars']['loss'].data[0].tolist() == [0.5, 0.25]
    assert loaded['log_scalars']['loss'].statistics('mean') == 0.375
    assert loaded['runtime_info'] == {'best_score': 0.75, 'steps': [1, 2]}


class RunsCode:
    def __reduce__(self):
        return os.system, ('touch was_here',)


class ReachesIn:
    """Would reach a function's globals through the name under which mmengine's history finds its statistics."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


@pytest.mark.parametrize(('bomb', 'name'), [(RunsCode(), 'posix.system'), (ReachesIn(), 'builtins.getattr')])
@pytest.mark.parametrize('place', ['state_dict', 'meta'])
def test_malicious_pickle_is_refused_and_not_run(bomb, name, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save({'state_dict': {}, place: bomb}, tmp_path / 'bomb.pth')
    with pytest.raises(DataError, match=rf'bomb\.pth: holds {name}, which is not allowed') as caught:
        check_checkpoint(ToyDetector(), path)
    assert '\n' not in str(caught.value)
    with pytest.raises(pickle.UnpicklingError):
        load_checkpoint(ToyDetector(), str(path))
    assert not (tmp_path / 'was_here').exists()


def test_plain_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'plain.pth').write_bytes(pickle.dumps(RunsCode()))
    with pytest.raises(DataError, match='not a whole checkpoint of torch'):
        read_checkpoint_shapes('plain.pth')
    assert not (tmp_path / 'was_here').exists()


@pytest.mark.parametrize('content', [b'', b'no checkpoint', 'half'])
@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_broken_files_are_refused(content, suffix, tmp_path, weights):
    path = tmp_path / f'broken.{suffix}'
    if content == 'half':
        if suffix == 'safetensors':
            save_file(ToyDetector().state_dict(), path)
        else:
            path.write_bytes(weights.read_bytes())
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf'broken\.{suffix}: not a whole'):
        check_checkpoint(ToyDetector(), path)


def test_a_damaged_pickle_in_a_whole_archive_is_refused(tmp_path, weights):
    path = tmp_path / 'damaged.pth'
    with zipfile.ZipFile(weights) as source, zipfile.ZipFile(path, 'w') as target:
        for name in source.namelist():  # the pickle asks for an object that it never stored
            target.writestr(name, b'\x80\x02h\x18.' if name.endswith('/data.pkl') else source.read(name))
    with pytest.raises(DataError, match=r'damaged\.pth: not a whole checkpoint'):
        read_checkpoint_shapes(path)


def test_missing_and_meaningless_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r'none\.pth: checkpoint not found'):
        read_checkpoint_shapes(tmp_path / 'none.pth')
    with pytest.raises(DataError, match='state_dict must map names to tensors'):
        read_checkpoint_shapes(save({'state_dict': {'a': 3}}, tmp_path / 'a.pth'))
    with pytest.raises(DataError, match='state_dict must map names to tensors'):
        read_checkpoint_shapes(save([torch.zeros(1)], tmp_path / 'b.pth'))


def test_own_checkpoint_passes_in_every_form(tmp_path, weights):
    model = ToyDetector()
    check_checkpoint(model, weights)
    check_checkpoint(model, save(model.state_dict(), tmp_path / 'bare.pth'))
    wrapped = {f'module.{name}': value for name, value in model.state_dict().items()}
    check_checkpoint(model, save({'state_dict': wrapped}, tmp_path / 'wrapped.pth'))
    save_file(model.state_dict(), tmp_path / 'toy.safetensors')
    check_checkpoint(model, tmp_path / 'toy.safetensors')


def test_checkpoint_of_another_model_is_refused(weights):
    with pytest.raises(DataError, match=r'toy\.pth: state_dict: none of its 5 weights .* OtherDetector'):
        check_checkpoint(OtherDetector(), weights, partial=True)


def test_other_shapes_are_refused_by_name(weights):
    with pytest.raises(DataError, match=r'conv\.weight: shape must be \(4, 3, 3, 3\) .* got \(1, 3, 3, 3\) \(and 1 mo'):
        check_checkpoint(ToyDetector(channels=4), weights, partial=True)


def test_missing_trained_weights_are_refused_unless_partial(tmp_path):
    state = ToyDetector().state_dict()
    del state['unused.weight']
    path = save(state, tmp_path / 'part.pth')
    with pytest.raises(DataError, match=r'unused\.weight: must be in the checkpoint, since it is trained'):
        check_checkpoint(ToyDetector(), path)
    check_checkpoint(ToyDetector(), path, partial=True)
    frozen = ToyDetector()
    frozen.unused.weight.requires_grad_(False)
    check_checkpoint(frozen, path)


def test_safetensors_through_the_loader_of_mmengine(tmp_path):
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    save_file(source.state_dict(), tmp_path / 'w.safetensors')
    load_checkpoint(target, str(tmp_path / 'w.safetensors'), map_location='cpu', strict=True)
    assert torch.equal(target.weight, source.weight)
    with pytest.raises(FileNotFoundError, match=r'none\.safetensors'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'none.safetensors'))
    (tmp_path / 'bad.safetensors').write_bytes(b'12345678')
    with pytest.raises(DataError, match=r'bad\.safetensors: not a whole safetensors file'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'bad.safetensors'))


def test_remote_safetensors_are_left_to_mmengine():
    assert CheckpointLoader._get_checkpoint_loader('https://x.org/a.safetensors').__name__ == 'load_from_http'
    assert CheckpointLoader._get_checkpoint_loader('/x/a.safetensors').__name__ == 'load_from_safetensors'
    assert CheckpointLoader._get_checkpoint_loader('a.pth').__name__ == 'load_from_local'


class Part(BaseModule):
    def __init__(self, **init_cfg):
        super().__init__(dict(type='Pretrained', **init_cfg) if init_cfg else None)
        self.layer = nn.Linear(3, 2)
        self.other = nn.Linear(2, 2)


class Whole(BaseModule):
    def __init__(self, **init_cfg):
        super().__init__()
        self.part = Part(**init_cfg)


@pytest.fixture
def initial(tmp_path):
    path = tmp_path / 'initial.safetensors'
    torch.manual_seed(1)
    save_file(
        {f'encoder.layer.{name}': torch.randn(value.shape) for name, value in nn.Linear(3, 2).state_dict().items()},
        path,
    )
    return str(path)


def test_initial_weights_that_fit_pass_and_are_loaded(initial):
    whole = Whole(checkpoint=initial, prefix='encoder.')
    check_initial_weights(whole)
    whole.init_weights()
    from safetensors.torch import load_file

    assert torch.equal(whole.part.layer.weight, load_file(initial)['encoder.layer.weight'])
    check_initial_weights(Whole())
    check_initial_weights(Whole(checkpoint='https://example.org/weights.pth'))


@pytest.mark.parametrize(
    ('setting', 'change', 'message'),
    [
        (dict(prefix='encodr.'), None, r"no weight begins with 'encodr\.', as part.init_cfg.prefix says"),
        (dict(), None, r'encoder\.layer\.\w+: has no place in part \(Part\)'),
        (dict(prefix='encoder'), nn.Linear(3, 4), r'layer.\w+: shape must be \(.*\) as in part, got'),
        (dict(checkpoint='nowhere.safetensors'), None, 'nowhere.safetensors: checkpoint not found'),
    ],
)
def test_initial_weights_that_do_not_fit_are_refused(initial, setting, change, message):
    whole = Whole(**{'checkpoint': initial, **setting})
    if change is not None:
        whole.part.layer = change
    with pytest.raises(DataError, match=message):
        check_initial_weights(whole)
