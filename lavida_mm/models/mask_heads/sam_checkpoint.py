"""Released SAM weights, read without running anything that the file may hold."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lavida_mm.utils.errors import DataError

__all__ = ['RELEASED_FILES', 'load_released', 'read_tensors']

RELEASED_FILES = {
    'vit_b': 'sam_vit_b_01ec64.pth',
    'vit_l': 'sam_vit_l_0b3195.pth',
    'vit_h': 'sam_vit_h_4b8939.pth',
}
OWN_PARAMETERS = ('mask_decoder.object_token.', 'mask_decoder.object_head.')


def read_tensors(path: Path, hint: str) -> Mapping[str, Tensor]:
    """Parameter names and tensors of a torch checkpoint.

    Args:
        path: the file.
        hint: what the file must hold and where it comes from, for the error.

    Raises:
        DataError: the file is missing, cut short, not a checkpoint, or holds more than tensors.
    """
    if not path.is_file():
        raise DataError(f'{path}: segmenter.checkpoint is not a file; it must hold {hint}')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch's remarks on odd files; what matters to us raises
            state: Any = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # damaged bytes make torch's reader fail in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f'{path}: segmenter.checkpoint must be a checkpoint of tensors alone: {reason}') from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f'{path}: segmenter.checkpoint must map parameter names to tensors')
    return state


def load_released(model: nn.Module, checkpoint: str, arch: Any) -> None:
    """Load weights of the released names into a ``SAM``; only the object token and head may be missing.

    Args:
        model: the segmenter.
        checkpoint: path of the file.
        arch: the segmenter's ``arch``; a name tells which released file fits.

    Raises:
        DataError: see :func:`read_tensors`; or names or shapes are those of another model.
    """
    name = f'{RELEASED_FILES[arch]}, ' if isinstance(arch, str) else ''
    hint = (
        f'the released SAM weights ({name}see "Model Checkpoints" in the README of the repository '
        'facebookresearch/segment-anything)'
    )
    state = read_tensors(Path(checkpoint), hint)
    own = model.state_dict()
    faults = {
        'missing': [name for name in own if name not in state and not name.startswith(OWN_PARAMETERS)],
        'unexpected': [name for name in state if name not in own],
        'of another shape': [name for name in state if name in own and state[name].shape != own[name].shape],
    }
    if any(faults.values()):
        found = ', '.join(f'{len(names)} {kind} ({names[0]})' for kind, names in faults.items() if names)
        raise DataError(f'{checkpoint}: segmenter.checkpoint must be of this model, got parameters {found}')
    model.load_state_dict(state, strict=False)
