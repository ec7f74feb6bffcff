"""Named, versioned ways to evaluate: two figures may be compared only where one protocol made both."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import exp
from pathlib import Path
from typing import Any

import numpy as np

from lavida_mm.evaluation.functional.smoothing import smooth
from lavida_mm.utils.errors import UsageError

__all__ = ['PROTOCOLS', 'Protocol', 'benchmark_options', 'count_whole', 'dataset_options', 'get_protocol']

TAILS = ('pad', 'drop')
OVERLAPS = ('first', 'mean')
INTERVAL_ENDS = ('inclusive', 'half-open')
LENGTHS = ('full', 'i3d-16')
SUBSETS = ('all', 'abnormal')
LABELS = ('masks', 'intervals')
MOST_FRAMES = 1_000_000  # of a window and of a frame interval
MOST_SMOOTHED = 10_000  # frames of a smoothing width
MOST_PIXELS = 16_384  # per side
MOST_TEMPLATE = 5  # six prompt templates exist, in lavida_mm.models, which nothing here may import
FEATURE_FRAMES = 16  # frames of one I3D feature
# Which option of a benchmark's reader a protocol fixes: benchmark -> options, named alike in both.
READER_OPTIONS = {
    'ucf_crime': ('interval_ends',),
    'xd_violence': ('interval_ends',),
    'ubnormal': ('subset',),
    'avenue': ('labels',),
}


@dataclass(frozen=True)
class Protocol:
    """Everything that two evaluations must have in common for their figures to be comparable.

    Attributes:
        name: its name.
        version: raised whenever a figure would change.
        description: one sentence.
        window: frames of a window; None leaves it to the config.
        stride: sampled frames between the starts of two windows; None leaves it to the config, but where the tail is
            dropped: no windows overlap then.
        overlap: which windows score a frame that several hold: the ``'first'``, or all (``'mean'``); None leaves it to
            the config.
        frame_interval: step between two scored frames, each score holding up to the next one: one number, or one per
            benchmark; None leaves it to the config.
        tail: frames after the last whole window are scored (``'pad'``) or count nowhere (``'drop'``).
        interval_ends: whether the last frame of an annotated interval is anomalous (``'inclusive'``) or not
            (``'half-open'``), where the annotation leaves it open.
        length: frames of a video that count: ``'full'``, or ``'i3d-16'``: 16 * floor((n - 1) / 16).
        subset: ``'abnormal'`` leaves the normal videos of UBnormal out.
        labels: ground truth of CUHK Avenue: ``'masks'`` or ``'intervals'``.
        pixel_size: height and width to which masks and probabilities are resized before pixels are counted
            (probabilities bilinear, masks nearest neighbour); None counts at the video's own size.
        smoothing: arguments of ``smooth``, by which the frame scores of each video are smoothed: ``kind`` and its
            width; None takes them as they are.
        padding: scores of the normal and of the anomalous frame that the padded figures add, where scores are
            probabilities; None adds 0 and 1, or the extremes where scores lie beyond.
        template: number of the prompt template; None leaves it to the config.
        words: words of the prompt per benchmark; None leaves them to the config.
        headline: figures that reports show first.
    """

    name: str
    version: int = 1
    description: str = ''
    window: int | None = None
    stride: int | None = None
    overlap: str | None = None
    frame_interval: int | Mapping[str, int] | None = None
    tail: str = 'pad'
    interval_ends: str = 'inclusive'
    length: str = 'full'
    subset: str = 'all'
    labels: str = 'masks'
    pixel_size: tuple[int, int] | None = None
    smoothing: Mapping[str, Any] | None = None
    padding: tuple[float, float] | None = None
    template: int | None = None
    words: Mapping[str, tuple[str, ...]] | None = None
    headline: tuple[str, ...] = field(default=('frame_auc', 'frame_ap', 'pixel_auc', 'pixel_ap', 'rbdc', 'tbdc'))

    def __post_init__(self) -> None:
        _check(self)

    def interval_of(self, benchmark: str) -> int | None:
        """``frame_interval`` on one benchmark; None where it is left to the config.

        Raises:
            UsageError: the protocol has intervals per benchmark, and none for this one.
        """
        if not isinstance(self.frame_interval, Mapping):
            return self.frame_interval
        if benchmark not in self.frame_interval:
            raise UsageError(_unknown_benchmark(self, 'frame_interval', benchmark, 1))
        return self.frame_interval[benchmark]

    def count_frames(self, num_frames: int) -> int:
        """How many frames of a video of ``num_frames`` frames count, by the rule ``length``."""
        if self.length == 'full':
            return num_frames
        return max(0, FEATURE_FRAMES * ((num_frames - 1) // FEATURE_FRAMES))

    def count_scored(self, num_frames: int, benchmark: str) -> int:
        """How many of the counted frames must have a score: all, or those of whole windows where the tail is dropped.

        Args:
            num_frames: frames of the video that count.
            benchmark: name of the benchmark.
        """
        if self.tail == 'pad':
            return num_frames
        span, interval = self.span_of(benchmark), self.interval_of(benchmark)
        step = span if self.stride is None or interval is None else self.stride * interval
        return count_whole(num_frames, span, step)

    def span_of(self, benchmark: str) -> int:
        """Frames that one window covers.

        Raises:
            UsageError: window or frame interval are left to the config.
        """
        interval = self.interval_of(benchmark)
        if self.window is None or interval is None:
            raise UsageError(f"protocol {self.name}: tail='drop' needs window and frame_interval to be fixed")
        return self.window * interval

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON takes them."""
        return json.loads(json.dumps(asdict(self)))


def get_protocol(protocol: 'str | Path | Mapping[str, Any] | Protocol') -> Protocol:
    """Find or make a protocol.

    Args:
        protocol: name of a known one; fields of one's own, ``dict(name='mine', base='default', smoothing=dict(
            kind='gaussian', sigma=8))``, in which ``base`` gives the fields that are not named; or a ``.json`` or
            ``.py`` file with such fields (``.py``: at its top, or as one dict named ``protocol``).

    Raises:
        UsageError: there is no such protocol, or a field is unknown or out of range.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if isinstance(protocol, Mapping):
        return _make_own(dict(protocol))
    if str(protocol) in PROTOCOLS:
        return PROTOCOLS[str(protocol)]
    if Path(protocol).suffix in ('.json', '.py'):
        return _read_own(Path(protocol))
    raise UsageError(
        f'protocol must be one of {", ".join(PROTOCOLS)}, or a .json or .py file that defines one, got {protocol!r}'
    )


def count_whole(num_frames: int, span: int, step: int) -> int:
    """How many frames of a video lie in windows that it holds as a whole, its first ones.

    Args:
        num_frames: of the video.
        span: frames that a window covers.
        step: frames between the starts of two windows.

    Examples:
        >>> count_whole(20, 8, 8), count_whole(20, 8, 2), count_whole(7, 8, 2)
        (16, 20, 0)
    """
    return 0 if num_frames < span else (num_frames - span) // step * step + span


def benchmark_options(protocol: Protocol, benchmark: str) -> dict[str, Any]:
    """Arguments of the benchmark's reader that the protocol fixes.

    ``subset`` may be left at ``'all'`` where scores are evaluated: the scoreboard leaves the other videos out itself.
    """
    return {name: getattr(protocol, name) for name in READER_OPTIONS.get(benchmark, ())}


def dataset_options(protocol: Protocol, benchmark: str) -> dict[str, Any]:
    """Arguments of ``VideoAnomalyDataset`` that the protocol fixes on a benchmark.

    Raises:
        UsageError: the protocol does not say what it fixes on this benchmark.
    """
    interval, words = protocol.interval_of(benchmark), None
    if protocol.words is not None:
        if benchmark not in protocol.words:
            raise UsageError(_unknown_benchmark(protocol, 'words', benchmark, None))
        words = list(protocol.words[benchmark])
    options = dict(
        window=protocol.window,
        stride=protocol.window if protocol.stride is None and protocol.tail == 'drop' else protocol.stride,
        overlap=protocol.overlap,
        frame_interval=interval,
        tail=protocol.tail,
        template=protocol.template,
        prompt_words=words,
    )
    return {name: value for name, value in options.items() if value is not None}


def _unknown_benchmark(protocol: Protocol, field: str, benchmark: str, value: Any) -> str:
    return (
        f'protocol {protocol.name} fixes no {field} for benchmark {benchmark or "without a name"}, only for '
        f'{", ".join(getattr(protocol, field))}; a protocol of your own can: '
        f"dict(name='my-{protocol.name}', base='{protocol.name}', {field}={value!r})"
    )


def _make_own(values: dict[str, Any], where: str = 'protocol') -> Protocol:
    base = values.pop('base', 'default')
    if not isinstance(base, str) or base not in PROTOCOLS:
        raise UsageError(f'{where}: base must be one of {", ".join(PROTOCOLS)}, got {_show(base)}')
    name = values.get('name')
    if set(values) == {'name'} and isinstance(name, str) and name in PROTOCOLS:
        return PROTOCOLS[name]
    known = [item.name for item in fields(Protocol)]
    unknown = sorted(set(values) - set(known), key=str)
    if unknown:
        raise UsageError(f'{where}: unknown field {unknown[0]!r}; known are base, {", ".join(known)}')
    if not _is_name(name) or name in PROTOCOLS:
        raise UsageError(
            f"{where}: name must be given and none of {', '.join(PROTOCOLS)}, one printable line without '/', "
            f'got {_show(name)}'
        )
    values.setdefault('description', f'{base} with other {", ".join(sorted(set(values) - {"name", "version"}))}')
    values.setdefault('version', 1)
    for key in ('pixel_size', 'padding', 'headline'):
        if isinstance(values.get(key), list):
            values[key] = tuple(values[key])
    if isinstance(values.get('words'), Mapping):
        values['words'] = {
            key: tuple(words) if isinstance(words, list) else words for key, words in values['words'].items()
        }
    return replace(PROTOCOLS[base], **values)


def _read_own(path: Path) -> Protocol:
    if not path.is_file():
        raise UsageError(f'{path}: protocol file not found')
    if path.suffix == '.json':
        try:
            values = json.loads(path.read_text(encoding='utf-8'))
        except (ValueError, RecursionError) as error:
            raise UsageError(f'{path}: not JSON: {error}') from error
    else:
        from mmengine.config import Config

        try:
            values = Config.fromfile(path).to_dict()
        except (Exception, SystemExit) as error:  # a .py file is a program, which can raise anything
            raise UsageError(f'{path}: not a protocol: {error}') from error
    if isinstance(values, dict) and isinstance(values.get('protocol'), dict):
        values = values['protocol']
    if not isinstance(values, dict):
        raise UsageError(f'{path}: must hold the fields of a protocol, got {type(values).__name__}')
    return _make_own(values, str(path))


def _check(protocol: Protocol) -> None:
    def refuse(name: str, rule: str) -> None:
        value = getattr(protocol, name)
        raise UsageError(f'protocol {protocol.name}: {name} must be {rule}, got {_show(value)}')

    if not _is_name(protocol.name):
        raise UsageError(f"protocol: name must be one printable line without '/', got {_show(protocol.name)}")
    if not isinstance(protocol.description, str):
        refuse('description', 'a text')

    choices = dict(tail=TAILS, interval_ends=INTERVAL_ENDS, length=LENGTHS, subset=SUBSETS, labels=LABELS)
    for name, allowed in choices.items():
        if not isinstance(getattr(protocol, name), str) or getattr(protocol, name) not in allowed:
            refuse(name, 'one of ' + ', '.join(allowed))
    if protocol.overlap is not None and protocol.overlap not in OVERLAPS:
        refuse('overlap', f'one of {", ".join(OVERLAPS)}, or None')
    if not _is_count(protocol.version):
        refuse('version', 'a whole number of at least 1')
    for name in ('window', 'stride'):
        if getattr(protocol, name) is not None and not _is_count(getattr(protocol, name), MOST_FRAMES):
            refuse(name, f'a whole number from 1 to {MOST_FRAMES}, or None')
    intervals = protocol.frame_interval
    numbers = list(intervals.values()) if isinstance(intervals, Mapping) else [intervals]
    if intervals is not None and not all(_is_count(number, MOST_FRAMES) for number in numbers):
        refuse('frame_interval', f'a whole number from 1 to {MOST_FRAMES}, one per benchmark, or None')
    if protocol.template is not None and protocol.template != 0 and not _is_count(protocol.template, MOST_TEMPLATE):
        refuse('template', f'a whole number from 0 to {MOST_TEMPLATE}, or None')
    if isinstance(protocol.template, bool):
        refuse('template', f'a whole number from 0 to {MOST_TEMPLATE}, or None')
    if protocol.tail == 'drop' and (protocol.window is None or intervals is None):
        refuse('tail', "'pad' where window or frame_interval is None")
    size = protocol.pixel_size
    if size is not None and not (
        isinstance(size, tuple) and len(size) == 2 and all(_is_count(side, MOST_PIXELS) for side in size)
    ):
        refuse('pixel_size', f'(height, width), each at most {MOST_PIXELS}, or None')
    pair = protocol.padding
    if pair is not None and not (
        isinstance(pair, tuple) and len(pair) == 2 and all(map(_is_finite, pair)) and pair[0] <= pair[1]
    ):
        refuse('padding', 'the scores (normal, anomalous) in ascending order, or None')
    words = protocol.words
    if words is not None and not (isinstance(words, Mapping) and all(map(_are_words, words.values()))):
        refuse('words', 'a list of different texts, none blank, per benchmark, or None')
    names = protocol.headline
    if not isinstance(names, tuple) or not all(
        isinstance(item, str) and re.fullmatch(r'[a-z][a-z0-9]*(_[a-z0-9.]+)*', item) for item in names
    ):
        refuse('headline', 'a list of names of figures')
    _check_smoothing(protocol)


def _check_smoothing(protocol: Protocol) -> None:
    options = protocol.smoothing
    if options is None:
        return
    if not isinstance(options, Mapping):
        raise UsageError(f'protocol {protocol.name}: smoothing must be arguments or None, got {_show(options)}')
    for name in ('sigma', 'width'):
        value = options.get(name)
        if value is not None and not (_is_finite(value) and value <= MOST_SMOOTHED):
            raise UsageError(
                f'protocol {protocol.name}: smoothing: {name} must be a number of frames of at most {MOST_SMOOTHED}, '
                f'got {_show(value)}'
            )
    try:
        smooth(np.zeros(3), **options)
    except (TypeError, ValueError) as error:
        raise UsageError(f'protocol {protocol.name}: smoothing: {error}') from error


def _is_count(value: Any, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable() and '/' not in value


def _are_words(words: Any) -> bool:
    return (
        isinstance(words, (tuple, list))
        and len(words) > 0
        and all(isinstance(word, str) and word.strip() for word in words)
        and len(set(words)) == len(words)
    )


def _show(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits
        return 'a number too long to write'


AUTHORS_WORDS = {
    'ucf_crime': (
        'abuse', 'arrest', 'arson', 'assault', 'burglary', 'explosion', 'fighting', 'road accidents', 'robbery',
        'shooting', 'shoplifting', 'stealing', 'vandalism',
    ),
    'xd_violence': ('fighting', 'shooting', 'riot', 'abuse', 'car accident', 'explosion'),
    'shanghaitech': (
        'bicycle', 'fight', 'throw', 'pick', 'hand truck', 'run', 'skate', 'falling', 'jumping', 'motorcycle',
        'tricycle', 'cart', 'waving stick', 'hurdle', 'vehicle', 'play', 'baby carriage', 'truck',
    ),
    'ubnormal': (
        'running', 'jumping', 'falling', 'fighting', 'sleeping', 'crawling', 'having a seizure', 'laying down',
        'dancing', 'stealing', 'rotating 360 degrees', 'shuffling', 'injured', 'drunk', 'stumbling walk',
        'car accident', 'fire', 'smoke', 'jaywalking', 'driving outside lane',
    ),
    'ucsd_ped1': ('car', 'cart', 'wheelchair', 'skate', 'bicycle'),
    'ucsd_ped2': ('car', 'cart', 'wheelchair', 'skate', 'bicycle'),
}  # fmt: skip

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name='default',
            version=1,
            description='Every frame of every video is scored once, at the full length, and all videos count.',
        ),
        Protocol(
            name='lavida-code',
            version=1,
            description=(
                'What the code released with LAVIDA computes: incomplete windows count nowhere, UBnormal without its '
                'normal videos, pixels at 158x238, one fixed template where theirs is random, and the figures of '
                'frames padded with logits 0 and 1.'
            ),
            window=8,
            stride=8,
            frame_interval=dict(ucf_crime=128, xd_violence=128, ubnormal=4, shanghaitech=2, ucsd_ped1=1, ucsd_ped2=1),
            tail='drop',
            subset='abnormal',
            pixel_size=(158, 238),
            # Theirs rank raw logits and add frames of logit 0 and 1; ours are the sigmoid of logits.
            padding=(0.5, 1 / (1 + exp(-1))),
            template=0,
            words=AUTHORS_WORDS,
            headline=('frame_auc_padded', 'frame_auc_macro_padded', 'pixel_auc'),
        ),
        Protocol(
            name='lavad',
            version=1,
            description=(
                'What the code released with LAVAD computes: one score for 16 frames, inclusive interval ends, full '
                'length, ROC AUC and the trapezoid area under the precision-recall curve.'
            ),
            frame_interval=16,
            headline=('frame_auc', 'frame_pr_auc_trapz', 'frame_ap'),
        ),
        Protocol(
            name='i3d-16',
            version=1,
            description=(
                'The convention of papers on I3D features: 16 * floor((n - 1) / 16) frames of each video count, and '
                'the last frame of an annotated interval is normal.'
            ),
            interval_ends='half-open',
            length='i3d-16',
            headline=('frame_auc', 'frame_pr_auc_trapz', 'frame_ap'),
        ),
        Protocol(
            name='ubnormal-official',
            version=1,
            description=(
                "What UBnormal's script computes: all 211 videos, pooled AUC, and the mean over videos of the AUC with "
                'a normal frame of score 0 and an anomalous frame of score 1 added to each.'
            ),
            headline=('frame_auc', 'frame_auc_macro_padded', 'rbdc', 'tbdc'),
        ),
    )
}
