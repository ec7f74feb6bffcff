"""Parsed indexes of sources on disk: written once, then mapped into memory, which all processes of a machine share.

A file holds a prefix, the sections one after the other, each at a multiple of 64 bytes, and a trailer in JSON that
names them. Items are pickles, so a file is opened only where it belongs to this user, nobody else may write to it, and
its checksums hold.
"""

import hashlib
import json
import os
import pickle
import stat
import struct
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from logging import INFO, WARNING
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from mmengine.logging import print_log

from lavida_mm.datasets.vocabulary import Vocabulary
from lavida_mm.utils.errors import DataError, describe_error
from lavida_mm.utils.safe_pickle import parse_plain_pickle

__all__ = ['StoredIndex', 'cache_folder', 'describe_files', 'digest', 'open_index', 'write_index']

FOLDER = 'LAVIDA_MM_CACHE'  # environment variable; empty: nothing is kept
MAGIC = b'LVDMMIX1'
PREFIX = struct.Struct('<8sQQII')  # magic, place and size of the trailer, checksums of the trailer and the sections
ALIGNMENT = 64
CHUNK = 2**20


@dataclass(frozen=True)
class StoredIndex:
    """An index that lies in a file.

    Attributes:
        data_bytes: the items as pickles, uint8, as mmengine's serialised data list has them.
        data_address: where each ends, int64 (items,).
        vocabulary: of the source.
        state: further attributes that the source had set, name -> value.
        reports: what reading the index had to warn of.
    """

    data_bytes: np.ndarray
    data_address: np.ndarray
    vocabulary: Vocabulary
    state: dict[str, Any]
    reports: list[str]


class IndexFaultError(Exception):
    """An index file that cannot be used, and why."""


def cache_folder() -> Path | None:
    """Where indexes are kept: ``LAVIDA_MM_CACHE``, else ``~/.cache/lavida_mm/index``; None where that is empty."""
    named = os.environ.get(FOLDER)
    if named is not None:
        return Path(named).expanduser() if named.strip() else None
    try:
        return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache', 'lavida_mm', 'index')
    except RuntimeError:  # a user without a home, as in some containers
        return None


def describe_files(paths: Iterable[Path]) -> list[tuple[str, int, int]] | None:
    """Absolute path, size and time of change in nanoseconds of each; None where one is missing."""
    found = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            return None
        found.append((os.path.abspath(path), status.st_size, status.st_mtime_ns))
    return found


def digest(value: Any) -> str:
    """64 hexadecimal digits that depend on a config value: mappings by their keys, in whatever order they stand."""
    return hashlib.sha256(repr(_in_order(value)).encode('utf-8', 'backslashreplace')).hexdigest()


def _in_order(value: Any) -> Any:
    if isinstance(value, Mapping):
        return 'mapping', sorted(
            ((repr(key), _in_order(each)) for key, each in value.items()), key=lambda pair: pair[0]
        )
    if isinstance(value, list | tuple):
        return [_in_order(each) for each in value]
    return str(value) if isinstance(value, os.PathLike) else value


def write_index(
    path: Path,
    key: str,
    items: Iterable[Mapping[str, Any]],
    vocabulary: Vocabulary,
    state: Mapping[str, Any],
    reports: Iterable[str],
) -> bool:
    """Write an index for this user alone, whole or not at all.

    Args:
        path: where.
        key: what it depends on; ``open_index`` must be given the same.
        items: the data list.
        vocabulary: of the source.
        state: further attributes of the source.
        reports: what reading had to warn of.

    Returns:
        whether it was written; where not, a warning says why.
    """
    temporary = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix='.writing-', suffix=path.suffix, dir=path.parent)  # mode 0600
        with os.fdopen(handle, 'w+b') as file:
            _write(file, key, items, vocabulary, _dump_plain((dict(state), list(reports))))
        os.replace(temporary, path)
    except (OSError, DataError) as error:
        print_log(f'{path}: the index cannot be kept: {describe_error(error)}', logger='current', level=WARNING)
        return False
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
    return True


def _dump_plain(value: Any) -> bytes:
    """A pickle that can be read without running code.

    Raises:
        DataError: the value holds other than plain data.
    """
    data = pickle.dumps(value, protocol=4)
    parse_plain_pickle(data, 'an item of the index')
    return data


def _write(file: BinaryIO, key: str, items: Iterable[Any], vocabulary: Vocabulary, extras: bytes) -> None:
    file.write(bytes(PREFIX.size))
    sections: dict[str, tuple[str, int, int]] = {}  # name -> dtype, place, number of values
    checksum = 0

    def put(data: Any) -> None:
        nonlocal checksum
        checksum = zlib.crc32(data, checksum)
        file.write(data)

    def align() -> int:
        put(bytes(-file.tell() % ALIGNMENT))
        return file.tell()

    start, ends = align(), []
    for item in items:
        put(_dump_plain(item))
        ends.append(file.tell() - start)
    sections['data_bytes'] = ('uint8', start, ends[-1] if ends else 0)
    arrays: dict[str, np.ndarray] = {
        'data_address': np.array(ends, dtype=np.int64),
        'extras': np.frombuffer(extras, dtype=np.uint8),
        **{f'vocabulary.{name}': array for name, array in vocabulary.arrays.items()},
    }
    for name, array in arrays.items():
        sections[name] = (array.dtype.name, align(), len(array))
        put(np.ascontiguousarray(array).data)
    place = file.tell()
    trailer = json.dumps(dict(key=key, sections=sections)).encode()
    file.write(trailer)
    file.seek(0)
    file.write(PREFIX.pack(MAGIC, place, len(trailer), zlib.crc32(trailer), checksum))


def open_index(path: Path, key: str) -> StoredIndex | None:
    """Map an index into memory.

    Args:
        path: where it lies.
        key: what it must depend on.

    Returns:
        the index; None where there is none, where it depends on something else, and, with a warning, where it is not
        to be trusted.
    """
    try:
        with path.open('rb') as file:
            return _open(file, path, key)
    except FileNotFoundError:
        return None
    except (IndexFaultError, DataError, OSError) as error:
        print_log(
            f'{path}: the kept index is not used and will be made anew: {describe_error(error)}',
            logger='current',
            level=WARNING,
        )
        return None


def _open(file: BinaryIO, path: Path, key: str) -> StoredIndex | None:
    status = os.fstat(file.fileno())
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise IndexFaultError('it must belong to this user, and nobody else may write to it')
    prefix = file.read(PREFIX.size)
    if len(prefix) < PREFIX.size or not prefix.startswith(MAGIC):
        raise IndexFaultError('it is no index of lavida_mm')
    _, place, size, trailer_checksum, checksum = PREFIX.unpack(prefix)
    if place + size != status.st_size:
        raise IndexFaultError(f'it must have {place + size} bytes, it has {status.st_size}')
    file.seek(place)
    trailer = file.read(size)
    if zlib.crc32(trailer) != trailer_checksum:
        raise IndexFaultError('it is damaged')
    content = json.loads(trailer)
    if content['key'] != key:
        print_log(f'{path}: files of the source have changed; the index is made anew', logger='current', level=INFO)
        return None
    if _checksum(file, PREFIX.size, place) != checksum:  # read, not mapped: mapped pages count as memory in use
        raise IndexFaultError('it is damaged')
    return _map(file, path, content['sections'])


def _map(file: BinaryIO, path: Path, sections: Mapping[str, tuple[str, int, int]]) -> StoredIndex:
    whole = np.memmap(file, dtype=np.uint8, mode='r').view(np.ndarray)
    arrays = {}
    for name, (kind, start, number) in sections.items():
        dtype = np.dtype(kind)
        arrays[name] = whole[start : start + number * dtype.itemsize].view(dtype)
    words = {name.partition('.')[2]: array for name, array in arrays.items() if name.startswith('vocabulary.')}
    state, reports = parse_plain_pickle(arrays['extras'].tobytes(), path)
    return StoredIndex(arrays['data_bytes'], arrays['data_address'], Vocabulary.from_arrays(words), state, reports)


def _checksum(file: BinaryIO, start: int, end: int) -> int:
    file.seek(start)
    checksum, left = 0, end - start
    while left:
        chunk = file.read(min(CHUNK, left))
        if not chunk:
            raise IndexFaultError('it is cut off')
        checksum, left = zlib.crc32(chunk, checksum), left - len(chunk)
    return checksum
