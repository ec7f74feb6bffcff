"""Boxes of the anomalies of one video, as files write them: what RBDC and TBDC are measured against."""

from pathlib import Path

import numpy as np

from lavida_mm.utils.errors import DataError

__all__ = ['TrackFile', 'find_track_file']

COLUMNS = ('track_id', 'frame', 'x1', 'y1', 'x2', 'y2')


class TrackFile:
    """A text file with lines ``track_id,frame,x1,y1,x2,y2``: frames from 0, whole pixels, both ends included.

    Numbers may be written as floats (``1.0000e+00``); blank lines are skipped.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self.path = path

    def read(self) -> np.ndarray:
        """All boxes, float64 (R, 6) with the columns of a line.

        Raises:
            DataError: the file is missing, or a line breaks a rule.
        """
        try:
            text = self.path.read_text(encoding='utf-8-sig')
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f'{self.path}: {getattr(error, "strerror", None) or error}') from error
        rows: list[list[float]] = []
        seen: dict[tuple[float, float], int] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            where = f'{self.path}:{number}'
            row = _read_line(line, where)
            before = seen.setdefault((row[0], row[1]), number)
            if before != number:
                raise DataError(
                    f'{where}: a track must have one box per frame, track {row[0]:g} has one of frame {row[1]:g} in '
                    f'line {before} already'
                )
            rows.append(row)
        return np.asarray(rows, dtype=np.float64).reshape(-1, len(COLUMNS))


def _read_line(line: str, where: str) -> list[float]:
    fields = line.split(',')
    try:
        row = [float(field) for field in fields]
    except ValueError:
        row = []
    if len(row) != len(COLUMNS) or not all(value.is_integer() and value >= 0 for value in row):
        raise DataError(
            f'{where}: must be {",".join(COLUMNS)} in whole numbers of at least 0, got {line.strip()!r:.80}'
        )
    if row[2] > row[4] or row[3] > row[5]:
        raise DataError(f'{where}: x1 must be at most x2 and y1 at most y2, got {line.strip()!r:.80}')
    return row


def find_track_file(folder: str | Path, video_id: str) -> TrackFile:
    """The file of a video in a folder that has one for each.

    Raises:
        DataError: it is missing.
    """
    path = Path(folder, f'{video_id}.txt')
    if not path.is_file():
        raise DataError(f'{path}: No such file; tracks must have one for each video, empty where nothing happens')
    return TrackFile(path)
