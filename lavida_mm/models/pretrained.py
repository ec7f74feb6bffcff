"""Where released weights come from: a local folder, the Hugging Face cache, and last the hub.

What is missing is named together with where it was looked for and the command that fetches it.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lavida_mm.registry import MODELS
from lavida_mm.utils.errors import DataError

__all__ = ['builds_on_meta', 'check_weights', 'find_missing_weights', 'find_pretrained']

WEIGHT_FILES = (
    'model.safetensors',
    'model.safetensors.index.json',
    'pytorch_model.bin',
    'pytorch_model.bin.index.json',
)
DOWNLOADED = ('*.json', '*.txt', '*.jinja', '*.model', '*.safetensors', 'pytorch_model*.bin')
TINY_FOLDER = 'checkpoints/tiny'
TINY_COMMAND = 'python tools/model_tools/make_tiny_models.py --out checkpoints/tiny --seed 0'
SAM_FILES = ('sam_vit_b_01ec64.pth', 'sam_vit_l_0b3195.pth', 'sam_vit_h_4b8939.pth')
SAM_RELEASE = 'https://dl.fbaipublicfiles.com/segment_anything'
HUB_TIMEOUT = 5  # seconds


def builds_on_meta() -> bool:
    """Whether modules are being built under ``torch.device('meta')``: shapes only, no weights and no files."""
    return torch.get_default_device().type == 'meta'


def is_local(pretrained: str) -> bool:
    """Whether ``pretrained`` is meant as a folder. A name on the hub is 'owner/name' or 'name'."""
    if os.path.isdir(pretrained):
        return True
    return pretrained.startswith(('.', '/', '~', 'checkpoints/')) or pretrained.count('/') > 1


def missing_files(folder: Path, needed: Sequence[str]) -> list[str]:
    """What a folder in the Hugging Face format lacks.

    Args:
        folder: an existing folder.
        needed: names of files that must be there, besides the weights.
    """
    missing = [name for name in needed if not (folder / name).is_file()]
    present = [name for name in WEIGHT_FILES if (folder / name).is_file()]
    if not present:
        missing.append(f'weights ({WEIGHT_FILES[0]})')
    for name in present[:1]:
        if name.endswith('.index.json'):
            shards = set(json.loads((folder / name).read_text(encoding='utf-8'))['weight_map'].values())
            missing.extend(sorted(shard for shard in shards if not (folder / shard).is_file()))
    return missing


def find_pretrained(
    pretrained: str, *, owner: str, needed: Sequence[str] = ('config.json',), fetch: bool = True
) -> Path:
    """The local folder that holds a pretrained model; it is downloaded only where there is no other way.

    Args:
        pretrained: a local folder, or a name on the Hugging Face hub.
        owner: who asks, for the error: e.g. 'MLLMBackbone'.
        needed: names of files that must be there, besides the weights.
        fetch: ask the hub for what is not cached.

    Raises:
        DataError: the folder or a file in it is missing, and why it could not be fetched.
    """
    if is_local(pretrained):
        return _find_folder(pretrained, owner, needed)
    return _find_on_hub(pretrained, owner, needed, fetch)


def _find_folder(pretrained: str, owner: str, needed: Sequence[str]) -> Path:
    folder = Path(pretrained).expanduser().resolve()
    is_tiny = TINY_FOLDER in folder.as_posix()
    cure = TINY_COMMAND if is_tiny else 'give an existing folder in the Hugging Face format, or a name on its hub'
    if not folder.is_dir():
        raise DataError(f"{owner}.pretrained='{pretrained}': no such folder, looked for {folder}; cure: {cure}")
    missing = missing_files(folder, needed)
    if missing:
        raise DataError(f"{owner}.pretrained='{pretrained}': {folder} lacks {', '.join(missing)}; cure: {cure}")
    return folder


def _find_on_hub(pretrained: str, owner: str, needed: Sequence[str], fetch: bool) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    cache = constants.HF_HUB_CACHE
    request: dict[str, Any] = {'repo_id': pretrained, 'allow_patterns': list(DOWNLOADED), 'cache_dir': cache}
    try:
        folder = Path(snapshot_download(**request, local_files_only=True))
        missing = missing_files(folder, needed)
        if not missing:
            return folder
        reason = f'the cached copy lacks {", ".join(missing)}'
    except HFValidationError as error:
        raise DataError(f"{owner}.pretrained='{pretrained}' is neither a folder nor a name on the hub") from error
    except LocalEntryNotFoundError:
        reason = 'nothing is cached'
    if fetch and _is_offline():
        reason += '; the hub was not asked, since HF_HUB_OFFLINE is set'
    elif fetch:
        try:
            folder = Path(snapshot_download(**request, etag_timeout=HUB_TIMEOUT))
            missing = missing_files(folder, needed)
            if not missing:
                return folder
            reason = f'the copy on the hub lacks {", ".join(missing)}'
        except Exception as error:  # whatever the network does, the cure is the same
            cause = type(error.__cause__ or error).__name__
            reason += f'; the hub could not be reached or does not serve it ({cause})'
    raise DataError(
        f"{owner}.pretrained='{pretrained}': weights not found, looked for the folder {Path(pretrained).absolute()} "
        f'and in the Hugging Face cache {cache}: {reason}; cure: `hf download {pretrained}` (older hub packages: '
        f'`huggingface-cli download {pretrained}`), or set pretrained to a local folder'
    )


def _is_offline() -> bool:
    from huggingface_hub import constants

    wanted = os.environ.get('HF_HUB_OFFLINE', '') or os.environ.get('TRANSFORMERS_OFFLINE', '')
    return constants.HF_HUB_OFFLINE or wanted.upper() in ('1', 'ON', 'YES', 'TRUE')


def find_missing_weights(config: Mapping[str, Any]) -> list[str]:
    """One line for each pretrained part or checkpoint that a model's config names and this machine lacks.

    Nothing is downloaded: a name on the hub counts as present only where its files are cached.

    Args:
        config: the ``model`` part of a config.
    """
    return [line for owner, key, value in _walk(config, '') for line in _complain(owner, key, value)]


def check_weights(config: Mapping[str, Any]) -> None:
    """See, before anything is built, that all weights are here that a model's config names; the hub is asked last.

    Args:
        config: the ``model`` part of a config.

    Raises:
        DataError: names everything that is missing, where it was looked for, and how to get it.
    """
    missing = [(part, line) for part in _walk(config, '') for line in _complain(*part)]
    if all(_is_on_hub(key, value) for (_, key, value), _ in missing):  # else a download would be in vain
        missing = [(part, line) for part, _ in missing for line in _try_to_find(part[0], part[2], fetch=True)]
    if len(missing) == 1:
        raise DataError(missing[0][1])
    if missing:
        lines = '; '.join(f'({number}) {line}' for number, (_, line) in enumerate(missing, start=1))
        raise DataError(f'{len(missing)} parts of the model lack their weights: {lines}')


def _is_on_hub(key: str, value: str) -> bool:
    return key == 'pretrained' and not is_local(value)


def _walk(node: Any, owner: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(node, Mapping):
        owner = node.get('type', owner)
        for key, value in node.items():
            if key in ('pretrained', 'checkpoint') and isinstance(value, str):
                if '://' not in value and (key == 'checkpoint' or _is_ours(owner)):
                    yield str(owner), key, value
            else:
                yield from _walk(value, owner)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _walk(item, owner)


def _is_ours(owner: Any) -> bool:
    """Whether ``pretrained`` of this component means a folder or a name on the hub; elsewhere it can mean anything."""
    component = MODELS.get(owner) if isinstance(owner, str) else owner
    return getattr(component, '__module__', '').startswith('lavida_mm.')


def _complain(owner: str, key: str, value: str) -> list[str]:
    if key == 'checkpoint':
        path = Path(value).expanduser().resolve()
        if path.is_file():
            return []
        cure = f'; cure: download {SAM_RELEASE}/{path.name} to there' if path.name in SAM_FILES else ''
        return [f"{owner}.checkpoint='{value}': no such file, looked for {path}{cure}"]
    return _try_to_find(owner, value, fetch=False)


def _try_to_find(owner: str, pretrained: str, *, fetch: bool) -> list[str]:
    try:
        find_pretrained(pretrained, owner=owner, fetch=fetch)
        return []
    except DataError as error:
        return [str(error)]
