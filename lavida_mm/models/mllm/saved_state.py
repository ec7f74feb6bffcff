"""What a checkpoint holds of a backbone, and what it must agree with: hooks of its state dict."""

from typing import Any

import torch

from lavida_mm.utils.errors import DataError

__all__ = ['check_saved_state', 'drop_frozen', 'expect_trained']


def drop_frozen(module: Any, state: dict[str, Any], prefix: str, _: Any) -> None:
    """Leave out of a state dict what ``pretrained`` brings and training leaves as it is."""
    trained = {f'{prefix}model.{name}' for name, value in module.model.named_parameters() if value.requires_grad}
    for name in [name for name in state if name.startswith(f'{prefix}model.') and name not in trained]:
        del state[name]


def check_saved_state(module: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Refuse adapters that have no place here, or that were trained with another scale or beside another base.

    Checkpoints that hold all weights need no base.
    """
    known = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    known |= set(module.model.state_dict(prefix='model.'))  # tied weights have two names
    foreign = [name for name in state if name.startswith(prefix) and name.removeprefix(prefix) not in known]
    if foreign and not module.base_fingerprint.is_meta:
        raise DataError(
            f'{foreign[0]}: is in the checkpoint and has no place in MLLMBackbone as configured'
            + (f', nor have {len(foreign) - 1} more' if len(foreign) > 1 else '')
            + ': lora and train_embeddings must be those of the training'
        )
    alpha = state.get(f'{prefix}lora_alpha')
    if alpha is not None and module.lora_alpha is not None and not torch.equal(alpha.cpu(), module.lora_alpha.cpu()):
        raise DataError(
            f'{prefix}lora_alpha: lora.alpha must be {alpha.item():g} as in the training, got '
            f'{module.lora_alpha.item():g}'
        )
    stored = state.get(f'{prefix}base_fingerprint')
    if stored is None or module.base_fingerprint.is_meta:
        return
    everything = all(value.requires_grad for value in module.model.parameters())
    if not everything and not torch.equal(stored.cpu(), module.base_fingerprint.cpu()):
        raise DataError(
            f'{prefix}base_fingerprint: the checkpoint was trained on another base model than '
            f"MLLMBackbone.pretrained='{module.pretrained}', whose frozen weights it needs: name that model instead"
        )


def expect_trained(module: Any, found: Any) -> None:
    """What ``pretrained`` has brought is not missing from a checkpoint."""
    trained = {name for name, value in module.model.named_parameters() if value.requires_grad}
    # Of tied weights the first name alone is saved.
    brought = {
        f'model.{name}' for name, _ in module.model.named_parameters(remove_duplicate=False) if name not in trained
    }
    brought |= {'base_fingerprint', 'lora_alpha'}  # checkpoints of before 0.2 have none
    found.missing_keys[:] = [
        key for key in found.missing_keys if not any(key == name or key.endswith(f'.{name}') for name in brought)
    ]
