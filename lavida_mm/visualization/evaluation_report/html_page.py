"""The report as one HTML file that needs nothing else: no network, no library, no other file."""

import base64
import html
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.utils.atomic import atomic_path
from lavida_mm.visualization.evaluation_report.figure_names import describe_figure
from lavida_mm.visualization.evaluation_report.report_data import ReportData, ReportVideo

__all__ = ['make_page', 'shorten_curve', 'write_page']

POINTS = 160_000  # stretches of all timelines together: keeps the file of any benchmark at a few MB
MIN_POINTS, MAX_POINTS = 40, 1000  # of one timeline; a screen shows about a thousand columns
LEVELS = 1000  # a stored score is a share of its video's range, in thousandths; page.js knows the same figure
NOT_SCORED = -1
COUNTS = ('coverage_videos', 'coverage_frames', 'num_videos', 'num_frames', 'num_anomalous_frames')  # shown as coverage


def write_page(path: str | Path, data: ReportData) -> None:
    """Write the report as one HTML file."""
    with atomic_path(path) as temporary:
        temporary.write_text(make_page(data), encoding='utf-8')


def make_page(data: ReportData) -> str:
    """The report as HTML; all text of the user's is escaped."""
    parts = {
        'TITLE': html.escape(_title(data)),
        'STYLE': _asset('page.css'),
        'DATA': _embed(_collect(data)),
        'SCRIPT': _asset('page.js'),
    }
    # One pass: what a part holds is never taken for the place of another.
    return re.sub(r'@(TITLE|STYLE|DATA|SCRIPT)@', lambda place: parts[place[1]], _asset('page.html'))


def shorten_curve(scores: np.ndarray, num_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest score of each of at most ``num_points`` stretches of equal length, NaN where none is known.

    Stretch k holds the frames from floor(k n / P) up to floor((k + 1) n / P).

    Args:
        scores: one score per frame, NaN where unknown, (n,) with n >= 1.
        num_points: the most stretches.

    Returns:
        Two arrays (P,) with P = min(n, num_points).
    """
    scores = np.asarray(scores, dtype=np.float64)
    points = min(len(scores), num_points)
    starts = np.arange(points) * len(scores) // points
    return np.fmin.reduceat(scores, starts), np.fmax.reduceat(scores, starts)


def _collect(data: ReportData) -> dict[str, Any]:
    points = int(np.clip(POINTS // max(len(data.videos), 1), MIN_POINTS, MAX_POINTS))
    ranges = [_range(video.scores) for video in data.videos]
    low = min((pair[0] for pair in ranges), default=0.0)
    high = max((pair[1] for pair in ranges), default=1.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return {
        'title': _title(data),
        'benchmark': data.benchmark,
        'scores': data.scores,
        'protocol': {
            'name': data.protocol,
            'version': str(data.protocol_version),
            'description': data.protocol_description,
            'settings': [[name, _text(value)] for name, value in data.protocol_settings.items()],
        },
        'options': [[name, _text(value)] for name, value in data.options.items()],
        'coverage': {
            'videos_scored': data.coverage.videos_scored,
            'videos_known': data.coverage.videos_known,
            'frames_scored': data.coverage.frames_scored,
            'frames_known': data.coverage.frames_known,
            'anomalous_frames': data.coverage.anomalous_frames,
            'complete': data.coverage.complete,
        },
        'figures': _figures(data),
        'undefined': [{'label': describe_figure(name)[0], 'reason': why} for name, why in data.undefined.items()],
        'notes': list(data.notes),
        'roc': _curve(data.roc),
        'pr': _curve(data.pr),
        'range': [low, high],
        'videos': [_video(video, pair, points) for video, pair in zip(data.videos, ranges, strict=True)],
        'footer': f'Written by lavida_mm {data.meta.get("lavida_mm", "")}. This file loads nothing from elsewhere.',
    }


def _figures(data: ReportData) -> list[dict[str, Any]]:
    names = [name for name in data.headline if name in data.figures]
    names += [name for name in data.figures if name not in names and name not in COUNTS]
    figures = []
    for name in names:
        label, definition = describe_figure(name)
        low, high = data.intervals.get(name, (None, None))
        item = {'name': name, 'label': label, 'help': definition, 'value': float(data.figures[name])}
        figures.append({**item, 'low': low, 'high': high, 'headline': name in data.headline})
    return figures


def _video(video: ReportVideo, pair: tuple[float, float], points: int) -> dict[str, Any]:
    lows, highs = shorten_curve(video.scores, points)
    return {
        'id': video.video_id,
        'frames': video.num_frames,
        'fps': round(video.fps, 3),
        'auc': None if video.auc is None else round(video.auc, 6),
        'alarm': _spot(video.false_alarm),
        'truth': None if video.labels is None else video.intervals,
        'share': None if video.labels is None else round(float((np.asarray(video.labels) > 0).mean()), 5),
        'range': list(pair),
        'high': _levels(highs, pair),
        'low': _levels(lows, pair) if len(highs) < video.num_frames else None,
        'thumbnails': [
            {
                'frame': picture.frame,
                'caption': picture.caption,
                'src': 'data:image/jpeg;base64,' + base64.b64encode(picture.jpeg).decode(),
            }
            for picture in video.thumbnails
        ],
    }


def _spot(spot: tuple[int, float] | None) -> list[float] | None:
    return None if spot is None else [spot[0], float(f'{spot[1]:.6g}')]


def _range(scores: np.ndarray) -> tuple[float, float]:
    known = scores[~np.isnan(scores)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


def _levels(scores: np.ndarray, pair: tuple[float, float]) -> list[int]:
    low, high = pair
    width = high - low
    shares = (scores - low) / width if width > 0 else np.where(np.isnan(scores), np.nan, 0.0)
    levels = np.where(np.isnan(shares), NOT_SCORED, np.rint(np.nan_to_num(shares) * LEVELS))
    return [int(level) for level in levels]


def _curve(points: tuple[np.ndarray, np.ndarray] | None) -> dict[str, list[float]] | None:
    if points is None:
        return None
    x, y = points
    return {'x': [round(float(value), 5) for value in x], 'y': [round(float(value), 5) for value in y]}


def _text(value: Any) -> str:
    if value is None:
        return 'none'
    if isinstance(value, dict):
        return ', '.join(f'{name} {_text(item)}' for name, item in value.items()) or 'none'
    if isinstance(value, list | tuple):
        return ', '.join(_text(item) for item in value) or 'none'
    return str(value)


def _title(data: ReportData) -> str:
    return f'{data.benchmark}, protocol {data.protocol}: evaluation report'


def _embed(payload: dict[str, Any]) -> str:
    """JSON that may stand inside a script element: nothing in it ends the element or starts another."""
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(',', ':'))
    for letter in '<>&\u2028\u2029':
        text = text.replace(letter, f'\\u{ord(letter):04x}')
    return text


@cache
def _asset(name: str) -> str:
    return files('lavida_mm.visualization.evaluation_report').joinpath(name).read_text(encoding='utf-8')
