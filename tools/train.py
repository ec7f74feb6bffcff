"""Train a model from a config.

    python tools/train.py configs/lavida_tiny.py --work-dir work_dirs/tiny
    python tools/train.py configs/lavida_tiny.py --work-dir work_dirs/tiny --resume

A run that was killed, at whatever moment, goes on from its last whole checkpoint with --resume.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lavida_mm.utils.errors import DataError, config_errors, run_tool


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints (work_dirs/NAME_OF_CONFIG)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from this checkpoint; without a path, from the last whole one in the work dir, if there is one',
    )
    parser.add_argument('--amp', action='store_true', help='bfloat16 mixed precision')
    parser.add_argument('--seed', type=int, help='seed of weights, sampling and augmentation')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='values over those of the config: a.b=1 c=[1,2]'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='who starts processes')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by launchers')
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def make_config(args: argparse.Namespace) -> Any:
    """The config with the options of the command line in it."""
    from lavida_mm.engine.launch import load_config

    config = load_config(args.config, args.cfg_options)
    if args.work_dir is not None:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    if args.seed is not None:
        config.randomness = {**config.get('randomness', {}), 'seed': args.seed}
    if args.amp and config.get('optim_wrapper') and config.optim_wrapper.get('type', 'OptimWrapper') == 'OptimWrapper':
        config.optim_wrapper.type = 'BF16OptimWrapper'
    return config


def choose_resume(config: Any, resume: str | None) -> None:
    """Put the checkpoint to go on from into the config, and clear away what a killed run left half-written."""
    from lavida_mm.engine import find_last_checkpoint
    from lavida_mm.utils.atomic import remove_stale

    if int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0'))) == 0:
        remove_stale(config.work_dir)
    if resume is None:
        return
    if resume == 'auto':
        found = find_last_checkpoint(config.work_dir)
        config.resume = found is not None
        if found is not None:
            config.load_from = str(found)
        return
    if not Path(resume).is_file():
        raise DataError(f'{resume}: --resume: checkpoint not found')
    config.resume, config.load_from = True, resume


def main() -> None:
    args = parse_args()

    from mmengine.logging import print_log

    from lavida_mm.engine import check_checkpoint, check_custom_keys, check_initial_weights, check_training_state
    from lavida_mm.engine.launch import build_runner, leave_distributed, prepare_distributed

    config = make_config(args)
    choose_resume(config, args.resume)
    prepare_distributed(config, args.launcher)
    runner = build_runner(config, args.config)
    if args.resume is not None and not config.resume:
        print_log(f'no checkpoint in {config.work_dir} to go on from: training starts', logger='current')
    model = getattr(runner.model, 'module', runner.model)
    check_custom_keys(model, config.get('optim_wrapper') or {})
    if not config.get('resume'):
        check_initial_weights(model)
    if config.get('load_from'):
        check_checkpoint(model, config.load_from, partial=not config.resume)
        if config.resume:
            check_training_state(config.load_from)
    with config_errors(args.config):
        if runner.train_loop is None:
            raise ValueError('train_cfg and train_dataloader must be set for training')
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        if runner.param_schedulers is not None and not (config.get('auto_scale_lr') or {}).get('enable'):
            runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
        if runner.val_loop is not None:
            runner.val_evaluator  # noqa: B018  # builds the validation set and its metric, before hours of training
    runner.train()
    leave_distributed()


if __name__ == '__main__':
    run_tool(main)
