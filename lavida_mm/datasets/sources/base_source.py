"""What all sources of pseudo-anomalies share: a name, a vocabulary, a pipeline and one way to treat bad annotations."""

from collections.abc import Callable, Iterable, Sequence
from logging import WARNING
from pathlib import Path

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from lavida_mm.datasets.words import unique_words
from lavida_mm.registry import TRANSFORMS
from lavida_mm.utils.errors import DataError

__all__ = ['FaultLog', 'PseudoAnomalySource', 'build_pipeline']


def build_pipeline(pipeline: Sequence[dict | Callable]) -> list[Callable]:
    """Build transforms from our registry, whatever the default scope is."""
    return [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline]


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
        if self.faults:
            print_log(
                f'{self.file}: {len(self.faults)} bad annotations left out; the first: {self.faults[0]}',
                logger='current',
                level=WARNING,
            )


class PseudoAnomalySource(BaseDataset):
    """Base of the sources: frames and objects, with a mask per frame and words, and a vocabulary.

    A subclass fills ``data_list`` and calls ``set_vocabulary`` in ``load_data_list``. Every item then carries
    ``source`` and ``vocabulary`` for ``PseudoAnomalySampler``.

    Args:
        name: what samples of this source are called, in errors and in ``VADDataSample.source``.
        data_root: folder that the other paths are relative to.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond those of the objects: distractors for a source of few words.
        bad_annotations: ``'error'`` stops at the first, ``'skip'`` leaves them out, counts and reports them.
        lazy_init: leave the reading of the annotations for ``full_init``.
    """

    def __init__(
        self,
        *,
        name: str,
        data_root: str,
        pipeline: Sequence[dict | Callable],
        extra_words: Sequence[str],
        bad_annotations: str,
        lazy_init: bool,
    ):
        if bad_annotations not in ('error', 'skip'):
            raise ValueError(f"bad_annotations must be 'error' or 'skip', got {bad_annotations!r}")
        self.name = name
        self.root = Path(data_root)
        self.extra_words = list(extra_words)
        self.bad_annotations = bad_annotations
        self.vocabulary: list[str] = []
        super().__init__(data_prefix={}, pipeline=build_pipeline(pipeline), lazy_init=lazy_init)

    def set_vocabulary(self, words: Iterable[str]) -> None:
        self.vocabulary = unique_words([*words, *self.extra_words])

    def filter_data(self) -> list[dict]:
        """Keeps all items, of which there must be one at least."""
        if not self.data_list:
            raise DataError(f'{self.root}: source {self.name!r} holds no sample')
        return self.data_list

    def get_data_info(self, idx: int) -> dict:
        """One item as the pipeline gets it."""
        info = super().get_data_info(idx)
        info['source'] = self.name
        info['vocabulary'] = self.vocabulary
        return info
