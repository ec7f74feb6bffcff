"""Reads the text files in which benchmarks note their anomalies: one video per line, with its first and last frames."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark
from lavida_mm.datasets.benchmarks.video_files import strip_suffix, walk_folders
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError, UsageError

__all__ = [
    'INTERVAL_ENDS',
    'IntervalLine',
    'add_intervals',
    'check_interval_ends',
    'find_text_file',
    'parse_interval_line',
    'parse_whole',
    'read_interval_file',
    'read_noted_lines',
    'read_text_lines',
]

INTERVAL_ENDS = ('inclusive', 'half-open')
NUMPY_MAGIC = b'\x93NUMPY'
NO_EVENT = (-1, -1)
_WHOLE = re.compile(r'[+-]?\d+')


@dataclass(frozen=True)
class IntervalLine:
    """One line of an annotation file.

    Attributes:
        video_id: name of the video, without folder and suffix.
        label: its class; None in files that name none.
        spans: first and last frame of each anomaly as written, counted from 0; empty for a normal video.
        where: file and line.
        text: the line.
    """

    video_id: str
    label: str | None
    spans: tuple[tuple[int, int], ...]
    where: str
    text: str


def read_text_lines(path: str | Path) -> list[tuple[int, str]]:
    """Lines of a text file that are not blank, with their numbers from 1; a byte order mark and CRLF do no harm.

    Raises:
        DataError: the file cannot be opened, is no text, or is a NumPy file under the name of a text file.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f'{path}: {error.strerror or error}') from error
    if data.startswith(NUMPY_MAGIC):
        raise DataError(
            f'{path}: must be text, but is a NumPy array under the name of a text file. Such files hold one label per '
            "frame, and in some releases 0 means abnormal: take the benchmark's own annotation files instead"
        )
    try:
        text = data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        raise DataError(f'{path}:{line}: must be text in UTF-8, got byte {data[error.start]:#04x}') from error
    lines = text.replace('\r\n', '\n').replace('\r', '\n').split('\n')
    return [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]


def read_noted_lines(benchmark: BaseBenchmark, path: Path) -> list[tuple[int, str]] | None:
    """Lines of a text file as by ``read_text_lines``; None, with an error noted, where it cannot be read."""
    try:
        return read_text_lines(path)
    except DataError as error:
        text = str(error).removeprefix(str(path))  # ': message' or ':12: message'
        line = re.match(r':\d+(?=: )', text)
        where = f'{path}{line[0]}' if line else path
        benchmark.error('unreadable-annotation', where, text.removeprefix(line[0] if line else '').removeprefix(': '))
        return None


def parse_interval_line(text: str, where: str, *, with_label: bool) -> IntervalLine:
    """Parse ``name [class] first last [first last ...]``, parted by blanks or tabs; ``-1 -1`` stands for no event.

    The name may carry a folder and ``.mp4``.

    Args:
        text: the line.
        where: file and line.
        with_label: whether a class follows the name.

    Raises:
        ValueError: says rule and line; the caller knows the file.
    """
    fields = text.split()
    head = 2 if with_label else 1
    form = f'name{" class" if with_label else ""} first last [first last ...]'
    if len(fields) < head + 2 or (with_label and _WHOLE.fullmatch(fields[1])):
        raise ValueError(f'must hold {form!r}, got {text!r}')
    numbers = []
    for field in fields[head:]:
        if not _WHOLE.fullmatch(field):
            raise ValueError(f'frame numbers must be whole ({form!r}), got {field!r} in {text!r}')
        numbers.append(int(field))
    if len(numbers) % 2:
        raise ValueError(f'frame numbers must come in pairs of first and last, got {len(numbers)} in {text!r}')
    spans = []
    for first, last in zip(numbers[::2], numbers[1::2], strict=True):
        if (first, last) == NO_EVENT:
            continue
        if first < 0 or last < 0:
            raise ValueError(f'start and end must both be -1 or both at least 0, got {first} {last} in {text!r}')
        if first > last:
            raise ValueError(f'start must be at most end, got {first} {last} in {text!r}')
        spans.append((first, last))
    video_id = strip_suffix(fields[0].replace('\\', '/').rsplit('/', 1)[-1])
    if not video_id:
        raise ValueError(f'must begin with the name of a video, got {text!r}')
    return IntervalLine(video_id, fields[1] if with_label else None, tuple(spans), where, text)


def read_interval_file(benchmark: BaseBenchmark, path: Path, *, with_label: bool) -> list[IntervalLine]:
    """All lines of an annotation file; a malformed one becomes an error finding of the benchmark and is left out."""
    lines = []
    for number, text in read_noted_lines(benchmark, path) or []:
        where = f'{path}:{number}'
        try:
            lines.append(parse_interval_line(text, where, with_label=with_label))
        except ValueError as error:
            benchmark.error('malformed-line', where, str(error))
    return lines


def parse_whole(text: str, field: str) -> int:
    """A whole number, which may be written as a float: ``'12'``, ``'12.0'``, ``'1.2000e+01'``.

    Raises:
        ValueError: it is no number, or not whole.
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f'{field} must be a whole number, got {text!r}') from None
    if not value.is_integer():  # also false for infinity and NaN
        raise ValueError(f'{field} must be a whole number, got {text!r}')
    return int(value)


def check_interval_ends(interval_ends: str) -> str:
    """The argument itself.

    Raises:
        UsageError: it is none of ``INTERVAL_ENDS``.
    """
    if interval_ends not in INTERVAL_ENDS:
        raise UsageError(f'interval_ends must be one of {INTERVAL_ENDS}, got {interval_ends!r}')
    return interval_ends


def add_intervals(
    benchmark: BaseBenchmark,
    record: VideoRecord,
    spans: Sequence[tuple[int, int]],
    *,
    word: str,
    where: str,
    interval_ends: str = 'inclusive',
) -> None:
    """Give a record its anomalies, cut at the end of the video where that is known.

    Args:
        benchmark: takes the findings.
        record: takes the intervals.
        spans: first and last frame of each anomaly as written, counted from 0.
        word: what the anomalies are.
        where: file and line, for the findings.
        interval_ends: ``'inclusive'``, the last frame is anomalous; ``'half-open'``, it is the first normal one.
    """
    length = record.num_frames
    for first, last in spans:
        start, end = first, last + 1 if interval_ends == 'inclusive' else last
        if length is not None and start >= length:
            benchmark.error(
                'annotation-outside-video',
                where,
                f'anomaly {first} {last} of {record.video_id} must begin within its {length} frames: '
                'the video or its number of frames is another',
            )
            continue
        if length is not None and end > length:
            benchmark.warn(
                'annotation-beyond-end',
                where,
                f'anomaly {first} {last} of {record.video_id} ends beyond its last frame {length - 1}; cut there',
            )
            end = length
        if start == end:
            benchmark.warn(
                'empty-interval', where, f'anomaly {first} {last} of {record.video_id} is empty with half-open ends'
            )
            continue
        record.intervals.append((start, end))
        record.interval_categories.append(word)


def find_text_file(benchmark: BaseBenchmark, ann_file: str | Path | None, pattern: str, wanted: str) -> Path | None:
    """An annotation file: the one that the user names, or the one at or up to two folders below the root.

    Copies with equal content count once, the one nearest to the root. Where the content differs, an error is noted.

    Args:
        benchmark: whose root is searched; takes the findings.
        ann_file: path, absolute or below the root; None to search.
        pattern: regular expression that the whole name must match, whatever its case.
        wanted: how the file is named as a rule, for the error.

    Returns:
        the file, or None with an error noted.
    """
    root = benchmark.root
    if ann_file is not None:
        file = root / ann_file
        if not file.is_file():
            benchmark.error('missing-annotation', file, 'ann_file must be an existing file')
            return None
        return file
    name = re.compile(pattern, re.IGNORECASE)
    found = [
        folder / file for folder, files in walk_folders(benchmark, root, 2) for file in files if name.fullmatch(file)
    ]
    found.sort(key=lambda file: len(file.parts))
    if not found:
        benchmark.error('missing-annotation', root, f'must hold {wanted}, here or up to two folders below')
        return None
    contents = [read_noted_lines(benchmark, file) for file in found] if len(found) > 1 else []
    if None in contents:
        return None
    different = [file for file, content in zip(found, contents, strict=False) if content != contents[0]]
    if different:
        benchmark.error(
            'ambiguous-annotation',
            different[0],
            f'differs from {found[0]}: leave one of them, or name the right one by ann_file',
        )
    return found[0]
