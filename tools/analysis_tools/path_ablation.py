"""Which paths carry weight: a checkpoint with other words, parts silenced or swapped, frames moved, fewer tokens.

    python tools/analysis_tools/path_ablation.py configs/lavida_tiny.py checkpoints/lavida_tiny.safetensors

Frame and pixel AUC of each setting, with 95 % bootstrap intervals over videos, and what they change against the right
words, on the same draws of videos. Prints the report and writes path_ablation.md, .json and .png. Finished settings are
not repeated: the same command again goes on where the last one ended.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench import Bench, Prompt, add_options, find_figures, own_prompt, read_config
from path_report import MARGIN, Measured, compare, draw_changes, find_alarms, make_markdown
from path_settings import BASELINE, KEEP_RATIOS, Setting, make_settings, why_not

from lavida_mm.utils.errors import DataError, UsageError, run_tool

NUM_DRAWS = 1000
STATES = 'seg_states.npz'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file, .safetensors or .pth')
    parser.add_argument(
        '--splits',
        nargs='+',
        default=[],
        metavar='NAME=CONFIG',
        help="test sets of other configs, with their metrics, for the same model (the config's own)",
    )
    parser.add_argument('--settings', nargs='+', default=[], metavar='KEY', help='settings to run (all)')
    parser.add_argument('--wrong-words', nargs='+', metavar='WORD', help="words, if not each video's absent ones")
    parser.add_argument(
        '--keep-ratios', nargs='+', type=float, default=KEEP_RATIOS, metavar='R', help='of the visual tokens'
    )
    parser.add_argument('--draws', type=int, default=NUM_DRAWS, metavar='N', help=f'draws of videos ({NUM_DRAWS})')
    parser.add_argument('--margin', type=float, default=MARGIN, help=f'a change within it is none ({MARGIN:g})')
    add_options(parser, 'work_dirs/path_ablation')
    args = parser.parse_args(argv)
    if args.draws < 1:
        parser.error(f'--draws must be at least 1, got {args.draws}')
    if not args.margin >= 0:
        parser.error(f'--margin must be at least 0, got {args.margin:g}')
    if args.splits and args.benchmark_root is not None:
        parser.error("--benchmark-root is for the config's own test set, not for --splits")
    return args


@dataclass
class Split:
    """One test set and what is run on it.

    Attributes:
        name: of the split.
        bench: model and test set.
        folder: where its predictions lie.
        checkpoint: of the model.
        settings: what is run, the baseline first.
        left_out: key -> why a setting is not run.
    """

    name: str
    bench: Bench
    folder: Path
    checkpoint: str
    settings: list[Setting]
    left_out: dict[str, str]

    def prompt(self, setting: Setting) -> Prompt:
        """What the test set must be built for."""
        words, template = own_prompt(self.bench.config)
        return (words if setting.words is None else setting.words), template

    @cached_property
    def origin(self) -> dict[str, Any]:
        """What decides the predictions beside setting and test set."""
        from lavida_mm.engine.evaluation_setup import describe_run

        return describe_run(self.bench.config, self.bench.path, self.checkpoint)

    @property
    def gives_states(self) -> bool:
        """Whether the model has a state at ``<SEG>``."""
        return getattr(self.bench.model, 'mllm', None) is not None

    @property
    def states(self) -> Path:
        """The file of the ``<SEG>`` states under the right words."""
        return self.folder / STATES

    def open_dump(self, setting: Setting) -> Any:
        """What writes the predictions of a setting; None where they are written.

        Raises:
            UsageError: those of another model or test set lie there.
            DataError: one of them is damaged.
        """
        from lavida_mm.evaluation.dump_predictions import DumpPredictions, find_finished

        folder, loader = self.folder / setting.key, self.bench.loader(self.prompt(setting))
        metric, dataset = self.bench.build_metric(loader), loader.dataset
        wanted = {
            record.video_id for record, number in zip(dataset.records, dataset.num_windows, strict=True) if number
        }
        finished = find_finished(folder) >= wanted
        if setting == BASELINE and self.gives_states:
            finished &= self.states.is_file()
        dump = DumpPredictions(
            out_dir=str(folder),
            pixel=metric.pixel,
            protocol=metric.protocol,
            num_bins=metric.num_bins,
            run={**self.origin, 'setting': json.loads(json.dumps(setting.describe()))},
            overwrite=not finished,
        )
        dump.dataset_meta = dataset.metainfo
        if not finished:
            return dump
        try:
            dump.open()
        except UsageError as error:  # its cure is an option of tools/test.py
            raise UsageError(str(error).rpartition(';')[0] + '; give another --out') from error
        return None


def find_splits(args: argparse.Namespace) -> dict[str, tuple[Any, str]]:
    """Config and its file for each split; the model is that of the first config in all of them.

    Raises:
        UsageError: a split is not NAME=CONFIG, or two have one name.
    """
    from lavida_mm.engine.launch import load_config

    config = read_config(args)
    if not args.splits:
        return {'test': (config, args.config)}
    splits: dict[str, tuple[Any, str]] = {}
    for text in args.splits:
        name, _, path = text.partition('=')
        if not name or not path or Path(name).name != name:
            raise UsageError(f'--splits must be NAME=CONFIG, NAME that of a folder, got {text}')
        if name in splits:
            raise UsageError(f'--splits must have names of their own, got {name} twice')
        other, shown = load_config(path, args.cfg_options), config.copy()
        for field in ('test_dataloader', 'test_evaluator'):
            if other.get(field) is None:
                raise UsageError(f'{path}: {field} must be set')
            shown[field] = other[field]
        splits[name] = (shown, path)
    return splits


def make_split(name: str, bench: Bench, args: argparse.Namespace) -> Split:
    """A split with those settings that its model and its words allow."""
    split = Split(name, bench, args.out / name, args.checkpoint, [], {})
    window = getattr(bench.loader(split.prompt(BASELINE)).dataset, 'window', None)
    for setting in make_settings(args.keep_ratios, args.wrong_words, args.settings):
        reason = why_not(bench.model, setting, window)
        if reason is None and setting.words is not None:
            try:
                bench.loader(split.prompt(setting))
            except (DataError, UsageError) as error:  # the right words were read above, so it is these words
                reason = str(error)
        if reason is None:
            split.settings.append(setting)
        else:
            split.left_out[setting.key] = reason
    return split


def run(split: Split, setting: Setting, dump: Any, advance: Callable[[], Any]) -> None:
    """Score the test set and write the predictions.

    Args:
        split: model and test set.
        setting: what to do.
        dump: writes the predictions.
        advance: called after each batch.
    """
    import torch
    from path_interventions import SegStates, intervene, record

    model, loader = split.bench.model, split.bench.loader(split.prompt(setting))
    states = SegStates.read(split.states) if setting.swapped else SegStates()
    with torch.no_grad(), intervene(model, setting, states) as step:
        if setting == BASELINE and split.gives_states:
            with record(model, step, states) as recorded:
                score(loader, recorded, dump, advance)
            states.write(split.states)
        else:
            score(loader, step, dump, advance)
    dump.evaluate(len(loader))


def score(loader: Any, step: Callable[[Any], list[Any]], dump: Any, advance: Callable[[], Any]) -> None:
    """Hand what a step makes of each batch to ``dump``."""
    for batch in loader:
        dump.process(batch, step(batch))
        advance()


def measure(split: Split, setting: Setting, num_draws: int) -> Measured:
    """Figures of the predictions of a setting, and those of each draw of videos.

    Raises:
        UsageError: the test set has no ground truth of both classes.
    """
    import numpy as np

    from lavida_mm.evaluation.functional import PixelHistogram, draw_videos, frame_figure_of_draws, pixel_auc_of_draws
    from lavida_mm.evaluation.predictions import list_predictions, read_prediction

    loader = split.bench.loader(split.prompt(setting))
    metric = split.bench.build_metric(loader)
    metric.predictions = split.folder / setting.key
    figures = find_figures(metric, loader)
    if 'frame_auc' not in figures:
        raise UsageError(f'{split.bench.path}: frame_auc must be defined: {metric.evaluation.undefined["frame_auc"]}')
    videos = [video for video in metric.evaluation.videos if video.labels is not None and video.scored.any()]
    curves = [(video.scores[video.scored], video.labels[video.scored]) for video in videos]
    times = draw_videos(len(videos), num_draws)
    draws = {'frame_auc': frame_figure_of_draws(curves, times)}
    if 'pixel_auc' in figures:
        rows = {video.video_id: number for number, video in enumerate(videos)}
        stored = [read_prediction(path) for path in list_predictions(metric.predictions)]
        packed = {found.video_id: found.pixel_counts for found in stored}
        counts = stack_counts(packed, rows, PixelHistogram(metric.num_bins).state().shape[1])
        draws['pixel_auc'] = pixel_auc_of_draws(*counts, times)
    scores, labels = (np.concatenate(parts) for parts in zip(*curves, strict=True))
    return Measured(figures, draws, scores, labels)


def stack_counts(stored: Mapping[str, Mapping[str, Any] | None], rows: Mapping[str, int], num_bins: int) -> Any:
    """Pixels of each video in each bin of its histogram, from prediction files.

    Args:
        stored: ``Prediction.pixel_counts`` of each video; None where its pixels are not counted.
        rows: row of each of V videos that count.
        num_bins: bins of a histogram.

    Returns:
        anomalous and normal pixels, int64 (2, V, bins).
    """
    import numpy as np

    counts = np.zeros((3, len(rows), num_bins), dtype=np.int64)
    for video_id, packed in stored.items():
        if packed is not None and video_id in rows:
            kinds, bins = np.divmod(packed['histogram_places'], num_bins)
            counts[kinds, rows[video_id], bins] = packed['histogram_counts']
    return counts[:2]


def summarise(split: Split, args: argparse.Namespace) -> dict[str, Any]:
    """Everything that is written of a split, as JSON takes it."""
    found = {setting: measure(split, setting, args.draws) for setting in split.settings}
    wrong = next((measured for setting, measured in found.items() if setting.key == 'wrong_words'), None)
    return {
        'config': Path(split.bench.path).name,
        'num_videos': len(split.bench.loader(split.prompt(BASELINE)).dataset.records),
        'rows': [compare(setting, measured, found[BASELINE], args.margin) for setting, measured in found.items()],
        'alarms': None if wrong is None else find_alarms(found[BASELINE], wrong),
        'left_out': split.left_out,
    }


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)

    from tqdm import tqdm

    from lavida_mm.utils.atomic import atomic_path, write_json

    splits: list[Split] = []
    model = None
    for name, (config, path) in find_splits(args).items():
        bench = Bench(config, path, model=model)
        if model is None:
            bench.load(args.checkpoint)
            model = bench.model
        splits.append(make_split(name, bench, args))
    runs = [(split, setting, split.open_dump(setting)) for split in splits for setting in split.settings]
    runs = [(split, setting, dump) for split, setting, dump in runs if dump is not None]
    total = sum(len(split.bench.loader(split.prompt(setting))) for split, setting, _ in runs)
    with tqdm(total=total, unit='batch', mininterval=1.0) as bar:
        for split, setting, dump in runs:
            bar.set_description(f'{split.name}: {setting.name}')
            run(split, setting, dump, bar.update)
    result = {
        'config': Path(args.config).name,
        'checkpoint': Path(args.checkpoint).name,
        'num_draws': args.draws,
        'margin': args.margin,
        'splits': {split.name: summarise(split, args) for split in splits},
    }
    text = make_markdown(result)
    write_json(args.out / 'path_ablation.json', result)
    with atomic_path(args.out / 'path_ablation.md') as temporary:
        temporary.write_text(text, encoding='utf-8')
    with atomic_path(args.out / 'path_ablation.png') as temporary:
        draw_changes(result, temporary)
    print(text)


if __name__ == '__main__':
    run_tool(main)
