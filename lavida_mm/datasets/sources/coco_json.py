"""Reads COCO and CocoVID annotation files and checks what can be checked without decoding a mask."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lavida_mm.datasets.masks import find_mask_fault
from lavida_mm.datasets.sources.base_source import FaultLog
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import clean_word

__all__ = ['category_words', 'check_files_exist', 'iterate_annotations', 'load_json', 'load_sections', 'records_by_id']


def load_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing, cut short or no JSON.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except OSError as error:
        raise DataError(f'{path}: {error.strerror or error}') from error
    except (ValueError, RecursionError) as error:
        raise DataError(f'{path}: is no whole JSON file: {error}') from error


def load_sections(path: Path, sections: Iterable[str]) -> dict[str, list[dict]]:
    """Read an annotation file and check that it has these lists of records."""
    content = load_json(path)
    if not isinstance(content, dict):
        raise DataError(f'{path}: must hold an object with {", ".join(sections)}, got {type(content).__name__}')
    for section in sections:
        records = content.get(section)
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise DataError(f'{path}: {section} must be a list of objects, got {records!r:.80}')
    return content


def records_by_id(path: Path, section: str, records: list[dict], fields: dict[str, type | tuple]) -> dict[Any, dict]:
    """Index records by their id and check their required fields.

    Args:
        path: the file, for the error.
        section: the list they stand in, for the error.
        records: the records.
        fields: required fields and their types; whole numbers must be positive.

    Raises:
        DataError: an id is missing or stands twice, or a field is missing, of another type, or not positive.
    """
    found: dict[Any, dict] = {}
    for number, record in enumerate(records):
        key = record.get('id')
        if not isinstance(key, int | str):
            raise DataError(f'{path}: {section}[{number}].id must be a number or text, got {key!r:.80}')
        if key in found:
            raise DataError(f'{path}: {section}[{number}].id must be unique, got {key!r} twice')
        for field, kind in fields.items():
            value = record.get(field)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise DataError(f'{path}: {section} {key!r}: {field} must be {_kind_name(kind)}, got {value!r:.80}')
            if kind is int and isinstance(value, int) and value <= 0:
                raise DataError(f'{path}: {section} {key!r}: {field} must be positive, got {value}')
        found[key] = record
    return found


def category_words(path: Path, categories: dict[Any, dict]) -> dict[Any, list[str]]:
    """The words of each category: its list ``words`` where it has one, else its name."""
    found = {}
    for key, category in categories.items():
        words = category.get('words', [category.get('name')])
        if not isinstance(words, list) or not words:
            raise DataError(f'{path}: category {key!r}: words must be a list of at least one word, got {words!r:.80}')
        for word in words:
            if not isinstance(word, str) or not word.strip():
                raise DataError(f'{path}: category {key!r}: words must not be blank, got {word!r:.80}')
        found[key] = [clean_word(word) for word in words]
    return found


def iterate_annotations(
    annotations: list[dict], images: dict[Any, dict], categories: dict[Any, dict], faults: FaultLog
) -> Iterator[dict]:
    """Those annotations that are sound and can have a visible pixel.

    ``faults`` hears of the others that break a rule; annotations marked ``ignore`` or of no area are left out in
    silence, as mmdet does.
    """
    seen: set[Any] = set()
    for number, annotation in enumerate(annotations):
        key = annotation.get('id')
        if not isinstance(key, int | str) or key in seen:
            faults.add(f'annotations[{number}].id must be a unique number or text, got {key!r:.80}')
            continue
        seen.add(key)
        fault = _find_annotation_fault(annotation, images, categories)
        if fault:
            faults.add(f'annotation {key!r}: {fault}')
        elif _can_be_seen(annotation):
            yield annotation


def check_files_exist(
    files: dict[Any, Path], record: str, faults: FaultLog, listdir: Callable[[Path], list[str]] = os.listdir
) -> set[Any]:
    """The keys whose file is not there; each folder is listed once, which stays cheap for many files.

    Args:
        files: path by key.
        record: what a key stands for, for the error.
        faults: hears of each missing file.
        listdir: lists a folder.
    """
    listings: dict[Path, set[str]] = {}
    missing = set()
    for key, file in files.items():
        if file.parent not in listings:
            listings[file.parent] = set(listdir(file.parent)) if file.parent.is_dir() else set()
        if file.name not in listings[file.parent]:
            faults.add(f'{record} {key!r}: file_name must be an existing file, got {str(file)!r}')
            missing.add(key)
    return missing


def _find_annotation_fault(annotation: dict, images: dict, categories: dict) -> str | None:
    for field, records in (('image_id', images), ('category_id', categories)):
        value = annotation.get(field)
        if not isinstance(value, int | str) or value not in records:
            return f'{field} must name one of the {len(records)} listed, got {value!r:.80}'
    image = images[annotation['image_id']]
    height, width = image['height'], image['width']
    box = annotation.get('bbox')
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        return f'bbox must be four finite numbers, got {box!r:.80}'
    if not _is_number(annotation.get('area')):
        return f'area must be a number, got {annotation.get("area")!r:.80}'
    if box[0] >= width or box[1] >= height or box[0] + box[2] < 0 or box[1] + box[3] < 0:
        return f'bbox must touch the image of {width} x {height} pixels, got {box!r}'
    return find_mask_fault(annotation.get('segmentation'), height, width)


def _can_be_seen(annotation: dict) -> bool:
    x, y, width, height = annotation['bbox']
    return not annotation.get('ignore') and annotation['area'] > 0 and min(width, height, x + width, y + height) >= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _kind_name(kind: type | tuple) -> str:
    names = {int: 'a whole number', str: 'text', float: 'a number'}
    return ' or '.join(names.get(each, str(each)) for each in (kind if isinstance(kind, tuple) else (kind,)))
