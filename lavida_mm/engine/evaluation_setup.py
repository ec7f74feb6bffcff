"""What ``tools/test.py`` changes in a config: the protocol, and the folder that takes the predictions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from mmengine.config import Config

from lavida_mm.utils.errors import UsageError

__all__ = ['describe_run', 'find_metrics', 'open_dumps', 'set_dump', 'set_protocol', 'set_words', 'summarise']

READ_AT_ONCE = 1 << 24  # bytes
NAMED_BY_FILES = ('manifest', 'folder')  # benchmarks that take their name from what they read
NOT_IDENTITY = {'root', 'skip_videos', 'lazy_init'}  # of a data set: where it lies is not what it is


def set_words(config: Config, words: Sequence[str], path: str | Path) -> None:
    """Let every prompt of the test name the same words.

    Args:
        config: the config; changed in place.
        words: the words; a protocol that fixes words has the last say.
        path: the config's file, for messages.

    Raises:
        UsageError: the config has no data set of windows.
    """
    _find_dataset(config, path, '--words')['prompt_words'] = list(words)


def set_protocol(config: Config, protocol: str, path: str | Path) -> None:
    """Put what a protocol fixes into the test data set and the metrics of a config.

    Args:
        config: the config; changed in place.
        protocol: name of a protocol, or a file with one's own.
        path: the config's file, for messages.

    Raises:
        UsageError: there is no such protocol, it does not know the benchmark, or the config has no ``VADMetric``.
    """
    from lavida_mm.evaluation.protocols import PROTOCOLS, benchmark_options, dataset_options, get_protocol

    found = get_protocol(protocol)
    dataset = _find_dataset(config, path, '--protocol')
    name = _find_benchmark_name(dataset, path)
    dataset.update(dataset_options(found, name))
    dataset['benchmark'] = {**dataset['benchmark'], **benchmark_options(found, name)}
    metrics = [metric for metric in _list_metrics(config) if _is_vad_metric(metric)]
    if not metrics:
        raise UsageError(f'{path}: --protocol needs a VADMetric in test_evaluator')
    for metric in metrics:
        metric['protocol'] = found.name if found.name in PROTOCOLS else found.to_dict()


def set_dump(
    config: Config,
    folder: str | Path,
    *,
    path: str | Path,
    checkpoint: str | Path,
    masks: str = 'none',
    mask_stride: int = 1,
    overwrite: bool = False,
) -> None:
    """Let a test write prediction files, leave out the videos that are done, and compute its figures from the files.

    Args:
        config: the config; changed in place.
        folder: folder of the files.
        path: the config's file, for messages.
        checkpoint: the weights.
        masks: see ``DumpPredictions``.
        mask_stride: see ``DumpPredictions``.
        overwrite: empty the folder first, where it holds predictions.

    Raises:
        UsageError: the folder holds predictions of another run, or the config has no data set of windows.
        DataError: one of its files is damaged.
    """
    from lavida_mm.evaluation.dump_predictions import check_same, find_finished
    from lavida_mm.evaluation.predictions import is_prediction_folder, read_folder_meta

    dataset = _find_dataset(config, path, '--dump')
    run = describe_run(config, path, checkpoint)
    if is_prediction_folder(folder) and not overwrite:
        stored = read_folder_meta(folder).get('shared', {})
        # The rest is compared once the test is built and knows it by name; config_sha256 differs with any of it.
        early = {name: value for name, value in run.items() if name != 'config_sha256'}
        name = _find_benchmark_name(dataset, path)
        if name not in NAMED_BY_FILES:
            early['benchmark'] = name
        check_same(folder, {name: stored.get(name) for name in early}, early)
        dataset['skip_videos'] = sorted(find_finished(folder))
    metrics = _list_metrics(config)
    ours = [metric for metric in metrics if _is_vad_metric(metric)]
    dump = dict(
        type='DumpPredictions',
        out_dir=str(folder),
        masks=masks,
        mask_stride=mask_stride,
        pixel=any(metric.get('pixel', True) for metric in ours),
        run=run,
        overwrite=overwrite,
    )
    for name in ('protocol', 'num_bins'):
        if ours and name in ours[0]:
            dump[name] = ours[0][name]
    for metric in ours:
        metric['predictions'] = str(folder)
    config.test_evaluator = [dump, *metrics]


def find_metrics(runner: Any) -> list[Any]:
    """The ``VADMetric`` objects of a runner's test."""
    from lavida_mm.evaluation.vad_metric import VADMetric

    return [metric for metric in runner.test_loop.evaluator.metrics if isinstance(metric, VADMetric)]


def open_dumps(runner: Any) -> None:
    """Let the metrics that write files look at their folders, before the model has run.

    Raises:
        UsageError: a folder holds predictions of another run.
    """
    from lavida_mm.evaluation.dump_predictions import DumpPredictions

    for metric in runner.test_loop.evaluator.metrics:
        if isinstance(metric, DumpPredictions):
            metric.open()


def summarise(metric: Any) -> dict[str, Any]:
    """What must stand beside the figures of a metric, under its prefix: protocol, coverage, what is undefined."""
    summary = metric.evaluation.to_dict()
    names = ('benchmark', 'protocol', 'protocol_version', 'coverage', 'undefined', 'notes', 'options')
    return {f'{metric.prefix}/{name}': summary[name] for name in names}


def _find_dataset(config: Config, path: str | Path, option: str) -> Any:
    dataset = (config.get('test_dataloader') or {}).get('dataset')
    if not isinstance(dataset, Mapping) or not isinstance(dataset.get('benchmark'), Mapping):
        raise UsageError(f'{path}: {option} needs a VideoAnomalyDataset with a benchmark in test_dataloader')
    return dataset


def _find_benchmark_name(dataset: Mapping[str, Any], path: str | Path) -> str:
    from lavida_mm.registry import DATASETS

    kind = dataset['benchmark'].get('type')
    found = DATASETS.get(kind) if isinstance(kind, str) else kind
    if found is None or not hasattr(found, 'name'):
        raise UsageError(f'{path}: test_dataloader.dataset.benchmark.type must be a benchmark, got {kind}')
    return found.name


def _list_metrics(config: Config) -> list[Any]:
    evaluator = config.get('test_evaluator')
    if isinstance(evaluator, Mapping):
        config.test_evaluator = [evaluator]
    return list(config.get('test_evaluator') or ())


def _is_vad_metric(metric: Any) -> bool:
    return isinstance(metric, Mapping) and str(metric.get('type')).split('.')[-1] == 'VADMetric'


def describe_run(config: Config, path: str | Path, checkpoint: str | Path) -> dict[str, Any]:
    """What decides the predictions beside the options of the data set.

    Args:
        config: the resolved config.
        path: its file.
        checkpoint: the weights.

    Returns:
        names and values, as JSON takes them: config, checkpoint, their hashes, versions.
    """
    dataset = config.test_dataloader.dataset
    parts = {'model': config.get('model'), 'dataset': dataset, 'test_cfg': config.get('test_cfg')}
    text = json.dumps(_plain(parts), sort_keys=True)
    versions = {name: metadata.version(name) for name in ('lavida_mm', 'torch', 'transformers', 'numpy')}
    return {
        'config': Path(path).name,
        'config_sha256': hashlib.sha256(text.encode()).hexdigest(),
        'checkpoint': Path(checkpoint).name,
        'checkpoint_sha256': _hash_file(checkpoint),
        'versions': versions,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if key not in NOT_IDENTITY}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _hash_file(path: str | Path) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(READ_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()
