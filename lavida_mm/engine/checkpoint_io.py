"""Reading checkpoints: an exact allow-list, safetensors, and a check that a checkpoint belongs to the model."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from lavida_mm.utils.errors import DataError

__all__ = [
    'SAFE_CLASSES',
    'check_checkpoint',
    'check_initial_weights',
    'check_training_state',
    'load_from_safetensors',
    'read_checkpoint_shapes',
]

TRAINING_STATE = ('meta', 'message_hub')  # without which mmengine cannot go on; the optimizer's is optional
STATISTICS = ('min', 'max', 'current', 'mean')


def _get_statistic(owner: Any, name: str) -> Any:
    """Stand in for ``getattr`` in checkpoints: mmengine's history names its statistics by it, nothing else may."""
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise pickle.UnpicklingError(f'GLOBAL builtins.getattr of {name!r} is not allowed in a checkpoint')
    return getattr(owner, name)


# All that mmengine's message hub puts into a checkpoint beyond what torch allows by itself: the history of the logged
# figures, which holds NumPy arrays of floats and integers. A pair is an object and the name that files know it by.
SAFE_CLASSES: list[Any] = [
    HistoryBuffer,
    (_get_statistic, 'builtins.getattr'),
    np.ndarray,
    np.dtype,
    np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    *sorted({type(np.dtype(kind)) for kind in ('bool', 'int32', 'int64', 'float32', 'float64')}, key=str),
]
torch.serialization.add_safe_globals(SAFE_CLASSES)

Shapes = dict[str, tuple[int, ...]]


@CheckpointLoader.register_scheme(prefixes=r'(?!\S+://).*\.safetensors$')
def load_from_safetensors(filename: str, map_location: Any = None) -> dict[str, torch.Tensor]:
    """Load a local safetensors file through mmengine's checkpoint loader.

    Args:
        filename: path of the file.
        map_location: device of the tensors, as for ``torch.load``; a callable means the CPU.

    Returns:
        the state dict.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{path} can not be found.')
    device = 'cpu' if map_location is None or callable(map_location) else str(map_location)
    try:
        return load_file(path, device=device)
    except SafetensorError as error:
        raise DataError(f'{path}: not a whole safetensors file: {error}') from error


def read_checkpoint_shapes(path: str | Path) -> Shapes:
    """Names and shapes of the weights in a checkpoint, without reading the weights.

    Args:
        path: a .safetensors file, or a .pth file of mmengine or of a bare state dict.

    Raises:
        DataError: the file is missing, is no checkpoint, or holds objects that are not weights.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f'{path}: checkpoint not found')
    if path.suffix == '.safetensors':
        return _read_safetensors_shapes(path)
    content = _read_pickled(path)
    weights = content.get('state_dict', content) if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise DataError(f'{path}: state_dict must map names to tensors')
    return {re.sub(r'^module\.', '', name): tuple(value.shape) for name, value in weights.items()}


def check_checkpoint(model: nn.Module, path: str | Path, *, partial: bool = False) -> None:
    """Refuse a checkpoint of another model, where mmengine would only warn and go on with random weights.

    Args:
        model: the model that shall take the weights.
        path: the checkpoint.
        partial: accept a checkpoint that lacks trainable weights, as when a training starts from another one's.

    Raises:
        DataError: a weight is of another shape, none is known to the model, or (unless ``partial``) a weight that is
            trained is missing.
    """
    stored = read_checkpoint_shapes(path)
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    common = [name for name in expected if name in stored]
    if not common:
        found = next(iter(stored), 'nothing')
        raise DataError(
            f'{path}: state_dict: none of its {len(stored)} weights (the first is {found}) is one of the '
            f'{len(expected)} of {type(model).__name__}; the checkpoint must be of the model in the config'
        )
    wrong = [name for name in common if stored[name] != expected[name]]
    if wrong:
        raise DataError(
            f'{path}: {wrong[0]}: shape must be {expected[wrong[0]]} as in the config, got {stored[wrong[0]]}'
            + (f' (and {len(wrong) - 1} more weights differ)' if len(wrong) > 1 else '')
        )
    missing = [name for name, value in model.named_parameters() if value.requires_grad and name not in stored]
    if missing and not partial:
        raise DataError(
            f'{path}: {missing[0]}: must be in the checkpoint, since it is trained'
            + (f' (and {len(missing) - 1} more weights are missing)' if len(missing) > 1 else '')
        )


def check_initial_weights(model: nn.Module) -> None:
    """Refuse ``init_cfg`` weights that do not fit, where mmengine would leave what they were for random.

    Args:
        model: the model, before ``init_weights``. Its parts' ``init_cfg`` of type Pretrained are looked at, unless
            their checkpoint is a URL.

    Raises:
        DataError: a checkpoint is missing or damaged, has no weight under the prefix, or one that has no place in the
            part or another shape there.
    """
    for name, part in model.named_modules():
        settings = getattr(part, 'init_cfg', None)
        for setting in settings if isinstance(settings, list) else [settings]:
            if isinstance(setting, Mapping) and setting.get('type') == 'Pretrained':
                _check_part(name, part, setting)


def _check_part(name: str, part: nn.Module, setting: Mapping[str, Any]) -> None:
    path, prefix = str(setting['checkpoint']), setting.get('prefix')
    if '://' in path:
        return
    stored = read_checkpoint_shapes(path)
    if prefix:
        begin = prefix if prefix.endswith('.') else f'{prefix}.'
        first = next(iter(stored), 'nothing')
        stored = {key.removeprefix(begin): shape for key, shape in stored.items() if key.startswith(begin)}
        if not stored:
            raise DataError(
                f'{path}: no weight begins with {begin!r}, as {name}.init_cfg.prefix says; the first one is {first}'
            )
    expected = {key: tuple(value.shape) for key, value in part.state_dict().items()}
    for key, shape in stored.items():
        if key not in expected:
            raise DataError(f'{path}: {key}: has no place in {name} ({type(part).__name__}), which it shall initialise')
        if shape != expected[key]:
            raise DataError(f'{path}: {key}: shape must be {expected[key]} as in {name}, got {shape}')


def check_training_state(path: str | Path) -> None:
    """Refuse a checkpoint that holds weights but not where the training stood.

    Args:
        path: the checkpoint to go on from.

    Raises:
        DataError: it was not written by a training.
    """
    path = Path(path).expanduser()
    content = {} if path.suffix == '.safetensors' else _read_pickled(path)
    lacking = [name for name in TRAINING_STATE if not isinstance(content.get(name), Mapping)]
    if lacking or not {'epoch', 'iter'} <= content['meta'].keys():
        raise DataError(
            f'{path}: {lacking[0] if lacking else "meta.iter"}: must be in a checkpoint to go on from; to start from '
            'its weights alone, set load_from'
        )


def _read_safetensors_shapes(path: Path) -> Shapes:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework='pt') as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DataError(f'{path}: not a whole safetensors file: {error}') from error


def _read_pickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        match = re.search(r'GLOBAL ([\w.]+)', str(error))
        if match:
            raise DataError(
                f'{path}: holds {match.group(1)}, which is not allowed in a checkpoint; only weights and training '
                'state are loaded, since other objects can run code'
            ) from error
        raise DataError(f'{path}: not a checkpoint that can be loaded safely') from error
    except OSError:
        raise
    except Exception as error:  # damaged bytes make torch's reader fail in any way
        raise DataError(f'{path}: not a whole checkpoint of torch (a zip archive of tensors)') from error
