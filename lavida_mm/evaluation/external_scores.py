"""Scores that another system wrote: read from its files, matched to the videos of a benchmark, spread over frames."""

import json
import lzma
import math
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from lavida_mm.structures import VideoRecord
from lavida_mm.utils.atomic import is_temporary
from lavida_mm.utils.errors import DataError

__all__ = ['LENGTH_RULES', 'FrameCurve', 'ScoreList', 'match_scores', 'read_scores', 'spread_scores']

LENGTH_RULES = ('full', 'i3d-16')
FEATURE_FRAMES = 16  # frames of one I3D feature
SHOWN = 3  # names that an error lists
MOST = sys.float_info.max
HEADER_WORDS = frozenset({'frame', 'frames', 'index', 'score', 'scores'})
VIDEO_SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.webm', '.mpg', '.mpeg', '.m4v', '.wmv', '.flv')


@dataclass(frozen=True)
class ScoreList:
    """The scores of one video as a file gives them.

    Attributes:
        name: name of the video there, with folders and suffix where the file has them.
        scores: float64 (S,), finite.
        origin: file, and place in it, for errors.
        step: frames between two scores where the file numbers its frames; None where it does not.
    """

    name: str
    scores: np.ndarray
    origin: str
    step: int | None = None


@dataclass(frozen=True)
class FrameCurve:
    """The scores of one video, one per frame.

    Attributes:
        scores: float64 (n,).
        difference: n minus the known number of frames; None where that is unknown.
    """

    scores: np.ndarray
    difference: int | None


def read_scores(path: str | Path) -> list[ScoreList]:
    """Read the scores of many videos.

    Three forms are known:

    - a folder with one file per video, in any depth: ``.npy`` (S,); ``.npz`` with one array, or one named ``scores``;
      ``.json``, a list, ``{"scores": [...]}`` or ``{"0": 0.1, "16": 0.3}`` (first frame: score); ``.csv`` or ``.txt``,
      a score per line or ``frame score``. The video's name is the path below the folder without the suffix.
    - one ``.npz``: video name -> (S,).
    - one ``.json``: ``{"video": [score, ...]}``.

    Returns:
        a list per video, in order of their names.

    Raises:
        DataError: a file is missing, damaged, empty or malformed, a score is no finite number, or a video has two lists
            of one name.
    """
    path = Path(path)
    if path.is_dir():
        found = _read_folder(path)
    elif not path.exists():
        raise DataError(f'{path}: scores must be an existing folder, .npz or .json')
    elif path.suffix.lower() == '.npz':
        found = [
            ScoreList(name, _as_scores(value, where := f'{path}: {name}'), where) for name, value in _read_npz(path)
        ]
    elif path.suffix.lower() == '.json':
        found = _read_json_of_videos(path)
    else:
        hint = ' (one array does not say which scores are whose)' if path.suffix.lower() == '.npy' else ''
        raise DataError(f'{path}: scores must be a folder with a file per video, one .npz or one .json{hint}')
    if not found:
        raise DataError(f'{path}: holds no scores')
    return sorted(found, key=lambda item: item.name)


def match_scores(
    lists: Sequence[ScoreList], records: Sequence[VideoRecord], *, allow_missing: bool = False
) -> dict[str, ScoreList]:
    """Find the video of each list.

    A name may carry the folders above the video and the suffix of the video file: ``Abuse/Abuse028_x264.mp4`` is
    ``Abuse028_x264``. The whole name counts first, then the name without suffix, then its last part.

    Args:
        lists: what ``read_scores`` gave.
        records: the videos of the benchmark.
        allow_missing: accept videos without scores.

    Returns:
        video id -> its list, in the order of ``records``.

    Raises:
        DataError: a name belongs to no video, to several, or two names to one; or a video has no scores.
    """
    tables = [_index(records, key) for key in (str, _drop_suffix, _last_part)]
    matched: dict[str, ScoreList] = {}
    unknown: list[ScoreList] = []
    for item in lists:
        video_ids = _look_up(item.name, tables)
        if len(video_ids) > 1:
            raise DataError(f'{item.origin}: name {item.name!r} fits {len(video_ids)} videos: {_list(video_ids)}')
        if not video_ids:
            unknown.append(item)
        elif video_ids[0] in matched:
            other = matched[video_ids[0]]
            raise DataError(f'{item.origin}: video {video_ids[0]} has scores twice, also in {other.origin}')
        else:
            matched[video_ids[0]] = item
    if unknown:
        raise DataError(
            f'{unknown[0].origin}: {len(unknown)} of {len(lists)} score lists belong to no video of the benchmark: '
            f'{_list(item.name for item in unknown)}'
        )
    missing = [record.video_id for record in records if record.video_id not in matched]
    if missing and not allow_missing:
        raise DataError(
            f'{len(missing)} of {len(records)} videos have no scores: {_list(missing)}; '
            'a figure over a part must be asked for (--allow-partial)'
        )
    return {record.video_id: matched[record.video_id] for record in records if record.video_id in matched}


def spread_scores(
    item: ScoreList, *, frames_per_score: int, num_frames: int | None, rule: str = 'full', video_id: str = ''
) -> FrameCurve:
    """Give every frame its score: each score holds for ``frames_per_score`` frames.

    Rule ``'full'``: a video of n frames has ceil(n / frames_per_score) scores, and the last one holds for what is left.
    Rule ``'i3d-16'``: the length is S times ``frames_per_score`` whatever the video's; the ground truth is cut to it.

    Args:
        item: the scores, (S,).
        frames_per_score: frames that one score holds for.
        num_frames: n; None where it is unknown: then it is S times ``frames_per_score``.
        rule: one of ``LENGTH_RULES``.
        video_id: name of the video, for errors.

    Raises:
        DataError: the number of scores breaks the rule, or the file numbers its frames in other steps.
        ValueError: ``frames_per_score`` or ``rule`` is out of range.
    """
    if isinstance(frames_per_score, bool) or not isinstance(frames_per_score, int) or frames_per_score < 1:
        raise ValueError(f'frames_per_score must be a whole number of at least 1, got {frames_per_score!r}')
    if rule not in LENGTH_RULES:
        raise ValueError(f'length rule must be one of {LENGTH_RULES}, got {rule!r}')
    if item.step is not None and len(item.scores) > 1 and item.step != frames_per_score:
        raise DataError(
            f'{item.origin}: frames are numbered in steps of {item.step}, frames_per_score is {frames_per_score}'
        )
    full = len(item.scores) * frames_per_score
    if rule == 'i3d-16' or num_frames is None:
        scores = np.repeat(item.scores, frames_per_score)
        return FrameCurve(scores, None if num_frames is None else full - num_frames)
    wanted = math.ceil(num_frames / frames_per_score)
    if len(item.scores) != wanted:
        raise DataError(_explain_length(item, frames_per_score, num_frames, wanted, video_id))
    return FrameCurve(np.repeat(item.scores, frames_per_score)[:num_frames], 0)


def _explain_length(item: ScoreList, frames_per_score: int, num_frames: int, wanted: int, video_id: str) -> str:
    name, found = video_id or item.name, len(item.scores)
    text = (
        f'{item.origin}: video {name} has {num_frames} frames, so that with one score per {frames_per_score} frames it '
        f'must have ceil({num_frames} / {frames_per_score}) = {wanted} scores, got {found}'
    )
    if found == num_frames:
        return text + '; these are one per frame: frames_per_score 1'
    if frames_per_score == FEATURE_FRAMES and 0 < wanted - found <= 2:
        return text + "; protocol 'i3d-16' takes lengths that features have cut"
    return text


# ------------------------------------------------------------------ files


def _read_folder(folder: Path) -> list[ScoreList]:
    files = sorted(path for path in folder.rglob('*') if path.suffix.lower() in READERS and not is_temporary(path))
    files = [path for path in files if path.is_file()]
    if not files:
        raise DataError(f'{folder}: holds no score file; known are {", ".join(sorted(READERS))}')
    found: dict[str, ScoreList] = {}
    for path in files:
        name = path.relative_to(folder).with_suffix('').as_posix()
        if name in found:
            raise DataError(f'{path}: video {name} has scores twice, also in {found[name].origin}')
        scores, step = READERS[path.suffix.lower()](path)
        found[name] = ScoreList(name, scores, str(path), step)
    return list(found.values())


def _read_npy_file(path: Path) -> tuple[np.ndarray, int | None]:
    with _damage(path), path.open('rb') as file:
        return _as_scores(np.load(file, allow_pickle=False), str(path)), None


def _read_npz_file(path: Path) -> tuple[np.ndarray, int | None]:
    arrays = dict(_read_npz(path))
    if 'scores' not in arrays and len(arrays) != 1:
        raise DataError(f'{path}: must hold one array, or one named scores, got {_list(arrays)}')
    value = arrays['scores'] if 'scores' in arrays else next(iter(arrays.values()))
    return _as_scores(value, str(path)), None


def _read_json_file(path: Path) -> tuple[np.ndarray, int | None]:
    content = _load_json(path)
    if isinstance(content, dict) and 'scores' in content:
        content = content['scores']
    if isinstance(content, dict):
        return _read_frames(_frame_items(content, path), path)
    return _as_scores(_as_list(content, str(path)), str(path)), None


def _read_text_file(path: Path) -> tuple[np.ndarray, int | None]:
    """Lines ``score`` or ``frame score``, parted by blanks or a comma; the first line may name the columns."""
    try:
        lines = path.read_text(encoding='utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f'{path}: must be text in UTF-8: {error.reason} at byte {error.start}') from error
    rows: list[tuple[str, list[str]]] = []
    for number, line in enumerate(lines, start=1):
        fields = [field for field in re.split(r'[\s,;]+', line.strip()) if field]
        if not fields or (number == 1 and HEADER_WORDS.issuperset(field.lower() for field in fields)):
            continue
        where = f'{path}:{number}'
        if len(fields) > 2 or (rows and len(fields) != len(rows[0][1])):
            raise DataError(
                f'{where}: must be one score, or frame and score, like the lines above: {line.strip()!r:.80}'
            )
        if not all(_number(field) for field in fields):
            raise DataError(f'{where}: must be a number: {line.strip()!r:.80}')
        rows.append((where, fields))
    if not rows:
        raise DataError(f'{path}: holds no scores')
    if len(rows[0][1]) == 1:
        scores = np.array([float(fields[0]) for _, fields in rows])
        bad = np.flatnonzero(~np.isfinite(scores))
        if bad.size:
            raise DataError(f'{rows[bad[0]][0]}: scores must be finite, got {rows[bad[0]][1][0]}')
        return scores, None
    return _read_frames(((where, fields[0], float(fields[1])) for where, fields in rows), path)


READERS: dict[str, Callable[[Path], tuple[np.ndarray, int | None]]] = {
    '.npy': _read_npy_file,
    '.npz': _read_npz_file,
    '.json': _read_json_file,
    '.csv': _read_text_file,
    '.txt': _read_text_file,
}


def _read_json_of_videos(path: Path) -> list[ScoreList]:
    content = _load_json(path)
    if not isinstance(content, dict):
        raise DataError(f'{path}: must map each video to its list of scores, got {_kind(content)}')
    found = []
    for name, value in content.items():
        where = f'{path}: {name}'
        if isinstance(value, dict) and 'scores' not in value:
            scores, step = _read_frames(_frame_items(value, where), where)
        else:
            value = value['scores'] if isinstance(value, dict) else value
            scores, step = _as_scores(_as_list(value, where), where), None
        found.append(ScoreList(name, scores, where, step))
    return found


def _frame_items(content: dict, where: str | Path) -> Iterable[tuple[str, str, Any]]:
    return ((f'{where}: frame {frame}', frame, score) for frame, score in content.items())


def _read_frames(items: Iterable[tuple[str, str, Any]], origin: str | Path) -> tuple[np.ndarray, int | None]:
    """Scores that come with the first frame they hold for: counted from 0, in even steps, none twice."""
    frames: dict[int, float] = {}
    places: dict[int, str] = {}
    for where, frame, score in items:
        if not re.fullmatch(r'[0-9]{1,12}(\.0*)?', frame):
            raise DataError(f'{where}: frame must be a whole number of at least 0, got {frame!r:.40}')
        index = int(frame.split('.')[0])
        if index in frames:
            raise DataError(f'{where}: frame {index} stands twice, also at {places[index]}')
        if isinstance(score, bool) or not isinstance(score, int | float) or not abs(score) <= MOST:
            raise DataError(f'{where}: score must be a finite number, got {score!r:.40}')
        frames[index], places[index] = float(score), where
    if not frames:
        raise DataError(f'{origin}: holds no scores')
    inds = sorted(frames)
    step = inds[1] - inds[0] if len(inds) > 1 else None
    for place, index in enumerate(inds):
        if index != place * (step or 1):
            raise DataError(
                f'{places[index]}: frames must count from 0 in even steps '
                f'({", ".join(str(k * (step or 1)) for k in range(3))}, ...), got {index} where '
                f'{place * (step or 1)} should be'
            )
    return np.array([frames[index] for index in inds]), step


def _read_npz(path: Path) -> list[tuple[str, np.ndarray]]:
    with _damage(path), path.open('rb') as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise DataError(f'{path}: must be a NumPy archive of named arrays, got one array')
        with archive:
            names = archive.files
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise DataError(f'{path}: {twice[0]} stands twice')
            return [(name, archive[name]) for name in names]


# What NumPy and zipfile raise for files that are cut, changed, encrypted, or claim more than they hold.
DAMAGE = (
    ValueError, EOFError, KeyError, OverflowError, MemoryError, RuntimeError, OSError, lzma.LZMAError, zlib.error,
    zipfile.BadZipFile, zipfile.LargeZipFile,
)  # fmt: skip


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Name the file in what NumPy and zipfile raise for damaged files."""
    try:
        yield
    except DataError:
        raise
    except DAMAGE as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        if 'allow_pickle' in reason:
            reason = 'it is no NumPy file, or holds Python objects where scores must be numbers'
        raise DataError(f'{path}: cannot be read, it may be half-written: {reason:.160}') from error


def _load_json(path: Path) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise DataError(f'{path}: {name} stands twice')
            found[name] = value
        return found

    try:
        return json.loads(path.read_text(encoding='utf-8-sig'), object_pairs_hook=unique)
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f'{path}: must be whole JSON: {error}') from error


def _as_list(content: Any, where: str) -> np.ndarray:
    if not isinstance(content, list):
        raise DataError(f'{where}: must be a list of scores, got {_kind(content)}')
    for place, value in enumerate(content):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f'{where}: score {place} must be a number, got {value!r:.40}')
    try:
        return np.array(content, dtype=np.float64)
    except OverflowError as error:
        raise DataError(f'{where}: scores must be finite, one has more digits than a float holds') from error


def _as_scores(value: np.ndarray, where: str) -> np.ndarray:
    """Check an array of scores: one dimension (others of length 1 are dropped), real numbers, all finite."""
    value = np.asarray(value)
    if value.dtype.kind not in 'iuf':
        raise DataError(f'{where}: scores must be real numbers, got dtype {value.dtype}')
    if sum(side != 1 for side in value.shape) > 1:
        raise DataError(f'{where}: scores must have one dimension (S,), got shape {value.shape}')
    scores = value.reshape(-1).astype(np.float64)
    if not scores.size:
        raise DataError(f'{where}: holds no scores')
    bad = np.flatnonzero(~np.isfinite(scores))
    if bad.size:
        raise DataError(
            f'{where}: scores must be finite, score {bad[0]} is {scores[bad[0]]} ({bad.size} are not finite)'
        )
    return scores


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _kind(content: Any) -> str:
    names = {dict: 'an object', list: 'a list', str: 'text', type(None): 'null', bool: 'a truth value'}
    return names.get(type(content), 'a number')


# ------------------------------------------------------------------ names


def _drop_suffix(name: str) -> str:
    pure = PurePosixPath(name)
    return str(pure.with_suffix('')) if pure.suffix.lower() in VIDEO_SUFFIXES else name


def _last_part(name: str) -> str:
    return PurePosixPath(_drop_suffix(name)).name


def _index(records: Sequence[VideoRecord], key: Callable[[str], str]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for record in records:
        table.setdefault(key(record.video_id), []).append(record.video_id)
    return table


def _look_up(name: str, tables: Sequence[dict[str, list[str]]]) -> list[str]:
    for form, table in zip((name, _drop_suffix(name), _last_part(name)), tables, strict=True):
        if form in table:
            return table[form]
    return []


def _list(names: Iterable[str]) -> str:
    names = list(names)
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return ', '.join(names[:SHOWN]) + more
