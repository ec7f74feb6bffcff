"""Export the trained multimodal LLM of a checkpoint as a plain folder in the Hugging Face format.

    python tools/model_tools/export_hf.py configs/lavida_7b.py work_dirs/lavida_7b exported/lavida_7b_mllm

LoRA and the rows of <SEG> are merged into the weights, <SEG> is in the tokenizer: transformers loads the folder as it
loads the model that it came from, and so does MLLMBackbone by `pretrained`.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils.errors import DataError, UsageError, config_errors, run_tool

EXPORTED = ('.json', '.jinja', '.safetensors', '.txt', '.model')  # endings of what a model's folder holds


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of the training')
    parser.add_argument('checkpoint', type=Path, help='its checkpoint, or its work dir: the last one')
    parser.add_argument('output', type=Path, help='folder to write')
    parser.add_argument(
        '--dtype',
        choices=['auto', 'float32', 'bfloat16', 'float16'],
        default='auto',
        help='of the exported weights (auto: as the base model stores them)',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace the folder if it is there')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='values over those of the config: a.b=1 c=[1,2]'
    )
    return parser.parse_args()


def check_output(output: Path, overwrite: bool, pretrained: str) -> None:
    """Refuse to replace anything but an earlier export.

    Args:
        output: folder to write.
        overwrite: whether the user allows it.
        pretrained: the base model.

    Raises:
        DataError: something is there that is not an export, or that must not go.
    """
    if not output.exists():
        return
    if not overwrite:
        raise DataError(f'{output}: exists already; --overwrite replaces it')
    if output.resolve() == Path(pretrained).resolve():
        raise DataError(f'{output}: is the base model itself, which the checkpoint needs')
    foreign = [entry.name for entry in output.iterdir() if entry.suffix not in EXPORTED] if output.is_dir() else ['']
    if foreign or not (output / 'config.json').is_file():
        raise DataError(f'{output}: --overwrite replaces an earlier export, and this is none')


def main() -> None:
    args = parse_args()

    from mmengine.registry import MODELS, init_default_scope
    from mmengine.runner.checkpoint import CheckpointLoader, load_state_dict
    from torch import nn

    from lavida_mm.engine import check_checkpoint, find_last_checkpoint
    from lavida_mm.engine.launch import load_config
    from lavida_mm.models.mllm.export import export_merged
    from lavida_mm.utils.atomic import atomic_folder

    config = load_config(args.config, args.cfg_options)
    check_output(args.output, args.overwrite, config.get('model', {}).get('mllm', {}).get('pretrained', ''))
    path = find_last_checkpoint(args.checkpoint) if args.checkpoint.is_dir() else args.checkpoint
    if path is None or not path.is_file():
        raise DataError(f'{args.checkpoint}: no checkpoint found')
    init_default_scope(config.get('default_scope', 'lavida_mm'))
    with config_errors(args.config):
        settings = config.get('model', {}).get('mllm')
        if settings is None:
            raise UsageError('model.mllm must be set: only a multimodal LLM is exported')
        # Adapters that were trained beside 4 bits are merged into the weights themselves.
        backbone = MODELS.build({**settings, 'quantize': None, 'dtype': args.dtype})
    whole = nn.ModuleDict({'mllm': backbone})
    check_checkpoint(whole, path)
    content = CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    weights = content.get('state_dict', content)
    load_state_dict(whole, {name: value for name, value in weights.items() if name.startswith('mllm.')})
    with atomic_folder(args.output) as temporary:
        export_merged(backbone, temporary)
    size = sum(part.stat().st_size for part in args.output.rglob('*') if part.is_file()) / 1e6
    print(f'{args.output}: {size:,.1f} MB, of {path.name} and {settings["pretrained"]}')


if __name__ == '__main__':
    run_tool(main)
