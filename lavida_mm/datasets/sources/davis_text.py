"""Reads the text files of referring phrases for DAVIS 2017."""

import re
from pathlib import Path

from lavida_mm.datasets.palette import MAX_NUMBER
from lavida_mm.datasets.sources.base_source import FaultLog
from lavida_mm.datasets.sources.youtube_vos_json import read_number
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import clean_word

__all__ = ['read_davis_text']

LINE = re.compile(r'(\S+)\s+(\S+)\s+(.*)')  # video, number of the object, phrase in quotes
QUOTES = '"\u201c\u201d '

# Names that these files spell otherwise than DAVIS 2017 does, listed by ReferFormer's converter to the form of
# Ref-YouTube-VOS (github.com/wjn922/ReferFormer, tools/data/convert_davis_to_ytvos.py).
SPELLINGS = {'clasic-car': 'classic-car', 'dog-scale': 'dogs-scale', 'motor-bike': 'motorbike'}


def read_davis_text(path: Path, faults: FaultLog) -> dict[str, list[tuple[int, str]]]:
    """The phrases of one file of Khoreva et al. 2018, one ``video number "phrase"`` a line: video -> (number, phrase).

    The files of the second annotator are not UTF-8 (those who read them name Latin-1, whose printable characters
    Windows-1252 shares).

    Args:
        path: a text file.
        faults: hears of lines in another form.

    Raises:
        DataError: the file is missing or no text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f'{path}: {error.strerror or error}') from error
    found: dict[str, list[tuple[int, str]]] = {}
    for place, line in enumerate(_decode(path, data).splitlines(), start=1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line.strip())
        number = read_number(match[2]) if match else None
        phrase = clean_word(match[3].strip(QUOTES)) if match else ''
        if not match or number is None or not phrase:
            faults.add(f'{path}:{place}: must be a video, an object 1..{MAX_NUMBER} and a phrase, got {line!r:.80}')
            continue
        found.setdefault(SPELLINGS.get(match[1], match[1]), []).append((number, phrase))
    return found


def _decode(path: Path, data: bytes) -> str:
    for encoding in ('utf-8-sig', 'cp1252'):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(f'{path}: must be text in UTF-8 or Windows-1252')
