"""Which parts carry weight: the same checkpoint with other words, with parts silenced, with fewer tokens.

    python tools/analysis_tools/ablation.py configs/lavida_tiny.py checkpoints/lavida_tiny.safetensors

Prints a Markdown table and writes ablation.md and ablation.json.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench import COLUMNS, Bench, Prompt, add_options, find_figures, read_config

from lavida_mm.utils.errors import run_tool

KEEP_RATIOS = (1.0, 0.5, 0.25)
FOUND = 0.8  # share of the anomalous frames that the threshold must find


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
    def prompt(self) -> Prompt:
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file, .safetensors or .pth')
    add_options(parser, 'work_dirs/ablation')
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


def run(bench: Bench, setting: Setting, advance: Callable[[], Any]) -> tuple[dict[str, float], Any, Any]:
    """Score the test set.

    Args:
        bench: model and test set.
        setting: what to do.
        advance: called after each batch.

    Returns:
        figures by plain names, frame scores (T,) and frame labels (T,).
    """
    import numpy as np
    import torch

    loader = bench.loaders[setting.prompt]
    metric = bench.build_metric(loader)
    with torch.no_grad(), silence(bench.model, setting.silenced), keep(bench.model, setting.keep_ratio):
        for batch in loader:
            metric.process(batch, bench.model.test_step(batch))
            advance()
    figures = find_figures(metric, loader)
    videos = metric.evaluation.videos
    scores = np.concatenate([video.scores for video in videos])
    labels = np.concatenate([video.labels for video in videos])
    return figures, scores, labels


def select_settings(model: Any) -> list[Setting]:
    """The settings that the model allows: where all tokens are kept there is no keep ratio to change."""
    from lavida_mm.models.compressors import NoCompressor

    compressor = getattr(model, 'compressor', None)
    compresses = compressor is not None and not isinstance(compressor, NoCompressor)
    return [setting for setting in SETTINGS if setting.keep_ratio is None or compresses]


def main() -> None:
    args = parse_args()

    from tqdm import tqdm

    from lavida_mm.utils.atomic import atomic_path, write_json

    bench = Bench(read_config(args), args.config, [setting.prompt for setting in SETTINGS])
    bench.load(args.checkpoint)
    settings = select_settings(bench.model)
    runs = {}
    total = sum(len(bench.loaders[setting.prompt]) for setting in settings)
    with tqdm(total=total, unit='batch', mininterval=1.0) as bar:
        for setting in settings:
            bar.set_description(setting.name)
            runs[setting] = run(bench, setting, bar.update)
    rows = [{'setting': setting.name, **figures} for setting, (figures, _, _) in runs.items()]
    _, scores, labels = runs[settings[0]]
    absent_scores = next(found[1] for setting, found in runs.items() if setting.words == 'absent')
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
