"""What every reader of a benchmark offers: its videos, what it found on disk, and what is wrong there."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError

__all__ = ['BaseBenchmark', 'BenchmarkTotals', 'Finding']

DOCTOR = 'python tools/dataset_tools/check_benchmark.py'


@dataclass(frozen=True)
class BenchmarkTotals:
    """Published counts of a test set; None where no figure is published.

    Attributes:
        videos: number of videos.
        frames: number of frames.
        anomalous_frames: number of anomalous frames, under the reader's default options.
    """

    videos: int | None = None
    frames: int | None = None
    anomalous_frames: int | None = None


@dataclass(frozen=True)
class Finding:
    """Something that a reader met on disk.

    Attributes:
        level: ``'error'``, figures from this would be wrong or missing; ``'warning'``, handled, and worth knowing.
        code: kind of the finding, in kebab-case.
        where: file, or file and line.
        message: field, value and rule.
    """

    level: str
    code: str
    where: str
    message: str

    def __str__(self) -> str:
        return f'{self.where}: {self.message}'


class BaseBenchmark(ABC):
    """A folder that holds one benchmark, or its annotation alone.

    Args:
        root: the folder.
        strict: raise at the first error; else collect all in ``findings``, as the doctor does.

    Attributes:
        name: name of the benchmark for reports; that of the class is the one that commands take.
        frame_only: whether it has no masks, so that a pixel figure is an error.
        totals: its published counts.
        records: its videos, in the order of its list.
        layout: the variant that was found on disk, in words.
        findings: what was met.
        options: those of the reader's arguments that change the ground truth, name -> value; a protocol fixes them.

    Raises:
        DataError: with ``strict``, an error was found.
    """

    name: str
    frame_only: ClassVar[bool] = False
    totals: ClassVar[BenchmarkTotals] = BenchmarkTotals()

    def __init__(self, *, root: str | Path, strict: bool = True, options: dict[str, Any] | None = None):
        self.root = Path(root)
        self.strict = strict
        self.options = dict(options or {})
        self.layout = ''
        self.findings: list[Finding] = []
        self.records: list[VideoRecord] = []
        if not self.root.is_dir():
            raise DataError(f'{self.root}: root of benchmark {self.name} must be an existing folder')
        self.records = list(self._read())
        if not self.records and not self.errors:
            self.error('empty-benchmark', self.root, f'holds no video and no annotation of benchmark {self.name}')
        if strict and self.errors:
            raise DataError(self._summarise())

    @abstractmethod
    def _read(self) -> Sequence[VideoRecord]:
        """Look at the folder: set ``layout``, note findings, return the records that could be made."""

    @property
    def errors(self) -> list[Finding]:
        """Findings of level error."""
        return [finding for finding in self.findings if finding.level == 'error']

    def error(self, code: str, where: str | Path, message: str) -> None:
        """Note what makes figures wrong or impossible."""
        self.findings.append(Finding('error', code, str(where), message))

    def warn(self, code: str, where: str | Path, message: str) -> None:
        """Note what was handled and is worth knowing."""
        self.findings.append(Finding('warning', code, str(where), message))

    def _summarise(self) -> str:
        rest = len(self.errors) - 1
        more = f' (and {rest} more; {DOCTOR} {type(self).name} {self.root} lists all)' if rest else ''
        return f'{self.errors[0]}{more}'
