"""Evaluates scores that lie in files, ours or another system's, and turns the result into a report."""

import inspect
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark
from lavida_mm.datasets.benchmarks.doctor import find_benchmarks
from lavida_mm.datasets.video_reader import open_video
from lavida_mm.evaluation.evaluation import Evaluation, VideoEvaluation
from lavida_mm.evaluation.external_scores import match_scores, read_scores, spread_scores
from lavida_mm.evaluation.functional.bootstrap import bootstrap_interval
from lavida_mm.evaluation.functional.frame_curves import pr_curve_points, roc_curve_points
from lavida_mm.evaluation.predictions import (
    is_prediction_folder,
    list_predictions,
    read_folder_meta,
    read_prediction,
)
from lavida_mm.evaluation.protocols import Protocol, benchmark_options, dataset_options, get_protocol
from lavida_mm.evaluation.scoreboard import Scoreboard
from lavida_mm.registry import DATASETS
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError, UsageError, config_errors
from lavida_mm.version import __version__
from lavida_mm.visualization.evaluation_report import Coverage, ReportData, ReportVideo, Thumbnail

__all__ = [
    'bootstrap_figures',
    'build_benchmark',
    'build_benchmark_of_config',
    'evaluate_scores',
    'make_report_data',
]

LENGTH_TOLERANCE = 16  # frames by which scores may end early or late before the report says so
BOOTSTRAPPED = {'frame_auc': 'frame_auc', 'frame_ap': 'average_precision'}  # figure -> measure of bootstrap_interval
THUMBNAIL_HEIGHT = 120
MOST_SHOWN = 1e100  # pictures of higher scores would overflow
PIXEL_FIGURES = ('pixel_auc', 'pixel_ap', 'pixel_auc_per_frame', 'pixel_aupro')
REGION_FIGURES = ('rbdc', 'tbdc')

# What a protocol fixes that cannot be changed once the model has run.
PREDICTION_OPTIONS = ('window', 'stride', 'template', 'prompt_words')

Progress = Callable[[str, int, int], Any]


def build_benchmark(
    name: str, root: str | Path, protocol: str | Mapping[str, Any] | Protocol = 'default'
) -> BaseBenchmark:
    """Read a benchmark with the ground truth that a protocol fixes.

    Args:
        name: name of the benchmark, such as ``'ucf_crime'``.
        root: its folder; the annotation files are enough.
        protocol: name, fields or object.

    Raises:
        UsageError: there is no such benchmark or protocol.
        DataError: the folder or a file in it is wrong.
    """
    readers = find_benchmarks()
    if name not in readers:
        raise UsageError(f'benchmark must be one of {", ".join(sorted(readers))}, got {name!r}')
    return readers[name](
        root=str(root), **_free_videos(readers[name]), **benchmark_options(get_protocol(protocol), name)
    )


def build_benchmark_of_config(
    path: str | Path,
    protocol: str | Mapping[str, Any] | Protocol = 'default',
    *,
    root: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> BaseBenchmark:
    """Read the benchmark that a config tests on, with the ground truth that a protocol fixes.

    Args:
        path: the config; its ``test_dataloader.dataset.benchmark`` is read, and nothing else of it.
        protocol: name, fields or object; what it fixes wins over the config.
        root: folder of the benchmark, if not the config's.
        options: dotted names and values over those of the config.

    Raises:
        UsageError: the config is none, or names no benchmark.
        DataError: the benchmark's folder or a file in it is wrong.
    """
    from lavida_mm.engine.launch import load_config

    config = load_config(path, options)
    try:
        described = dict(config.test_dataloader.dataset.benchmark)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f'{path}: test_dataloader.dataset.benchmark must be set') from error
    if root is not None:
        described['root'] = str(root)
    with config_errors(path):
        DATASETS.import_from_location()
        reader = DATASETS.get(str(described.get('type')))
        if reader is None or not issubclass(reader, BaseBenchmark):
            known = ', '.join(sorted(found.__name__ for found in find_benchmarks().values()))
            raise UsageError(
                f'test_dataloader.dataset.benchmark.type must be one of {known}, got {described.get("type")!r}'
            )
        fixed = benchmark_options(get_protocol(protocol), reader.name)
        return DATASETS.build({**described, **_free_videos(reader), **fixed})


def _free_videos(reader: type[BaseBenchmark]) -> dict[str, Any]:
    """The option of a reader that lets the videos be elsewhere, where it has one; others need none."""
    return {'videos': 'optional'} if 'videos' in inspect.signature(reader).parameters else {}


def evaluate_scores(
    scores: str | Path,
    *,
    benchmark: str | BaseBenchmark,
    data_root: str | Path | None = None,
    protocol: str | Mapping[str, Any] | Protocol = 'default',
    frames_per_score: int | None = None,
    allow_partial: bool = False,
    pixel: bool | None = None,
    regions: bool | None = None,
    events: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate scores under a protocol, without the model that made them.

    Scores are those of another system (see ``read_scores``), or a folder of ours, which may hold masks and detections
    as well. The videos need not be at hand.

    Args:
        scores: folder, ``.npz`` or ``.json``.
        benchmark: name of the benchmark, or its reader.
        data_root: folder of the benchmark, where its name is given.
        protocol: name, fields or object.
        frames_per_score: frames that one score holds for; None means 1. Folders of ours know it themselves.
        allow_partial: accept videos without scores; the coverage tells.
        pixel: compute pixel figures; None where the benchmark has masks and the scores are a folder of ours.
        regions: compute RBDC and TBDC; None where the benchmark has boxes and the scores are a folder of ours.
        events: ``on`` and other options of ``find_events``, for figures of alarms; None computes none.
        progress: called with what is done, how many of it are, and how many there are.

    Raises:
        UsageError: an option is wrong or does not fit the benchmark.
        DataError: a file is missing, damaged, or at odds with the benchmark.
    """
    protocol = get_protocol(protocol)
    if isinstance(benchmark, str):
        if data_root is None:
            raise UsageError('data_root must be given with the name of a benchmark')
        benchmark = build_benchmark(benchmark, data_root, protocol)
    progress = progress or (lambda *_: None)
    if is_prediction_folder(scores):
        if frames_per_score is not None:
            raise UsageError(f'frames_per_score is for scores of other systems; {scores} holds predictions of ours')
        return _evaluate_predictions(Path(scores), benchmark, protocol, allow_partial, pixel, regions, events, progress)
    if pixel or regions:
        what = 'pixel' if pixel else 'regions'
        raise UsageError(f'{what}=True needs prediction files with masks or boxes; {scores} holds scores of frames')
    per_score = 1 if frames_per_score is None else frames_per_score
    return _evaluate_external(Path(scores), benchmark, protocol, per_score, allow_partial, events, progress)


def bootstrap_figures(
    evaluation: Evaluation, num_draws: int, *, seed: int = 0, progress: Progress | None = None
) -> dict[str, tuple[float, float]]:
    """95 % intervals of the frame AUC and AP, by drawing videos with replacement.

    Args:
        evaluation: what to draw from.
        num_draws: number of draws for each figure.
        seed: equal seeds give equal intervals.
        progress: called with what is done, how many draws of it are, and how many there are.

    Returns:
        figure -> low and high end; figures that are undefined here are left out.
    """
    curves = [_scored(video) for video in evaluation.videos if video.labels is not None and video.scored.any()]
    measures = {name: measure for name, measure in BOOTSTRAPPED.items() if name in evaluation.figures}
    found: dict[str, tuple[float, float]] = {}
    draws = count(1)

    def advance() -> None:
        if progress is not None:
            progress('intervals', next(draws), len(measures) * num_draws)

    for name, measure in measures.items():
        interval = bootstrap_interval(curves, measure, num_draws=num_draws, seed=seed, advance=advance)
        found[name] = (interval.low, interval.high)
    return found


def make_report_data(
    evaluation: Evaluation,
    *,
    scores: str | Path,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    num_thumbnails: int = 0,
    meta: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ReportData:
    """Everything that a report of an evaluation shows.

    Args:
        evaluation: the figures and the videos.
        scores: where the scores come from, as the report names it.
        intervals: what ``bootstrap_figures`` gave.
        num_thumbnails: videos that get pictures where they are at hand, the worst false alarms first.
        meta: what else ``report.json`` shall hold.
        progress: called with what is done, how many of it are, and how many there are.
    """
    coverage, notes = evaluation.coverage, list(evaluation.notes)
    videos = [
        ReportVideo(
            video.video_id,
            np.clip(video.scores, -MOST_SHOWN, MOST_SHOWN),
            video.labels,
            fps=video.fps or 0.0,
            auc=video.auc,
        )
        for video in evaluation.videos
        if video.scored.any()
    ]
    roc, pr = _curves(evaluation)
    settings = evaluation.protocol.to_dict()
    data = ReportData(
        benchmark=evaluation.benchmark,
        scores=str(scores),
        protocol=evaluation.protocol.name,
        protocol_version=evaluation.protocol.version,
        protocol_description=settings.pop('description'),
        protocol_settings=_shown_settings(settings, evaluation.benchmark),
        coverage=Coverage(
            coverage.videos, coverage.videos_known, coverage.frames, coverage.frames_known, coverage.anomalous_frames
        ),
        figures=evaluation.figures,
        headline=evaluation.protocol.headline,
        intervals=dict(intervals or {}),
        undefined=evaluation.undefined,
        notes=notes,
        options=evaluation.options,
        roc=roc,
        pr=pr,
        videos=videos,
        meta={**(meta or {}), 'lavida_mm': __version__, 'numpy': np.__version__, 'python': platform.python_version()},
    )
    if num_thumbnails:
        records = {video.video_id: video.record for video in evaluation.videos}
        _add_thumbnails(data, records, num_thumbnails, notes, progress or (lambda *_: None))
    return data


# ------------------------------------------------------------------ scores of others


def _evaluate_external(
    path: Path,
    benchmark: BaseBenchmark,
    protocol: Protocol,
    frames_per_score: int,
    allow_partial: bool,
    events: Mapping[str, Any] | None,
    progress: Progress,
) -> Evaluation:
    matched = match_scores(read_scores(path), benchmark.records, allow_missing=allow_partial)
    records = _count_frames(benchmark.records, progress, rates=events is not None)
    board = Scoreboard(
        records,
        protocol=protocol,
        benchmark=benchmark.name,
        allow_partial=allow_partial,
        events=events,
        options={'frames_per_score': frames_per_score, **benchmark.options},
    )
    differing: list[tuple[int, str]] = []
    uncut: list[int] = []  # frames by which scores reach beyond their video
    unknown: list[str] = []
    cut: list[str] = []
    for record in records:
        if record.video_id not in matched:
            continue
        curve = spread_scores(
            matched[record.video_id],
            frames_per_score=frames_per_score,
            num_frames=record.num_frames,
            rule=protocol.length,
            video_id=record.video_id,
        )
        board.set_curve(record.video_id, curve.scores)
        if curve.difference is None:
            unknown.append(record.video_id)
            if any(end > len(curve.scores) for _, end in record.intervals):
                cut.append(record.video_id)
        elif abs(curve.difference) > LENGTH_TOLERANCE:
            differing.append((curve.difference, record.video_id))
        if (curve.difference or 0) > 0:
            uncut.append(curve.difference or 0)
    evaluation = board.evaluate()
    evaluation.notes += _length_notes(unknown, cut, differing, frames_per_score)
    if uncut:
        evaluation.notes.append(
            f'warning: {sum(uncut)} frames are counted that lie beyond the end of {len(uncut)} videos: protocol '
            f'{protocol.name} takes lengths from the scores, and these are not those of features, '
            '16 * floor((n - 1) / 16) frames'
        )
    evaluation.notes += _reader_notes(benchmark)
    evaluation.undefined.update(_missing_figures(benchmark))
    return evaluation


def _length_notes(
    unknown: Sequence[str], cut: Sequence[str], differing: Sequence[tuple[int, str]], frames_per_score: int
) -> list[str]:
    notes = []
    if unknown:
        notes.append(
            f'the length of {len(unknown)} videos is not known and was taken from their scores, {frames_per_score} '
            'frames each; num_frames.csv in the data root would tell it'
        )
    if cut:
        notes.append(f'the scores of {len(cut)} of these end before their last anomaly does; the first is {cut[0]}')
    if differing:
        worst, name = max(differing, key=lambda item: (abs(item[0]), item[1]))
        notes.append(
            f'warning: the scores of {len(differing)} videos are more than {LENGTH_TOLERANCE} frames longer or shorter '
            f'than the video; the farthest is {name}, by {worst:+d} frames'
        )
    return notes


def _reader_notes(benchmark: BaseBenchmark) -> list[str]:
    """What the reader warned of that changes the ground truth."""
    cut = [finding for finding in benchmark.findings if finding.code == 'annotation-beyond-end']
    if not cut:
        return []
    return [f'{len(cut)} annotated intervals reach the end of their video or beyond, and were cut there: {cut[0]}']


def _missing_figures(benchmark: BaseBenchmark) -> dict[str, str]:
    """Figures that the benchmark could have, and scores of frames cannot."""
    missing: dict[str, str] = {}
    if any(record.masks is not None for record in benchmark.records):
        missing.update(dict.fromkeys(PIXEL_FIGURES, 'the scores are of frames, not of pixels'))
    if any(record.tracks is not None for record in benchmark.records):
        missing.update(dict.fromkeys(REGION_FIGURES, 'the scores are of frames, not of regions'))
    return missing


def _count_frames(records: Sequence[VideoRecord], progress: Progress, *, rates: bool) -> list[VideoRecord]:
    """Records with the number of frames, and on demand the frame rate, filled in where the video is at hand."""
    wanted = [
        record
        for record in records
        if record.path is not None and (record.num_frames is None or (rates and record.fps is None))
    ]
    found: dict[str, VideoRecord] = {}
    for number, record in enumerate(wanted, start=1):
        assert record.path is not None
        with open_video(record.path) as video:
            found[record.video_id] = replace(record, num_frames=video.num_frames, fps=record.fps or video.fps)
        progress('counting frames', number, len(wanted))
    return [found.get(record.video_id, record) for record in records]


# ------------------------------------------------------------------ predictions of ours


def _evaluate_predictions(
    folder: Path,
    benchmark: BaseBenchmark,
    protocol: Protocol,
    allow_partial: bool,
    pixel: bool | None,
    regions: bool | None,
    events: Mapping[str, Any] | None,
    progress: Progress,
) -> Evaluation:
    shared, paths = dict(read_folder_meta(folder).get('shared') or {}), list_predictions(folder)
    made_on = shared.get('benchmark')
    if made_on is not None and made_on != benchmark.name:
        raise UsageError(f'{folder}: its predictions are of benchmark {made_on}, not of {benchmark.name}')
    if not paths:
        raise DataError(f'{folder}: holds no finished prediction file')
    records = benchmark.records
    board = Scoreboard(
        records,
        protocol=protocol,
        benchmark=benchmark.name,
        pixel=any(record.masks is not None for record in records) if pixel is None else pixel,
        regions=any(record.tracks is not None for record in records) if regions is None else regions,
        allow_partial=allow_partial,
        events=events,
        options=shared,
    )
    for number, path in enumerate(paths, start=1):
        board.add_prediction(read_prediction(path))
        progress('predictions', number, len(paths))
    evaluation = board.evaluate()
    evaluation.notes += _option_notes(protocol, benchmark.name, shared) + _reader_notes(benchmark)
    return evaluation


def _option_notes(protocol: Protocol, benchmark: str, made: Mapping[str, Any]) -> list[str]:
    """Where predictions were made otherwise than the protocol fixes; the rest of it is applied to them here."""
    fixed = dataset_options(protocol, benchmark)
    notes = []
    for name in PREDICTION_OPTIONS:
        found = made.get('window') if name == 'stride' and made.get(name) is None else made.get(name)
        if name in fixed and name in made and found != fixed[name]:
            notes.append(
                f'warning: protocol {protocol.name} fixes {name} = {fixed[name]!r}, '
                f'the predictions were made with {found!r}'
            )
    return notes


# ------------------------------------------------------------------ report


def _scored(video: VideoEvaluation) -> tuple[np.ndarray, np.ndarray]:
    assert video.labels is not None
    return video.scores[video.scored], video.labels[video.scored]


def _curves(evaluation: Evaluation) -> tuple[tuple[np.ndarray, np.ndarray] | None, ...]:
    """ROC and precision-recall points of all frames pooled; None where they are undefined."""
    if 'frame_auc' not in evaluation.figures:
        return None, None
    pairs = [_scored(video) for video in evaluation.videos if video.labels is not None and video.scored.any()]
    scores = np.concatenate([pair[0] for pair in pairs])
    labels = np.concatenate([pair[1] for pair in pairs])
    return roc_curve_points(scores, labels)[:2], pr_curve_points(scores, labels)[:2]


def _shown_settings(settings: Mapping[str, Any], benchmark: str) -> dict[str, Any]:
    """What a protocol fixes on one benchmark."""
    shown = {}
    for name, value in settings.items():
        if name in ('name', 'version', 'headline') or value is None:
            continue
        if name in ('words', 'frame_interval') and isinstance(value, dict):
            value = value.get(benchmark)
        shown[name] = value
    return shown


def _add_thumbnails(
    data: ReportData, records: Mapping[str, VideoRecord], number: int, notes: list[str], progress: Progress
) -> None:
    """Pictures of the highest false alarm and the highest hit of the worst videos, where the videos are at hand."""
    chosen = [video for video in data.worst_first() if records[video.video_id].path is not None][:number]
    failed: list[str] = []
    for done, video in enumerate(chosen, start=1):
        wanted = [('highest false alarm', video.false_alarm), ('highest score in an anomaly', video.hit)]
        if video.labels is None:
            best = int(np.nanargmax(video.scores))
            wanted = [('highest score', (best, float(video.scores[best])))]
        path = records[video.video_id].path
        assert path is not None
        try:
            with open_video(path) as reader:
                video.fps = video.fps or reader.fps
                video.thumbnails = [
                    Thumbnail(spot[0], caption, _shrink(reader.read([spot[0]])[0]))
                    for caption, spot in wanted
                    if spot is not None
                ]
        except DataError as error:
            failed.append(str(error))
        progress('thumbnails', done, len(chosen))
    if failed:
        notes.append(f'{len(failed)} videos gave no picture: {failed[0]}')


def _shrink(frame: np.ndarray) -> bytes:
    """A frame, RGB uint8 (H, W, 3), as a small JPEG."""
    height, width = frame.shape[:2]
    if height > THUMBNAIL_HEIGHT:
        size = (max(1, round(width * THUMBNAIL_HEIGHT / height)), THUMBNAIL_HEIGHT)
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode('.jpg', frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])
    return jpeg.tobytes()
