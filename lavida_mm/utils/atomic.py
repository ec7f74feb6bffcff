"""Files that are whole or absent: written beside their place, then moved into it."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ['atomic_folder', 'atomic_path', 'is_temporary', 'remove_stale', 'write_json']

TEMPORARY_PREFIX = '.writing-'
_TEMPORARY = re.compile(re.escape(TEMPORARY_PREFIX) + r'.')


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; on success it takes the place of ``path`` in one step.

    The temporary file keeps the suffix of ``path``, since many writers choose their format by it. When the block
    raises, the temporary file is removed and ``path`` stays as it was.

    Args:
        path: where the file shall be. Its folder is made if need be.

    Yields:
        the temporary path, of an empty file.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix='-' + path.name, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; on success it takes the place of ``path``, and of what was there.

    Args:
        path: where the folder shall be. Its parent is made if need be.

    Yields:
        the temporary folder, empty, with the name of ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=path.parent) as name:
        made = Path(name) / path.name
        made.mkdir()
        yield made
        umask = _umask()
        for part in [made, *made.rglob('*')]:
            part.chmod((0o777 if part.is_dir() else 0o666) & ~umask)
        if path.exists():
            os.replace(path, Path(name) / 'replaced')
        os.replace(made, path)


def write_json(path: str | os.PathLike, obj: Any) -> None:
    """Write ``obj`` as indented JSON, whole or not at all.

    Args:
        path: where the file shall be.
        obj: what ``json.dumps`` takes; NaN and infinity are refused, since JSON has no such figures.
    """
    text = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + '\n'
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def is_temporary(path: str | os.PathLike) -> bool:
    """Whether ``path`` is named like a file that ``atomic_path`` has not finished."""
    return _TEMPORARY.match(Path(path).name) is not None


def remove_stale(folder: str | os.PathLike) -> list[Path]:
    """Remove what killed writers left behind in ``folder``.

    Args:
        folder: a folder to which no other process writes now; it may be missing.

    Returns:
        the paths that were removed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return []
    stale = sorted(path for path in folder.iterdir() if is_temporary(path))
    for path in stale:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return stale


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
