"""Finds the videos of a benchmark by name, wherever a variant puts them, and reads their numbers of frames."""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark
from lavida_mm.structures import VideoRecord

__all__ = [
    'NUM_FRAMES_FILE',
    'VIDEO_SUFFIXES',
    'VideoIndex',
    'check_videos_and_lengths',
    'is_video',
    'read_num_frames',
    'strip_suffix',
    'walk_folders',
]

VIDEO_SUFFIXES = (
    '.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv', '.ts', '.mts', '.3gp'
)  # fmt: skip
NUM_FRAMES_FILE = 'num_frames.csv'
NUM_FRAMES_FIELDS = ['video', 'num_frames']
BENCHMARK_DEPTH = 3  # no variant puts its videos deeper; a root may hold millions of images further down


def is_video(path: str | Path) -> bool:
    """Whether a file is named as a video, whatever the case of its suffix."""
    return str(path).lower().endswith(VIDEO_SUFFIXES)


def strip_suffix(name: str) -> str:
    """The name of a video file without its suffix; other dots belong to the name.

    Examples:
        >>> strip_suffix('About.Time.2013__#00-23-50_label_A.MP4')
        'About.Time.2013__#00-23-50_label_A'
        >>> strip_suffix('About.Time.2013__#00-23-50_label_A')
        'About.Time.2013__#00-23-50_label_A'
        >>> strip_suffix('twice.mp4.mp4')
        'twice'
    """
    while is_video(name):
        name = name[: name.rindex('.')]
    return name


def walk_folders(
    benchmark: BaseBenchmark, root: Path, max_depth: int | None = None
) -> Iterator[tuple[Path, list[str]]]:
    """Every folder at and below ``root`` with the sorted names of its files; hidden ones are passed over.

    Links to folders are followed, each folder once.

    Args:
        benchmark: takes the finding where a folder cannot be listed.
        root: where to start.
        max_depth: how many levels below the root to go; None for all.
    """
    seen: set[str] = set()
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                shown = sorted((entry for entry in entries if not entry.name.startswith('.')), key=lambda e: e.name)
                folders = [entry.name for entry in shown if entry.is_dir()]
        except OSError as error:
            benchmark.error('unreadable-folder', folder, f'cannot be listed: {error.strerror or error}')
            continue
        listed = set(folders)
        yield folder, [entry.name for entry in shown if entry.name not in listed]
        if max_depth is None or depth < max_depth:
            waiting += [(folder / name, depth + 1) for name in reversed(folders)]


class VideoIndex:
    """The video files below a folder, by name without suffix.

    Args:
        benchmark: takes the findings.
        folders: where to look; None for its root.
        skip: regular expression of folder names that hold other videos, such as those for training.

    Attributes:
        files: name -> its files, in the order of their paths.
    """

    def __init__(self, benchmark: BaseBenchmark, *, folders: Iterable[Path] | None = None, skip: str | None = None):
        self.benchmark = benchmark
        self.files: dict[str, list[Path]] = {}
        pattern = re.compile(skip, re.IGNORECASE) if skip else None
        for start in [benchmark.root] if folders is None else folders:
            for folder, names in walk_folders(benchmark, start, BENCHMARK_DEPTH):
                inner = folder.relative_to(start).parts
                if pattern is not None and any(pattern.search(part) for part in inner):
                    continue
                for name in names:
                    if is_video(name):
                        self.files.setdefault(strip_suffix(name), []).append(folder / name)

    def find(self, video_id: str) -> Path | None:
        """The file of a video, None where there is none; what is wrong with it is noted."""
        files = self.files.get(video_id)
        if not files:
            return None
        sizes = [self._read_size(file) for file in files]
        if len(files) > 1:
            if len(set(sizes)) > 1:
                self.benchmark.error(
                    'duplicate-video', files[1], f'is another file of video {video_id} than {files[0]}: leave one'
                )
            else:
                self.benchmark.warn(
                    'duplicate-video', files[1], f'is a second copy of video {video_id}; {files[0]} is read'
                )
        return files[0]

    def describe(self, paths: Iterable[Path], pattern: str = '', alias: str = '') -> str:
        """The folders that hold some videos, in words; a folder name that ``pattern`` matches is written ``alias``."""
        root = self.benchmark.root
        found = set()
        for folder in {path.parent for path in paths}:
            parts = [alias if re.fullmatch(pattern, part) else part for part in folder.relative_to(root).parts]
            found.add('/'.join(parts) or 'flat')
        return ', '.join(sorted(found))

    def _read_size(self, file: Path) -> int:
        try:
            size = file.stat().st_size
        except OSError as error:
            self.benchmark.error('unreadable-video', file, f'cannot be read: {error.strerror or error}')
            return 0
        if not size:
            self.benchmark.error('unreadable-video', file, 'must hold a video, is empty (0 bytes)')
        return size


def read_num_frames(benchmark: BaseBenchmark) -> dict[str, int]:
    """Numbers of frames from ``num_frames.csv`` in the root of a benchmark; empty where there is no such file.

    The file has the columns ``video,num_frames``; names may carry a suffix. What is wrong with a line is noted and the
    line left out. A name that stands there with and without suffix counts once where both say the same (the list of
    814 videos of XD-Violence has 14 of them).
    """
    path = benchmark.root / NUM_FRAMES_FILE
    if not path.is_file():
        return {}
    found: dict[str, int] = {}
    names: dict[str, str] = {}
    twice: list[str] = []
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            rows = csv.reader(file)
            header = [field.strip() for field in next(rows, [])]
            if header != NUM_FRAMES_FIELDS:
                benchmark.error(
                    'malformed-line', f'{path}:1', f'must be {",".join(NUM_FRAMES_FIELDS)!r}, got {",".join(header)!r}'
                )
                return {}
            for row in rows:
                where = f'{path}:{rows.line_num}'
                if not any(field.strip() for field in row):
                    continue
                # A name may hold commas that nobody quoted: the number is what follows the last one.
                name, count = ','.join(row[:-1]).strip(), row[-1].strip()
                video_id = strip_suffix(name)
                if not video_id or not re.fullmatch(r'[0-9]{1,9}', count) or int(count) < 1:
                    text = ','.join(row)
                    benchmark.error(
                        'malformed-line',
                        where,
                        f'num_frames must be a whole number of at least 1, got {text!r:.80}',
                    )
                elif names.get(video_id) == name or found.get(video_id, int(count)) != int(count):
                    benchmark.error(
                        'duplicate-line', where, f'video {video_id} must stand here once, got {found[video_id]} before'
                    )
                elif video_id in found:
                    twice.append(name)
                else:
                    found[video_id], names[video_id] = int(count), name
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        benchmark.error('unreadable-annotation', path, f'cannot be read as CSV in UTF-8: {error}')
        return {}
    if twice:
        benchmark.warn(
            'listed-twice',
            path,
            f'{len(twice)} videos are listed with and without suffix ({twice[0]}); each counts once',
        )
    return found


def check_videos_and_lengths(benchmark: BaseBenchmark, records: list[VideoRecord], lengths: dict[str, int]) -> None:
    """Note videos that are missing beside others, and lines of ``num_frames.csv`` that are missing or left over.

    Args:
        benchmark: takes the findings.
        records: its videos.
        lengths: what ``num_frames.csv`` says; empty where there is none.
    """
    if any(record.path is not None for record in records):
        for record in records:
            if record.path is None:
                benchmark.error(
                    'missing-video', record.origin or benchmark.root, f'no file of video {record.video_id} is there'
                )
    if not lengths:
        return
    known = {record.video_id for record in records}
    side_file = benchmark.root / NUM_FRAMES_FILE
    without = [video_id for video_id in known if video_id not in lengths]
    if without:
        benchmark.warn(
            'missing-length', side_file, f'lacks {len(without)} of {len(known)} videos, first {min(without)}'
        )
    beyond = [video_id for video_id in lengths if video_id not in known]
    if beyond:
        benchmark.warn(
            'extra-length', side_file, f'lists {len(beyond)} videos that the benchmark lacks, first {min(beyond)}'
        )
