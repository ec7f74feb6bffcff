"""Which parts carry weight: the same checkpoint with other words, with parts silenced, with fewer tokens.

    python tools/analysis_tools/ablation.py configs/lavida_tiny.py checkpoints/lavida_tiny.safetensors

Prints a Markdown table and writes ablation.md and ablation.json.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils.errors import UsageError, config_errors, run_tool

KEEP_RATIOS = (1.0, 0.5, 0.25)
FOUND = 0.8  # share of the anomalous frames that the threshold must find
COLUMNS = {'frame_auc': 'frame AUC', 'frame_ap': 'frame AP', 'pixel_auc': 'pixel AUC', 'pixel_ap': 'pixel AP'}


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Attributes:
        name: what is done.
        words: ``prompt_words`` of the test set.
        template: number of the prompt template.
        silenced: name of the part of the model whose output is zeroed, or None.
        keep_ratio: of the compressor, None for that of the config.
    """

    name: str
    words: str | tuple[str, ...] = 'own'
    template: int = 0
    silenced: str | None = None
    keep_ratio: float | None = None

    @property
    def prompt(self) -> tuple[str | tuple[str, ...], int]:
        """What the test set must be built for."""
        return self.words, self.template


SETTINGS = [
    Setting('right words'),
    Setting('words of another video', words='shuffled'),
    Setting('words of absent objects', words='absent'),
    Setting('`<SEG>` state zeroed', silenced='mllm'),
    Setting('category text zeroed', silenced='text_encoder'),
    *[Setting(f'keep ratio {ratio:g}', keep_ratio=ratio) for ratio in KEEP_RATIOS],
]


def parse_args() -> argparse.Namespace:
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file, .safetensors or .pth')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/ablation'), help='folder to write to')
    parser.add_argument('--benchmark-root', help="folder of the benchmark, if not the config's")
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='values over those of the config: a.b=1 c=[1,2]'
    )
    return parser.parse_args()


def find_threshold(scores: Any, labels: Any, found: float = FOUND) -> float:
    """The highest threshold at which at least a share ``found`` of the anomalous frames scores as high.

    Args:
        scores: score of each frame, (T,).
        labels: 1 where the frame is anomalous, (T,).
        found: share, in (0, 1].
    """
    import numpy as np

    anomalous = np.sort(scores[labels > 0])[::-1]
    return float(anomalous[math.ceil(found * len(anomalous)) - 1])


def make_markdown(rows: list[dict], summary: dict) -> str:
    """The table, and below it what the detector says when the words are wrong."""
    columns = {key: title for key, title in COLUMNS.items() if key in rows[0]}
    lines = [
        '| setting | ' + ' | '.join(columns.values()) + ' | change of frame AUC |',
        '| --- |' + ' ---: |' * (len(columns) + 1),
    ]
    for row in rows:
        figures = ' | '.join(f'{row[key]:.4f}' for key in columns)
        lines.append(f'| {row["setting"]} | {figures} | {row["frame_auc"] - rows[0]["frame_auc"]:+.4f} |')
    lines += [
        '',
        f'With the right words, a threshold of {summary["threshold"]:.4f} finds {summary["found"]:.1%} of the '
        f'anomalous frames, and {summary["alarms_right_words"]:.1%} of all frames reach it. '
        f'With words of absent objects, {summary["alarms_absent_words"]:.1%} of all frames reach it.',
    ]
    return '\n'.join(lines) + '\n'


@contextmanager
def silence(model: Any, part: str | None) -> Iterator[None]:
    """Zero what a part of the model hands on: the ``<SEG>`` states of 'mllm', the features of 'text_encoder'."""
    import torch

    def zero(module: Any, inputs: Any, output: Any) -> Any:
        if isinstance(output, torch.Tensor):
            return torch.zeros_like(output)
        return replace(output, seg_states=torch.zeros_like(output.seg_states))

    if part is None:
        yield
        return
    handle = getattr(model, part).register_forward_hook(zero)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def keep(model: Any, ratio: float | None) -> Iterator[None]:
    """Set the compressor's keep ratio for a while."""
    if ratio is None:
        yield
        return
    before = model.compressor.keep_ratio
    model.compressor.keep_ratio = ratio
    try:
        yield
    finally:
        model.compressor.keep_ratio = before


class Bench:
    """The model and the test set under any prompt, built once each.

    Args:
        config: the resolved config.
        path: its file.
        checkpoint: weights of the model.
        settings: what will be run.
    """

    def __init__(self, config: Any, path: str, checkpoint: str, settings: Sequence[Setting] = SETTINGS):
        from mmengine.device import get_device
        from mmengine.registry import MODELS, init_default_scope
        from mmengine.runner import load_checkpoint

        from lavida_mm.engine import check_checkpoint

        init_default_scope(config.get('default_scope', 'lavida_mm'))
        self.config, self.path = config, path
        with config_errors(path):
            self.model = MODELS.build(config.model)
        check_checkpoint(self.model, checkpoint)
        load_checkpoint(self.model, checkpoint, map_location='cpu')
        self.model.to(get_device()).eval()
        self.loaders = {prompt: self._build_loader(*prompt) for prompt in dict.fromkeys(s.prompt for s in settings)}

    def run(self, setting: Setting, advance: Callable[[], Any]) -> tuple[dict[str, float], Any, Any]:
        """Score the test set.

        Args:
            setting: what to do.
            advance: called after each batch.

        Returns:
            figures by plain names, frame scores (T,) and frame labels (T,).
        """
        import numpy as np
        import torch

        from lavida_mm.evaluation.vad_metric import VADMetric
        from lavida_mm.registry import METRICS

        loader = self.loaders[setting.prompt]
        with config_errors(self.path):
            metric = METRICS.build(self.config.test_evaluator)
        if not isinstance(metric, VADMetric):
            raise UsageError(f'{self.path}: test_evaluator must be a VADMetric, got {type(metric).__name__}')
        metric.dataset_meta = loader.dataset.metainfo
        with torch.no_grad(), silence(self.model, setting.silenced), keep(self.model, setting.keep_ratio):
            for batch in loader:
                metric.process(batch, self.model.test_step(batch))
                advance()
        figures = {name.split('/')[-1]: value for name, value in metric.evaluate(len(loader)).items()}
        videos = metric.evaluation.videos
        scores = np.concatenate([video.scores for video in videos])
        labels = np.concatenate([video.labels for video in videos])
        return figures, scores, labels

    def _build_loader(self, words: str | tuple[str, ...], template: int) -> Any:
        from mmengine.runner import Runner

        loader = self.config.test_dataloader.copy()
        shown = words if isinstance(words, str) else list(words)
        loader.dataset = {**loader.dataset, 'prompt_words': shown, 'template': template}
        if loader.get('num_workers', 0) > 0:
            loader['persistent_workers'] = False  # three sets of workers would stay alive otherwise
        with config_errors(self.path):
            return Runner.build_dataloader(loader)


def select_settings(model: Any) -> list[Setting]:
    """The settings that the model allows: without a compressor there is no keep ratio to change."""
    compresses = getattr(getattr(model, 'compressor', None), 'keep_ratio', None) is not None
    return [setting for setting in SETTINGS if setting.keep_ratio is None or compresses]


def main() -> None:
    args = parse_args()

    from mmengine.logging import MMLogger
    from tqdm import tqdm

    from lavida_mm.engine.launch import load_config
    from lavida_mm.utils.atomic import atomic_path, write_json

    MMLogger.get_instance('ablation', log_level='WARNING')  # a line per run would tear the progress bar
    config = load_config(args.config, args.cfg_options)
    if args.benchmark_root is not None:
        config.test_dataloader.dataset.benchmark.root = args.benchmark_root
    bench = Bench(config, args.config, args.checkpoint)
    settings = select_settings(bench.model)
    runs = {}
    total = sum(len(bench.loaders[setting.prompt]) for setting in settings)
    with tqdm(total=total, unit='batch', mininterval=1.0) as bar:
        for setting in settings:
            bar.set_description(setting.name)
            runs[setting] = bench.run(setting, bar.update)
    rows = [{'setting': setting.name, **figures} for setting, (figures, _, _) in runs.items()]
    _, scores, labels = runs[settings[0]]
    absent_scores = next(run[1] for setting, run in runs.items() if setting.words == 'absent')
    threshold = find_threshold(scores, labels)
    summary = {
        'threshold': threshold,
        'found': float((scores[labels > 0] >= threshold).mean()),
        'alarms_right_words': float((scores >= threshold).mean()),
        'alarms_absent_words': float((absent_scores >= threshold).mean()),
    }
    text = make_markdown(rows, summary)
    origin = {'config': Path(args.config).name, 'checkpoint': Path(args.checkpoint).name}
    write_json(args.out / 'ablation.json', {**origin, 'rows': rows, 'summary': summary})
    with atomic_path(args.out / 'ablation.md') as temporary:
        temporary.write_text(text, encoding='utf-8')
    print(text)


if __name__ == '__main__':
    run_tool(main)
