"""What is missing is named, with the place and the cure; the network is asked last and only if allowed."""

import json

import pytest
import torch
from huggingface_hub import constants, errors

from lavida_mm.models import pretrained
from lavida_mm.models.mllm import MLLMBackbone
from lavida_mm.models.pretrained import builds_on_meta, check_weights, find_missing_weights, find_pretrained
from lavida_mm.models.text_encoders import CLIPTextEncoder
from lavida_mm.utils.errors import DataError

NAME = 'Qwen/Qwen2-VL-7B-Instruct'


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', False)
    monkeypatch.delenv('HF_HUB_OFFLINE', raising=False)
    monkeypatch.delenv('TRANSFORMERS_OFFLINE', raising=False)
    return tmp_path / 'hub'


def fill(folder, *names, shards=None):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text('{}')
    if shards:
        index = {'weight_map': {str(n): shard for n, shard in enumerate(shards)}}
        (folder / 'model.safetensors.index.json').write_text(json.dumps(index))
    return folder


def put_in_cache(cache, *names, shards=None):
    """The hub's cache layout: refs/main names the snapshot."""
    root = cache / 'models--Qwen--Qwen2-VL-7B-Instruct'
    (root / 'refs').mkdir(parents=True)
    (root / 'refs' / 'main').write_text('a' * 40)
    return fill(root / 'snapshots' / ('a' * 40), *names, shards=shards)


@pytest.mark.parametrize('build', [MLLMBackbone, CLIPTextEncoder])
def test_a_missing_tiny_model_names_the_command_that_builds_it(build, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        build(pretrained='checkpoints/tiny/part')
    message = str(caught.value)
    assert message.startswith(f"{build.__name__}.pretrained='checkpoints/tiny/part'")
    assert str(tmp_path / 'checkpoints/tiny/part') in message
    assert 'python tools/model_tools/make_tiny_models.py --out checkpoints/tiny' in message
    assert '\n' not in message


def test_a_folder_that_lacks_files_names_them(tmp_path):
    folder = fill(tmp_path / 'model', 'config.json', shards=['one.safetensors', 'two.safetensors'])
    (folder / 'one.safetensors').touch()
    with pytest.raises(DataError, match=r'lacks tokenizer_config\.json, two\.safetensors'):
        find_pretrained(str(folder), owner='MLLMBackbone', needed=('config.json', 'tokenizer_config.json'))
    with pytest.raises(DataError, match=r'lacks weights \(model\.safetensors\)'):
        find_pretrained(str(fill(tmp_path / 'other', 'config.json')), owner='MLLMBackbone')
    (folder / 'two.safetensors').touch()
    assert find_pretrained(str(folder), owner='MLLMBackbone') == folder


def test_offline_never_asks_the_hub(empty_cache, monkeypatch):
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    asked = []

    def refuse(*args, local_files_only=False, **kwargs):
        asked.append(local_files_only)
        raise errors.LocalEntryNotFoundError('nothing here')

    monkeypatch.setattr('huggingface_hub.snapshot_download', refuse)
    with pytest.raises(DataError) as caught:
        MLLMBackbone(pretrained=NAME)
    message = str(caught.value)
    assert asked == [True]
    assert NAME in message and str(empty_cache) in message and 'HF_HUB_OFFLINE is set' in message
    assert f'hf download {NAME}' in message and f'huggingface-cli download {NAME}' in message
    assert '\n' not in message


def test_a_hub_that_cannot_be_reached(empty_cache, monkeypatch):
    def fail(*args, local_files_only=False, **kwargs):
        raise errors.LocalEntryNotFoundError('nothing') if local_files_only else ConnectionError('no route\nto host')

    monkeypatch.setattr('huggingface_hub.snapshot_download', fail)
    with pytest.raises(DataError, match=r'could not be reached or does not serve it .ConnectionError') as caught:
        find_pretrained(NAME, owner='MLLMBackbone')
    assert '\n' not in str(caught.value)


def test_cached_files_are_used_without_the_hub(empty_cache, monkeypatch):
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    folder = put_in_cache(empty_cache, 'config.json', 'model.safetensors')
    assert find_pretrained(NAME, owner='MLLMBackbone') == folder


def test_a_half_cached_model_names_the_missing_shard(empty_cache, monkeypatch):
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    put_in_cache(empty_cache, 'config.json', shards=['model-1.safetensors'])
    with pytest.raises(DataError, match=r'the cached copy lacks model-1\.safetensors'):
        find_pretrained(NAME, owner='MLLMBackbone')


def test_the_hub_is_asked_when_nothing_is_cached(empty_cache, monkeypatch, tmp_path):
    def serve(*args, local_files_only=False, **kwargs):
        if local_files_only:
            raise errors.LocalEntryNotFoundError('nothing')
        return str(fill(tmp_path / 'served', 'config.json', 'model.safetensors'))

    monkeypatch.setattr('huggingface_hub.snapshot_download', serve)
    assert find_pretrained(NAME, owner='MLLMBackbone') == tmp_path / 'served'


def test_a_hub_whose_copy_is_incomplete(empty_cache, monkeypatch, tmp_path):
    def serve(*args, local_files_only=False, **kwargs):
        if local_files_only:
            raise errors.LocalEntryNotFoundError('nothing')
        return str(fill(tmp_path / 'served', 'config.json'))

    monkeypatch.setattr('huggingface_hub.snapshot_download', serve)
    with pytest.raises(DataError, match=r'the copy on the hub lacks weights \(model\.safetensors\)'):
        find_pretrained(NAME, owner='MLLMBackbone')


def test_the_environment_is_left_as_it_was(empty_cache, monkeypatch):
    monkeypatch.setenv('HF_HUB_OFFLINE', '0')
    assert len(find_missing_weights(dict(type='MLLMBackbone', pretrained=NAME))) == 1
    assert pretrained.os.environ['HF_HUB_OFFLINE'] == '0'


def test_a_name_that_no_hub_can_hold(empty_cache):
    with pytest.raises(DataError, match='neither a folder nor a name on the hub'):
        find_pretrained('not a name!', owner='MLLMBackbone')


def test_everything_missing_is_listed_at_once(empty_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there.pth').touch()
    model = dict(
        type='LAVIDA',
        mllm=dict(type='MLLMBackbone', pretrained=NAME),
        text_encoder=dict(type='CLIPTextEncoder', pretrained='openai/clip-vit-base-patch32'),
        mask_head=dict(
            type='AnomalyMaskHead',
            segmenter=dict(type='SAM', checkpoint='checkpoints/sam.pth'),
            extras=[dict(type='Other', checkpoint='there.pth'), dict(type='Other', checkpoint=None)],
        ),
    )
    lines = find_missing_weights(model)
    assert len(lines) == 3
    assert lines[0].startswith(f"MLLMBackbone.pretrained='{NAME}'")
    assert lines[1].startswith("CLIPTextEncoder.pretrained='openai/clip-vit-base-patch32'")
    assert lines[2] == f"SAM.checkpoint='checkpoints/sam.pth': no such file, looked for {tmp_path}/checkpoints/sam.pth"
    assert 'HF_HUB_OFFLINE' not in pretrained.os.environ


LAVIDA_OF_THE_HUB = dict(
    type='LAVIDA',
    mllm=dict(type='MLLMBackbone', pretrained=NAME),
    text_encoder=dict(type='CLIPTextEncoder', pretrained='openai/clip-vit-base-patch32'),
)


def test_all_missing_weights_stop_a_tool_before_the_hub_is_asked(empty_cache, tmp_path, monkeypatch):
    asked = []

    def refuse(*args, local_files_only=False, **kwargs):
        asked.extend([] if local_files_only else [kwargs])
        raise errors.LocalEntryNotFoundError('nothing')

    monkeypatch.setattr('huggingface_hub.snapshot_download', refuse)
    segmenter = dict(type='SAM', checkpoint=str(tmp_path / 'sam_vit_b_01ec64.pth'))
    with pytest.raises(DataError) as caught:
        check_weights({**LAVIDA_OF_THE_HUB, 'mask_head': dict(type='AnomalyMaskHead', segmenter=segmenter)})
    message = str(caught.value)
    assert message.startswith(f"3 parts of the model lack their weights: (1) MLLMBackbone.pretrained='{NAME}'")
    assert "(2) CLIPTextEncoder.pretrained='openai/clip-vit-base-patch32'" in message
    assert f'no such file, looked for {tmp_path}/sam_vit_b_01ec64.pth; cure: download https://' in message
    assert not asked
    assert 'HF_HUB_OFFLINE' not in message

    with pytest.raises(DataError, match=r'2 parts of the model lack their weights: .*the hub could not be reached'):
        check_weights(LAVIDA_OF_THE_HUB)
    assert len(asked) == 2


def test_pretrained_of_a_foreign_component_is_its_own_affair(empty_cache):
    check_weights(dict(type='LAVIDA', extra=dict(type='mmengine.Foreign', pretrained='imagenet')))
    check_weights(dict(type='LAVIDA', init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')))


def test_meta_is_seen():
    assert not builds_on_meta()
    with torch.device('meta'):
        assert builds_on_meta()
