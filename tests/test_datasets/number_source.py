"""A source in memory whose samples show what was drawn for them."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from lavida_mm.datasets.sources import PseudoAnomalySource
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError

__all__ = ['BrokenAt', 'NumberSource', 'show_draws']


@DATASETS.register_module()
class NumberSource(PseudoAnomalySource):
    """Numbers 0, 1, ...; ``file`` says how many, where it is given."""

    reads = 0  # of all sources, so that tests see whether one was read

    def __init__(
        self,
        *,
        size: int = 10,
        file: str | None = None,
        words: Sequence[str] = ('red star', 'ring', 'cross'),
        name: str = 'numbers',
        pipeline: Sequence[dict | Callable] = (),
        cache_index: bool | None = None,
    ):
        self.size, self.file, self.words = size, file, list(words)
        super().__init__(
            name=name,
            data_root='',
            pipeline=pipeline,
            extra_words=(),
            bad_annotations='skip',
            lazy_init=False,
            cache_index=cache_index,
        )

    def index_files(self) -> list[Path]:
        return [] if self.file is None else [Path(self.file)]

    def load_data_list(self) -> list[dict]:
        NumberSource.reads += 1
        self.set_vocabulary(self.words)
        size = self.size if self.file is None else int(Path(self.file).read_text().split()[0])
        self.half = size // 2
        return [dict(number=number, object_words=[['ring']]) for number in range(size)]


def show_draws(results: dict) -> tuple:
    """What the sample is, and a draw from each generator."""
    return results['source'], results['number'], random.random(), np.random.random(), float(torch.rand(()))


class BrokenAt:
    """Fails for some numbers.

    Args:
        numbers: these.
        error: what to raise.
    """

    def __init__(self, numbers: Sequence[int], error: type[Exception] = DataError):
        self.numbers, self.error = set(numbers), error

    def __call__(self, results: dict) -> dict:
        if results['number'] in self.numbers:
            np.random.random(results['number'])  # a pipeline may have drawn something before it fails
            raise self.error(f'number {results["number"]} is broken')
        return results
