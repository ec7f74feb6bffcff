"""What the tools share that score a test set more than once: options, model, loaders and metrics."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lavida_mm.utils.errors import UsageError, config_errors

Prompt = tuple[str | tuple[str, ...], int]  # ``prompt_words`` of the test set, and the number of the template

COLUMNS = {'frame_auc': 'frame AUC', 'frame_ap': 'frame AP', 'pixel_auc': 'pixel AUC', 'pixel_ap': 'pixel AP'}


def add_options(parser: argparse.ArgumentParser, out: str) -> None:
    """Add the options that all of these tools have.

    Args:
        parser: of the tool.
        out: folder that is written to unless the user names another.
    """
    from mmengine.config import DictAction

    parser.add_argument('--out', type=Path, default=Path(out), help='folder to write to')
    parser.add_argument('--benchmark-root', help="folder of the benchmark, if not the config's")
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='values over those of the config: a.b=1 c=[1,2]'
    )


def read_config(args: argparse.Namespace) -> Any:
    """The config with the options over it; the log falls silent, since a line per run would tear the progress bar."""
    from mmengine.logging import MMLogger

    from lavida_mm.engine.launch import load_config

    MMLogger.get_instance('bench', log_level='WARNING')
    config = load_config(args.config, args.cfg_options)
    if args.benchmark_root is not None:
        try:
            config.test_dataloader.dataset.benchmark.root = args.benchmark_root
        except AttributeError as error:
            raise UsageError(f'{args.config}: test_dataloader.dataset.benchmark must be set') from error
    return config


class Bench:
    """The model and the test set under any prompt, built once each.

    Args:
        config: the resolved config.
        path: its file.
        prompts: what the test set is built for at once.
        model: a model that is at hand; None builds that of the config.
    """

    def __init__(self, config: Any, path: str, prompts: Iterable[Prompt] = (), model: Any = None) -> None:
        from mmengine.device import get_device
        from mmengine.registry import MODELS, init_default_scope

        init_default_scope(config.get('default_scope', 'lavida_mm'))
        self.config, self.path = config, path
        if model is None:
            with config_errors(path):
                model = MODELS.build(config.model).to(get_device()).eval()
        self.model = model
        self.loaders: dict[Prompt, Any] = {}
        for prompt in prompts:
            self.loader(prompt)

    def load(self, checkpoint: str) -> None:
        """Give the model the weights of a checkpoint."""
        from mmengine.runner import load_checkpoint

        from lavida_mm.engine import check_checkpoint

        check_checkpoint(self.model, checkpoint)
        load_checkpoint(self.model, checkpoint, map_location='cpu')

    def loader(self, prompt: Prompt) -> Any:
        """The test set under a prompt, built when it is first asked for."""
        if prompt not in self.loaders:
            self.loaders[prompt] = self._build_loader(*prompt)
        return self.loaders[prompt]

    def score(self, prompt: Prompt, advance: Callable[[], Any]) -> dict[str, float]:
        """Figures of the test set under a prompt, by plain names.

        Args:
            prompt: words and template.
            advance: called after each batch.
        """
        import torch

        loader = self.loader(prompt)
        metric = self.build_metric(loader)
        with torch.no_grad():
            for batch in loader:
                metric.process(batch, self.model.test_step(batch))
                advance()
        return find_figures(metric, loader)

    def build_metric(self, loader: Any) -> Any:
        """A fresh metric of the config for the test set of a loader."""
        from lavida_mm.evaluation.vad_metric import VADMetric
        from lavida_mm.registry import METRICS

        with config_errors(self.path):
            metric = METRICS.build(self.config.test_evaluator)
        if not isinstance(metric, VADMetric):
            raise UsageError(f'{self.path}: test_evaluator must be a VADMetric, got {type(metric).__name__}')
        metric.dataset_meta = loader.dataset.metainfo
        return metric

    def _build_loader(self, words: str | tuple[str, ...], template: int) -> Any:
        from mmengine.runner import Runner

        loader = self.config.test_dataloader.copy()
        shown = words if isinstance(words, str) else list(words)
        loader.dataset = {**loader.dataset, 'prompt_words': shown, 'template': template}
        if loader.get('num_workers', 0) > 0:
            loader['persistent_workers'] = False  # a set of workers per loader would stay alive otherwise
        with config_errors(self.path):
            return Runner.build_dataloader(loader)


def own_prompt(config: Any) -> Prompt:
    """The prompt that the config itself gives its test set."""
    dataset = config.test_dataloader.dataset
    words = dataset.get('prompt_words', 'own')
    return words if isinstance(words, str) else tuple(words), dataset.get('template', 0)


def find_figures(metric: Any, loader: Any) -> dict[str, float]:
    """The figures of a metric that has seen the whole test set, by plain names."""
    return {name.split('/')[-1]: value for name, value in metric.evaluate(len(loader)).items()}
