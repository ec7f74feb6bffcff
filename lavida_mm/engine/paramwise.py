"""Checks the parameter groups of a config, which mmengine reads without a word of what it does not know."""

from collections.abc import Mapping
from logging import WARNING
from typing import Any

from mmengine.logging import print_log
from torch import nn

from lavida_mm.utils.errors import UsageError

__all__ = ['check_custom_keys']

FACTORS = ('lr_mult', 'decay_mult')


def check_custom_keys(model: nn.Module, optim_wrapper: Mapping[str, Any]) -> None:
    """Refuse settings that ``paramwise_cfg.custom_keys`` does not have, and warn of keys that fit no parameter.

    Args:
        model: the model that is to be trained.
        optim_wrapper: config of the optimizer wrapper.

    Raises:
        UsageError: a key's settings are not ``lr_mult`` and ``decay_mult``.
    """
    keys = (optim_wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {}
    names = [name for name, _ in model.named_parameters()]
    for key, settings in keys.items():
        unknown = sorted(set(settings) - set(FACTORS))
        if unknown:
            raise UsageError(
                f'optim_wrapper.paramwise_cfg.custom_keys[{key!r}] must hold lr_mult or decay_mult, got {unknown[0]!r} '
                '(a key with dots can be written in a config only, not on the command line)'
            )
        if not any(key in name for name in names):
            text = (
                f'optim_wrapper.paramwise_cfg.custom_keys: {key!r} is in the name of no parameter and changes nothing'
            )
            print_log(text, logger='current', level=WARNING)
