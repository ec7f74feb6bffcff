"""Evaluate a checkpoint on the test set of a config.

    python tools/test.py configs/lavida_tiny.py checkpoints/lavida_tiny.safetensors --work-dir work_dirs/test

    python tools/test.py CONFIG CHECKPOINT --protocol lavida-code --dump predictions/

Writes the figures to metrics.json in the work dir, with the protocol that they were made by, and logs them as a table.
With --dump, each finished video becomes a file; a second run goes on where the first one ended, and tools/evaluate.py
scores the files again without the model.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lavida_mm.utils.errors import UsageError, config_errors, run_tool


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file, .safetensors or .pth')
    parser.add_argument('--work-dir', help='folder of metrics.json and logs (work_dirs/NAME_OF_CONFIG)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='values over those of the config: a.b=1 c=[1,2]'
    )
    parser.add_argument('--words', help="what every prompt names, separated by commas: 'person on the tracks, smoke'")
    parser.add_argument(
        '--protocol',
        help='how to evaluate: default, lavida-code, lavad, i3d-16, ubnormal-official, or a .py or .json file',
    )
    parser.add_argument('--dump', metavar='DIR', help='write one prediction file per video; finished videos are kept')
    parser.add_argument(
        '--dump-masks', choices=['none', 'float16', 'rle'], default='none', help='masks in the prediction files (none)'
    )
    parser.add_argument(
        '--dump-mask-stride', type=int, default=1, metavar='N', help='keep the masks of every N-th frame'
    )
    parser.add_argument('--dump-overwrite', action='store_true', help='empty DIR first, if it holds predictions')
    parser.add_argument('--device', help='cpu, cuda or cuda:N (the first GPU, or the CPU where there is none)')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='who starts processes')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by launchers')
    args = parser.parse_args()
    if args.dump is None and (args.dump_masks != 'none' or args.dump_mask_stride != 1 or args.dump_overwrite):
        parser.error('--dump-masks, --dump-mask-stride and --dump-overwrite need --dump')
    if args.dump_mask_stride < 1:
        parser.error(f'--dump-mask-stride must be at least 1, got {args.dump_mask_stride}')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def make_table(metrics: dict[str, Any]) -> str:
    """Names and figures in two aligned columns."""
    shown = {name: f'{value:.4f}' if isinstance(value, float) else str(value) for name, value in metrics.items()}
    width, room = max(map(len, shown)), max(map(len, shown.values()))
    return '\n'.join(f'{name:<{width}}  {value:>{room}}' for name, value in shown.items())


def main() -> None:
    args = parse_args()
    if args.device is not None:
        choose_device(args.device)

    from mmengine.dist import is_main_process
    from mmengine.logging import print_log

    from lavida_mm.apis.categories import split_categories
    from lavida_mm.engine import check_checkpoint
    from lavida_mm.engine.evaluation_setup import find_metrics, open_dumps, set_dump, set_protocol, set_words, summarise
    from lavida_mm.engine.launch import build_runner, leave_distributed, load_config, prepare_distributed
    from lavida_mm.utils.atomic import write_json

    config = load_config(args.config, args.cfg_options)
    config.work_dir = args.work_dir or config.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    config.load_from, config.resume = args.checkpoint, False
    if args.words is not None:
        set_words(config, split_categories(args.words), args.config)
    if args.protocol is not None:
        set_protocol(config, args.protocol, args.config)
    if args.dump is not None:
        set_dump(
            config,
            args.dump,
            path=args.config,
            checkpoint=check_readable(args.checkpoint),
            masks=args.dump_masks,
            mask_stride=args.dump_mask_stride,
            overwrite=args.dump_overwrite,
        )
    prepare_distributed(config, args.launcher)
    runner = build_runner(config, args.config)
    check_checkpoint(getattr(runner.model, 'module', runner.model), args.checkpoint)
    with config_errors(args.config):
        if runner.test_loop is None:
            raise ValueError('test_cfg, test_dataloader and test_evaluator must be set for a test')
    open_dumps(runner)
    metrics = runner.test()
    if is_main_process():
        path = Path(config.work_dir) / 'metrics.json'
        origin = {'checkpoint': Path(args.checkpoint).name, 'config': Path(args.config).name}
        details = {name: value for metric in find_metrics(runner) for name, value in summarise(metric).items()}
        write_json(path, {**metrics, **details, **origin})
        print_log(f'{path}\n{make_table(metrics)}', logger='current')
    leave_distributed()


def check_readable(checkpoint: str) -> str:
    """The checkpoint's path, if there is such a file."""
    from lavida_mm.utils.errors import DataError

    if not Path(checkpoint).is_file():
        raise DataError(f'{checkpoint}: checkpoint not found')
    return checkpoint


def choose_device(device: str) -> None:
    """Show torch only the device that was asked for; mmengine takes what it sees when it is imported."""
    if device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
        return
    kind, _, number = device.partition(':')
    if kind != 'cuda' or (number and not number.isdigit()):
        raise UsageError(f'--device must be cpu, cuda or cuda:N, got {device}')
    if number:
        os.environ['CUDA_VISIBLE_DEVICES'] = number
    import torch

    if not torch.cuda.is_available():
        raise UsageError(f'--device {device}: torch sees no such GPU here')


if __name__ == '__main__':
    run_tool(main)
