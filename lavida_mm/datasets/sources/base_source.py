"""What all sources of pseudo-anomalies share: a name, a vocabulary, a pipeline and one way to treat bad annotations."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from logging import INFO, WARNING
from pathlib import Path
from typing import Any, ClassVar

import cv2
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

import lavida_mm
from lavida_mm.datasets.index_cache import (
    StoredIndex,
    cache_folder,
    describe_files,
    digest,
    open_index,
    write_index,
)
from lavida_mm.datasets.vocabulary import Vocabulary
from lavida_mm.registry import TRANSFORMS
from lavida_mm.utils.errors import DataError, describe_error
from lavida_mm.utils.safe_pickle import parse_plain_pickle
from lavida_mm.utils.words import check_words

__all__ = ['FaultLog', 'PseudoAnomalySource', 'build_pipeline']

CACHE_FROM = 8 * 2**20  # bytes of index files from which a parsed index is kept on disk
NOT_IN_KEY = ('pipeline', 'lazy_init', 'cache_index')  # arguments on which no index depends

_reports: ContextVar[list[str] | None] = ContextVar('reports', default=None)


def build_pipeline(pipeline: Sequence[dict | Callable]) -> list[Callable]:
    """Build transforms from our registry, whatever the default scope is, also those inside of other transforms."""
    with DefaultScope.overwrite_default_scope('lavida_mm'):
        return [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline]


@contextmanager
def collect_reports() -> Iterator[list[str]]:
    """What fault logs report inside of the block."""
    found: list[str] = []
    token = _reports.set(found)
    try:
        yield found
    finally:
        _reports.reset(token)


class FaultLog:
    """Refuses bad annotations, or counts them where the user asked to go on without them.

    Args:
        file: the annotation file, for the error.
        policy: ``'error'`` or ``'skip'``.
    """

    def __init__(self, file: Path, policy: str):
        self.file = file
        self.policy = policy
        self.faults: list[str] = []

    def add(self, fault: str) -> None:
        if self.policy == 'error':
            raise DataError(f'{self.file}: {fault}')
        self.faults.append(fault)

    def report(self) -> None:
        if not self.faults:
            return
        text = f'{self.file}: {len(self.faults)} bad annotations left out; the first: {self.faults[0]}'
        print_log(text, logger='current', level=WARNING)
        collected = _reports.get()
        if collected is not None:
            collected.append(text)


class PseudoAnomalySource(BaseDataset):
    """Base of the sources: frames and objects, with a mask per frame and words, and a vocabulary.

    A subclass returns the items in ``load_data_list`` and calls ``set_vocabulary`` there; attributes that it sets
    there beside are assigned, not changed in place. Every item then carries ``source`` and ``vocabulary`` for
    ``PseudoAnomalySampler``.

    What ``load_data_list`` found is kept on disk where ``index_files`` are large, and read from there as long as class,
    arguments and the sizes and times of these files are the same; ``LAVIDA_MM_CACHE`` names the folder, and switches
    this off where it is empty.

    Args:
        name: what samples of this source are called, in errors and in ``VADDataSample.source``.
        data_root: folder that the other paths are relative to.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond those of the objects: distractors for a source of few words.
        bad_annotations: ``'error'`` stops at the first, ``'skip'`` leaves them out, counts and reports them.
        lazy_init: leave the reading of the annotations for ``full_init``.
        cache_index: keep the parsed index on disk; None does where the index files have 8 MB or more together.

    Raises:
        DataError: when an item is loaded: a file of it cannot be read.
    """

    READER_VERSION: ClassVar[int] = 1  # raise it in a class whose load_data_list gives something else than before
    PUBLISHED: ClassVar[Mapping[str, Mapping[str, int]]] = {}  # split -> totals, under the names of ``counts``

    _given: dict[str, Any]
    _fully_initialized: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> 'PseudoAnomalySource':
        source = super().__new__(cls)
        source._given = kwargs  # an index depends on them
        return source

    def __init__(
        self,
        *,
        name: str,
        data_root: str,
        pipeline: Sequence[dict | Callable],
        extra_words: Sequence[str],
        bad_annotations: str,
        lazy_init: bool,
        cache_index: bool | None = None,
    ):
        if bad_annotations not in ('error', 'skip'):
            raise ValueError(f"bad_annotations must be 'error' or 'skip', got {bad_annotations!r}")
        self.name = name
        self.root = Path(data_root)
        self.extra_words = check_words(extra_words, 'extra_words') if len(extra_words) else []
        self.bad_annotations = bad_annotations
        self.cache_index = cache_index
        self.vocabulary = Vocabulary()
        self._stored: tuple[Path, str] | None = None
        super().__init__(data_prefix={}, pipeline=build_pipeline(pipeline), lazy_init=lazy_init)

    def index_files(self) -> list[Path]:
        """The files and folders that ``load_data_list`` reads, in the order in which a user should look at them.

        Nothing is kept on disk of a source that names none.
        """
        return []

    def counts(self) -> dict[str, int]:
        """What the source holds, by names such as videos, objects, phrases."""
        return dict(samples=len(self))

    def set_vocabulary(self, words: Iterable[str]) -> None:
        """Words of the objects; ``extra_words`` follow."""
        self.vocabulary = Vocabulary([*words, *self.extra_words])

    def filter_data(self) -> list[dict]:
        """Keeps all items, of which there must be one at least."""
        if not self.data_list:
            raise DataError(f'{self.root}: source {self.name!r} holds no sample')
        return self.data_list

    def full_init(self) -> None:
        """Read the annotations, or what is kept of them."""
        if self._fully_initialized:
            return
        place = self._find_place()
        if place is None:
            super().full_init()
            return
        stored = open_index(*place)
        if stored is not None:
            print_log(f'source {self.name!r}: index from {place[0]}', logger='current', level=INFO)
            for report in stored.reports:
                print_log(f'{report} (when the index was made)', logger='current', level=WARNING)
        elif self._store(*place):
            stored = open_index(*place)
        if stored is None:
            self.data_bytes, self.data_address = self._serialize_data()
        else:
            self._adopt(stored)
            self._stored = place
        self._fully_initialized = True

    def _find_place(self) -> tuple[Path, str] | None:
        """Where the index is kept and its key; None where it is not."""
        folder = cache_folder()
        if folder is None or self.cache_index is False:
            return None
        files = describe_files(self.index_files())
        if not files or (self.cache_index is None and sum(size for _, size, _ in files) < CACHE_FROM):
            return None
        given = {name: value for name, value in self._given.items() if name not in NOT_IN_KEY}
        kind = f'{type(self).__module__}.{type(self).__qualname__}'
        source = (kind, given, [path for path, _, _ in files])
        key = digest((source, self.READER_VERSION, lavida_mm.__version__, files))
        return folder / f'{type(self).__name__}-{digest(source)[:24]}.index', key

    def _store(self, path: Path, key: str) -> bool:
        before = dict(vars(self))
        with collect_reports() as reports:
            self.data_list = self.load_data_list()
            self.data_list = self.filter_data()
        state = {
            name: value
            for name, value in vars(self).items()
            if name not in ('data_list', 'vocabulary') and (name not in before or before[name] is not value)
        }
        return write_index(path, key, self.data_list, self.vocabulary, state, reports)

    def _adopt(self, stored: StoredIndex) -> None:
        self.data_list = []
        self.data_bytes, self.data_address = stored.data_bytes, stored.data_address
        self.vocabulary = stored.vocabulary
        self.__dict__.update(stored.state)

    def __getstate__(self) -> dict[str, Any]:
        """What is mapped stays in its file: a spawned worker maps it too."""
        mapped = ('data_bytes', 'data_address', 'vocabulary') if self._stored else ()
        return {name: value for name, value in vars(self).items() if name not in mapped}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._stored:
            stored = open_index(*self._stored)
            if stored is None:
                raise DataError(f'{self._stored[0]}: index of source {self.name!r} has gone or changed')
            self._adopt(stored)

    def get_data_info(self, idx: int) -> dict:
        """One item as the pipeline gets it."""
        info = super().get_data_info(idx) if self._stored is None else self._read_item(self._stored[0], idx)
        info['source'] = self.name
        info['vocabulary'] = self.vocabulary
        return info

    def _read_item(self, path: Path, idx: int) -> dict:
        """One item of the index on disk, as mmengine gives it, but without running what a pickle may hold."""
        place = range(len(self))[idx]
        start = int(self.data_address[place - 1]) if place else 0
        data = self.data_bytes[start : int(self.data_address[place])].tobytes()
        return {**parse_plain_pickle(data, path), 'sample_idx': place}

    def prepare_data(self, idx: int) -> Any:
        """One item through the pipeline; what readers of others raise for a bad file becomes a DataError."""
        try:
            return super().prepare_data(idx)
        except (OSError, cv2.error) as error:
            raise DataError(f'{self._describe(idx)}: {describe_error(error)}') from error
        except AssertionError as error:
            if not str(error).startswith('failed to load image'):  # mmcv's, for an image that does not decode
                raise
            raise DataError(f'{self._describe(idx)}: {error}') from error

    def _describe(self, idx: int) -> str:
        file = self.get_data_info(idx).get('img_path')
        return f'source {self.name!r}, item {idx}' + (f', {file}' if file else '')
