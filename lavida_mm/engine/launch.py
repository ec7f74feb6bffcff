"""What the command-line tools share: configs, processes, and the way from a config to a runner."""

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from mmengine.config import Config
from mmengine.runner import Runner

from lavida_mm.utils.errors import UsageError, config_errors, describe_error

__all__ = ['build_runner', 'leave_distributed', 'load_config', 'prepare_distributed']

DEFAULT_PORT = '29500'
# What a Runner reads from the top of a config, beside the names that the config itself has.
RUNNER_KEYS = {
    'auto_scale_lr', 'compile', 'custom_hooks', 'default_hooks', 'default_scope', 'env_cfg', 'experiment_name',
    'find_unused_parameters', 'launcher', 'load_from', 'log_level', 'log_processor', 'model', 'model_wrapper_cfg',
    'optim_wrapper', 'param_scheduler', 'randomness', 'resume', 'sync_bn', 'test_cfg', 'test_dataloader',
    'test_evaluator', 'train_cfg', 'train_dataloader', 'val_cfg', 'val_dataloader', 'val_evaluator', 'visualizer',
    'work_dir',
}  # fmt: skip


def load_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config and put options over it.

    Args:
        path: a text config.
        options: dotted names and values, as ``--cfg-options`` gives them.

    Raises:
        UsageError: the file, or one that it inherits from, is missing or no config; or an option starts with a name
            that neither the config nor the runner knows.
    """
    if not Path(path).is_file():
        raise UsageError(f'{path}: config file not found')
    try:
        config = Config.fromfile(path)
    except Exception as error:  # a config is a program, which can raise anything
        raise UsageError(f'{path}: not a config: {describe_error(error)}') from error
    for name in options or {}:
        first = name.split('.')[0]
        if first not in config and first not in RUNNER_KEYS:
            raise UsageError(f'{path}: --cfg-options {name}: the config has no {first}')
    try:
        config.merge_from_dict(dict(options or {}))
    except (KeyError, TypeError, IndexError, ValueError, AssertionError) as error:
        raise UsageError(f'{path}: --cfg-options: {describe_error(error)}') from error
    return config


def prepare_distributed(config: Config, launcher: str) -> None:
    """Start the processes' common group, on GPUs by mmengine and NCCL, else here and by gloo.

    mmengine selects a GPU before it asks for the backend, so that without one its own start fails.

    Args:
        config: the config; ``launcher`` and, without GPUs, ``model_wrapper_cfg`` are set in it.
        launcher: 'none', 'pytorch' (torchrun) or 'slurm'.

    Raises:
        UsageError: the launcher's environment variables are missing.
    """
    config.launcher = launcher
    if launcher == 'none' or torch.cuda.is_available():
        return
    if launcher == 'slurm':
        _adopt_slurm_environment()
    missing = [name for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR') if name not in os.environ]
    if missing:
        raise UsageError(f'--launcher {launcher}: {missing[0]} must be in the environment; start with tools/dist_*.sh')
    torch.distributed.init_process_group(backend='gloo')
    wrapper = dict(config.get('model_wrapper_cfg') or {})
    wrapper.setdefault('type', 'MMDistributedDataParallel')
    wrapper.setdefault('broadcast_buffers', False)
    wrapper.setdefault('find_unused_parameters', config.get('find_unused_parameters', False))
    wrapper['device_ids'] = None  # modules on the CPU have none
    config.model_wrapper_cfg = wrapper


def leave_distributed() -> None:
    """End this process when all of its group have finished; do nothing where there is no group.

    The interpreter is left without its teardown: there, threads of gloo that still run abort a process now and then
    whose work is done, and the launcher reports a failure that was none.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    torch.distributed.barrier()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def build_runner(config: Config, path: str | Path) -> Runner:
    """Build the runner and its model.

    Args:
        config: the resolved config.
        path: its file, for messages.

    Raises:
        UsageError: a component refuses its part of the config.
        DataError: weights that the config names are missing.
    """
    from lavida_mm.models.pretrained import check_weights  # all models, which reading a config does not need

    with config_errors(path):
        check_weights(config.get('model') or {})
        return Runner.from_cfg(config)


def _adopt_slurm_environment() -> None:
    """Name slurm's process numbers as torch does."""
    names = {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'}
    for name, slurm_name in names.items():
        if slurm_name not in os.environ:
            raise UsageError(f'--launcher slurm: {slurm_name} must be in the environment; start with tools/slurm_*.sh')
        os.environ[name] = os.environ[slurm_name]
    os.environ.setdefault('MASTER_ADDR', os.environ.get('SLURM_LAUNCH_NODE_IPADDR', '127.0.0.1'))
    os.environ.setdefault('MASTER_PORT', DEFAULT_PORT)
