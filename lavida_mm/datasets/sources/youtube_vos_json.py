"""Reads ``meta.json`` and ``meta_expressions.json`` in the form of YouTube-VOS.

``meta.json`` (youtube-vos.org/dataset/vos) holds ``videos.<id>.objects.<number>`` with ``category`` and ``frames``, the
names of the frames in which the object is annotated; ``meta_expressions.json`` (youtube-vos.org/dataset/rvos) holds
``videos.<id>.frames`` and ``videos.<id>.expressions.<number>`` with ``exp`` and ``obj_id``.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavida_mm.datasets.palette import MAX_NUMBER
from lavida_mm.datasets.sources.base_source import FaultLog
from lavida_mm.datasets.sources.coco_json import load_json
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import clean_word, unique_words

__all__ = [
    'Expression',
    'group_phrases',
    'load_videos',
    'read_expressions',
    'read_frames',
    'read_number',
    'read_objects',
    'read_phrases',
]


@dataclass(frozen=True)
class Expression:
    """A referring phrase.

    Attributes:
        where: where it stands in its file, for errors.
        phrase: what it says.
        record: its entry in the file, with what it refers to.
    """

    where: str
    phrase: str
    record: dict


def load_videos(path: Path) -> dict[str, Any]:
    """The entry of each video by its name.

    Raises:
        DataError: the file is missing, no JSON, or holds no videos.
    """
    content = load_json(path)
    videos = content.get('videos') if isinstance(content, dict) else None
    if not isinstance(videos, dict):
        raise DataError(f'{path}: videos must be an object, got {videos!r:.80}')
    return videos


def read_expressions(video: str, entry: Any, faults: FaultLog) -> list[Expression]:
    """The phrases of a video; ``faults`` hears of entries that are none."""
    expressions = entry.get('expressions') if isinstance(entry, dict) else None
    if not isinstance(expressions, dict):
        faults.add(f'videos.{video}.expressions must be an object, got {expressions!r:.80}')
        return []
    found = []
    for key, record in expressions.items():
        where = f'videos.{video}.expressions.{key}'
        phrase = record.get('exp') if isinstance(record, dict) else None
        if isinstance(phrase, str) and phrase.strip():
            found.append(Expression(where, clean_word(phrase), record))
        else:
            faults.add(f'{where}.exp must be a phrase, got {phrase!r:.80}')
    return found


def read_phrases(video: str, entry: Any, known: Collection[int] | None, faults: FaultLog) -> list[tuple[int, str]]:
    """The phrases of a video as (number of the object, phrase), where each phrase refers to one object.

    Args:
        video: name of the video.
        entry: its entry in ``meta_expressions.json``.
        known: numbers of its objects, or None where they are not known yet.
        faults: hears of bad entries and of a video without any phrase.
    """
    found = []
    for expression in read_expressions(video, entry, faults):
        named = expression.record.get('obj_id')
        number = read_number(named)
        if number is None:
            faults.add(f'{expression.where}.obj_id must be the number of an object, 1..{MAX_NUMBER}, got {named!r:.80}')
        elif known is not None and number not in known:
            faults.add(f'{expression.where}.obj_id must be one of the objects {sorted(known)}, got {named!r}')
        else:
            found.append((number, expression.phrase))
    if not found:
        faults.add(f'videos.{video}.expressions must hold at least one phrase')
    return found


def group_phrases(phrases: Iterable[tuple[int, str]], numbers: Iterable[int]) -> dict[int, list[str]]:
    """number of each object -> its phrases, each once; an object that no phrase names has none.

    >>> group_phrases([(2, 'a cat'), (2, 'A cat')], [1, 2])
    {1: [], 2: ['a cat']}
    """
    found: dict[int, list[str]] = {number: [] for number in numbers}
    for number, phrase in phrases:
        found[number].append(phrase)
    return {number: unique_words(own) for number, own in found.items()}


def read_frames(where: str, entry: Any, faults: FaultLog) -> list[str]:
    """The names of frames in an entry, without suffix; empty, which ``faults`` hears of, where there are none."""
    frames = entry.get('frames') if isinstance(entry, dict) else None
    if isinstance(frames, list) and frames and all(isinstance(name, str) and name for name in frames):
        return frames
    faults.add(f'{where}.frames must be a list of at least one name, got {frames!r:.80}')
    return []


def read_objects(video: str, entry: Any, faults: FaultLog) -> tuple[dict[int, list[str]], set[str]]:
    """The objects of a video in ``meta.json``.

    An object that appears in no frame is a fault. It is kept, as the masks may show it all the same.

    Returns:
        number -> its category as a list of words, empty where it is faulty; and the names of annotated frames.
    """
    objects = entry.get('objects') if isinstance(entry, dict) else None
    if not isinstance(objects, dict) or not objects:
        faults.add(f'videos.{video}.objects must hold at least one object, got {objects!r:.80}')
        return {}, set()
    found: dict[int, list[str]] = {}
    frames: set[str] = set()
    for key, record in objects.items():
        where = f'videos.{video}.objects.{key}'
        number = read_number(key)
        if number is None:
            faults.add(f'{where}: an object must be keyed by its number in the masks, 1..{MAX_NUMBER}, got {key!r}')
            continue
        category = record.get('category') if isinstance(record, dict) else None
        if isinstance(category, str) and category.strip(' _'):
            found[number] = [clean_word(category.replace('_', ' '))]  # giant_panda
        else:
            found[number] = []
            faults.add(f'{where}.category must be a word, got {category!r:.80}')
        frames.update(read_frames(where, record, faults))
    return found, frames


def read_number(value: Any) -> int | None:
    """The number of an object as palette masks show it, 1..254, from a number or text; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    return int(text) if text.isdecimal() and len(text) <= 3 and 0 < int(text) <= MAX_NUMBER else None
