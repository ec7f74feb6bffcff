"""Reads the referring phrases of the REFER toolkit's data sets: ``refs(<split by>).p``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lavida_mm.datasets.sources.base_source import FaultLog
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.safe_pickle import load_plain_pickle
from lavida_mm.utils.words import clean_word

__all__ = ['Ref', 'load_refs']


@dataclass(frozen=True)
class Ref:
    """Phrases for one object.

    Attributes:
        where: what to call it in an error.
        image: id of its image.
        annotation: id of the annotation of its object.
        split: part of the data set.
        phrases: what the object was called, at least one.
    """

    where: str
    image: int | str
    annotation: int | str
    split: str
    phrases: tuple[str, ...]


def load_refs(path: Path, faults: FaultLog) -> list[Ref]:
    """Read and check the file.

    It is a pickle of a list of dicts with ref_id, ann_id, image_id, category_id, split, sent_ids, file_name and
    sentences, a list of dicts with sent_id, sent (cleaned text), raw and tokens (refer.py and the readme's comment of
    github.com/lichengunc/refer).

    Args:
        path: the file.
        faults: hears of each bad record.

    Raises:
        DataError: the file is missing, cut short, names a class, or holds no list of records.
    """
    content = load_plain_pickle(path)
    if not isinstance(content, list) or not content:
        raise DataError(f'{path}: must hold a list of refs, got {content!r:.80}')
    refs, seen = [], set()
    for number, record in enumerate(content):
        key = record.get('ref_id') if isinstance(record, dict) else None
        if not isinstance(key, int | str) or key in seen:
            faults.add(f'refs[{number}].ref_id must be a unique number or text, got {key!r:.80}')
            continue
        seen.add(key)
        where = f'ref {key!r}'
        fault = _find_fault(record)
        if fault:
            faults.add(f'{where}: {fault}')
            continue
        phrases = tuple(_phrase(sentence) for sentence in record['sentences'])
        refs.append(Ref(where, record['image_id'], record['ann_id'], record['split'], phrases))
    return refs


def _find_fault(record: dict) -> str | None:
    for field in ('image_id', 'ann_id'):
        if not isinstance(record.get(field), int | str):
            return f'{field} must be a number or text, got {record.get(field)!r:.80}'
    if not isinstance(record.get('split'), str):
        return f'split must be text, got {record.get("split")!r:.80}'
    sentences = record.get('sentences')
    if not isinstance(sentences, list) or not sentences:
        return f'sentences must be a list of at least one phrase, got {sentences!r:.80}'
    for number, sentence in enumerate(sentences):
        if not _phrase(sentence):
            return f'sentences[{number}] must hold a phrase in sent or raw, got {sentence!r:.80}'
    return None


def _phrase(sentence: Any) -> str:
    """The cleaned text, or the raw one where cleaning left nothing of it; empty where neither is text."""
    if not isinstance(sentence, dict):
        return ''
    texts = (sentence.get(field) for field in ('sent', 'raw'))
    return next((clean_word(text) for text in texts if isinstance(text, str) and text.strip()), '')
