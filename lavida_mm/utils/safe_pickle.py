"""Pickles that may hold plain data only: whatever names a class or a function is refused before it is looked up."""

import io
import pickle
from pathlib import Path
from typing import Any

from lavida_mm.utils.errors import DataError

__all__ = ['load_plain_pickle', 'parse_plain_pickle']

# Text of Python 2 is bytes in a pickle. Latin-1 gives every byte a character, so the second try always ends.
TEXT_ENCODINGS = ('utf-8', 'latin-1')

# What the C code of ``pickle`` raises for bytes that are no pickle; it promises no narrower class.
BROKEN = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


class _NamedClassError(Exception):
    """The pickle asks for a class or a function."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        raise _NamedClassError(f'{module_name}.{global_name}')


def load_plain_pickle(path: Path) -> Any:
    """Read a pickle of lists, tuples, dicts, numbers, text, bytes, booleans and None, made by Python 2 or 3.

    A pickle is a program: to load one as usual runs what its maker wrote. Here nothing is imported and nothing is
    called. Sets are refused too where the pickle names their class (protocols below 4).

    Args:
        path: the file. Bytes of Python 2 text are read as UTF-8, or all as Latin-1 where one of them is not UTF-8.

    Raises:
        DataError: the file is missing, cut short, no pickle, or names a class or a function.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f'{path}: {error.strerror or error}') from error
    return parse_plain_pickle(data, path)


def parse_plain_pickle(data: bytes, where: str | Path) -> Any:
    """As :func:`load_plain_pickle`, of bytes.

    Args:
        data: the pickle.
        where: whose bytes these are, for the error.

    Raises:
        DataError: they are cut short, no pickle, or name a class or a function.
    """
    for encoding in TEXT_ENCODINGS:
        try:
            return _PlainUnpickler(io.BytesIO(data), encoding=encoding).load()
        except _NamedClassError as error:
            raise DataError(f'{where}: must hold plain data only, got a pickle that names {error}') from error
        except UnicodeDecodeError:
            continue
        except BROKEN as error:
            raise DataError(f'{where}: is no whole pickle: {error or type(error).__name__}') from error
    raise AssertionError('Latin-1 decodes every byte')
