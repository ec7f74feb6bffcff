"""Writes an evaluation into a folder: figures for programs, a table, plots, and a page for people."""

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from lavida_mm.utils.atomic import atomic_path, write_json
from lavida_mm.visualization.evaluation_report.curve_plots import draw_pr, draw_roc, draw_timeline
from lavida_mm.visualization.evaluation_report.html_page import write_page
from lavida_mm.visualization.evaluation_report.report_data import ReportData, ReportVideo

__all__ = ['picture_name', 'summarise', 'write_report']

VERSION = 1  # of report.json
MAX_NAME = 200  # bytes of a picture's name; file systems end at 255
COLUMNS = (
    'video', 'num_frames', 'fps', 'scored_frames', 'anomalous_frames', 'auc',
    'highest_false_alarm', 'highest_false_alarm_frame', 'highest_hit', 'highest_hit_frame',
)  # fmt: skip


def write_report(
    folder: str | Path,
    data: ReportData,
    *,
    num_timelines: int | None = None,
    json_only: bool = False,
    advance: Callable[[], Any] = lambda: None,
) -> list[Path]:
    """Write ``report.json``, ``videos.csv``, ``roc.png``, ``pr.png``, ``timelines/*.png`` and ``report.html``.

    ``report.json`` comes last. A curve that is undefined is not drawn; what an earlier report left under its name is
    removed.

    Args:
        folder: where to write; it is made if need be.
        data: what to write.
        num_timelines: draw those of so many videos, the worst false alarms first; None draws all.
        json_only: write ``report.json`` alone.
        advance: called after each timeline.

    Returns:
        the paths of what was written, the pictures of timelines left out.
    """
    folder = Path(folder)
    summary = folder / 'report.json'
    if json_only:
        write_json(summary, summarise(data))
        return [summary]
    summary.unlink(missing_ok=True)  # it is written last: where it stands, the report is whole
    written = [folder / 'videos.csv']
    _write_table(written[0], data)
    for name, points, draw in (('roc.png', data.roc, draw_roc), ('pr.png', data.pr, draw_pr)):
        if points is None:
            (folder / name).unlink(missing_ok=True)
            continue
        draw(folder / name, points, title=f'{data.benchmark}, protocol {data.protocol}')
        written.append(folder / name)
    timelines = folder / 'timelines'
    for stale in timelines.glob('*.png'):
        stale.unlink()
    for video in data.worst_first()[:num_timelines]:
        draw_timeline(timelines / picture_name(video.video_id), video)
        advance()
    write_page(folder / 'report.html', data)
    write_json(summary, summarise(data))
    return [summary, *written, folder / 'report.html']


def summarise(data: ReportData) -> dict[str, Any]:
    """What ``report.json`` holds."""
    return {
        'version': VERSION,
        'benchmark': data.benchmark,
        'scores': data.scores,
        'protocol': {
            'name': data.protocol,
            'version': data.protocol_version,
            'description': data.protocol_description,
            'settings': _plain(data.protocol_settings),
        },
        'coverage': {
            'complete': data.coverage.complete,
            'videos_scored': data.coverage.videos_scored,
            'videos_known': data.coverage.videos_known,
            'frames_scored': data.coverage.frames_scored,
            'frames_known': data.coverage.frames_known,
            'anomalous_frames': data.coverage.anomalous_frames,
        },
        'figures': {name: _plain(value) for name, value in data.figures.items()},
        'intervals': {name: [float(low), float(high)] for name, (low, high) in data.intervals.items()},
        'undefined': dict(data.undefined),
        'notes': list(data.notes),
        'options': _plain(data.options),
        'meta': _plain(data.meta),
        'videos': [dict(zip(COLUMNS, _row(video), strict=True)) for video in data.worst_first()],
    }


def _write_table(path: Path, data: ReportData) -> None:
    with atomic_path(path) as temporary, temporary.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        for video in data.worst_first():
            writer.writerow(['' if value is None else value for value in _row(video)])


def _row(video: ReportVideo) -> list[Any]:
    alarm, hit = video.false_alarm or (None, None), video.hit or (None, None)
    anomalous = None if video.labels is None else int(np.count_nonzero(video.labels))
    scored = int(np.count_nonzero(~np.isnan(video.scores)))
    fps = float(video.fps) or None
    return [video.video_id, video.num_frames, fps, scored, anomalous, video.auc, alarm[1], alarm[0], hit[1], hit[0]]


def _plain(value: Any) -> Any:
    """The same in the types of JSON."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def picture_name(video_id: str) -> str:
    """Name of a video's picture: one that every file system takes, another for each video.

    >>> picture_name('Abuse/Abuse028_x264.mp4')
    'Abuse%2FAbuse028_x264.mp4.png'
    """
    name = quote(video_id, safe='')
    if len(name) > MAX_NAME:
        name = f'{name[:MAX_NAME]}-{hashlib.sha256(video_id.encode()).hexdigest()[:16]}'
    return f'{name}.png'
