"""Which checkpoint a killed run goes on from."""

import re
import zipfile
from pathlib import Path

__all__ = ['find_last_checkpoint', 'is_whole']

_NAME = re.compile(r'(iter|epoch)_(\d+)\.pth')


def find_last_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest whole checkpoint of a run, whatever moment the run was killed at.

    ``last_checkpoint`` is only a hint: it can be missing, empty, or one checkpoint behind. A higher step that
    was written before the hinted one belongs to an earlier run in the same folder and is left alone.

    Args:
        work_dir: folder of the run; it may be missing.

    Returns:
        the path, or None where no checkpoint is whole.
    """
    work_dir = Path(work_dir)
    if not work_dir.is_dir():
        return None
    found = [path for path in work_dir.iterdir() if _NAME.fullmatch(path.name) and is_whole(path)]
    if not found:
        return None
    hinted = _read_hint(work_dir)
    if hinted in found:
        later = [path for path in found if _is_later(path, hinted)]
        return max(later, key=_step, default=hinted)
    return max(found, key=lambda path: (_step(path), path.stat().st_mtime_ns))


def is_whole(path: str | Path) -> bool:
    """Whether a file is a complete torch checkpoint: a zip archive with its directory, which is written last."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith('/data.pkl') for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _read_hint(work_dir: Path) -> Path | None:
    try:
        text = (work_dir / 'last_checkpoint').read_text(encoding='utf-8').strip()
    except (OSError, UnicodeDecodeError):
        return None
    return work_dir / Path(text).name if text else None  # by name: the folder may have been moved


def _is_later(path: Path, than: Path) -> bool:
    same_kind = path.name.split('_')[0] == than.name.split('_')[0]
    return same_kind and _step(path) > _step(than) and path.stat().st_mtime_ns >= than.stat().st_mtime_ns


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match.group(2))
