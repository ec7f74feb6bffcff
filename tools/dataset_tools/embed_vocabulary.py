"""Write the text embeddings of all words of a config's training sources, for PseudoAnomalySampler(distractors='hard').

    python tools/dataset_tools/embed_vocabulary.py configs/lavida_tiny.py --out data/words.npz

The config's own text encoder makes them. Name the file in the sampler: anomaly_sampler=dict(distractors='hard',
embeddings='data/words.npz').
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils.errors import UsageError, config_errors, run_tool


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file with a SourceMixture to train on')
    parser.add_argument('--out', required=True, type=Path, metavar='FILE', help='.npz file to write')
    parser.add_argument('--batch-size', type=int, default=64, metavar='N', help='words at a time (64)')
    parser.add_argument('--device', default='cpu', help='where the encoder runs (cpu)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='values over those of the config: a.b=1 c=[1,2]'
    )
    args = parser.parse_args(argv)
    if args.batch_size < 1:
        parser.error(f'--batch-size must be at least 1, got {args.batch_size}')
    if args.out.suffix != '.npz':
        parser.error(f'--out must end in .npz, got {args.out}')
    return args


def collect_words(dataset: Any, path: str) -> list[str]:
    """The words of all sources that the mixture uses, each once; nothing of their pipelines is built.

    Args:
        dataset: config of the mixture.
        path: the config file, for messages.

    Raises:
        UsageError: it is no mixture of sources.
        DataError: the files of a source are missing.
    """
    from tqdm import tqdm

    from lavida_mm.datasets.mixture import build_source
    from lavida_mm.utils.words import unique_words

    if (dataset or {}).get('type') != 'SourceMixture':
        raise UsageError(f'{path}: train_dataloader.dataset must be a SourceMixture')
    words: list[str] = []
    used = [name for name in dataset['sources'] if dataset['shares'].get(name, 0) > 0]
    for name in tqdm(used, unit='source', desc='reading'):
        source = {key: value for key, value in dataset['sources'][name].items() if key != 'anomaly_sampler'}
        with config_errors(path):
            words.extend(build_source(name, {**source, 'pipeline': []}, None, None).vocabulary)
    if not words:
        raise UsageError(f'{path}: its sources have no words to embed')
    return unique_words(words)


def embed(encoder: Any, words: Sequence[str], batch_size: int) -> Any:
    """Embeddings of V words, float32 (V, D).

    Args:
        encoder: takes a list of words, gives features (n, D).
        words: to embed.
        batch_size: how many at a time.
    """
    import numpy as np
    import torch
    from tqdm import tqdm

    found = []
    with torch.no_grad(), tqdm(total=len(words), unit='word', desc='embedding') as bar:
        for start in range(0, len(words), batch_size):
            batch = list(words[start : start + batch_size])
            found.append(encoder.encode(batch).float().cpu().numpy())
            bar.update(len(batch))
    return np.concatenate(found)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)

    from mmengine.registry import init_default_scope

    import lavida_mm.datasets
    import lavida_mm.models  # noqa: F401
    from lavida_mm.datasets.word_embeddings import save_embeddings
    from lavida_mm.engine.launch import load_config
    from lavida_mm.models.pretrained import check_weights
    from lavida_mm.registry import MODELS

    config = load_config(args.config, args.cfg_options)
    init_default_scope('lavida_mm')
    part = (config.get('model') or {}).get('text_encoder')
    if not part:
        raise UsageError(f'{args.config}: model.text_encoder must be set: its embeddings are written')
    words = collect_words((config.get('train_dataloader') or {}).get('dataset'), args.config)
    with config_errors(args.config):
        check_weights(dict(text_encoder=part))
        encoder = MODELS.build(part)
    if hasattr(encoder, 'bind'):
        raise UsageError(f'{args.config}: model.text_encoder: {part.type} needs its MLLM; name another for this tool')
    encoder.init_weights()
    encoder.eval().to(args.device)
    save_embeddings(args.out, words, embed(encoder, words, args.batch_size))
    sys.stdout.write(f'{args.out}: {len(words)} words\n')


if __name__ == '__main__':
    run_tool(main)
