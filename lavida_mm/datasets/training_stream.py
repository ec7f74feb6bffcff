"""What a training would be fed, in its order, without a training."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from torch.utils.data import Dataset

from lavida_mm.registry import DATA_SAMPLERS, DATASETS
from lavida_mm.utils.errors import UsageError

__all__ = ['TrainingStream']


class TrainingStream:
    """The samples of a config's ``train_dataloader``, as its only process would get them.

    Args:
        config: the resolved config.
        seed: of the sampler.

    Raises:
        UsageError: the config has no ``train_dataloader`` with a dataset and a sampler.
    """

    def __init__(self, config: Mapping[str, Any], seed: int = 0):
        loader = config.get('train_dataloader') or {}
        for key in ('dataset', 'sampler'):
            if not loader.get(key):
                raise UsageError(f'train_dataloader.{key} must be set: there is nothing to train on')
        self.dataset: Dataset = DATASETS.build(loader['dataset'])
        self.sampler = DATA_SAMPLERS.build(loader['sampler'], default_args=dict(dataset=self.dataset, seed=seed))

    @property
    def configured_shares(self) -> dict[str, float]:
        """Name -> share of each source of a mixture, of sum 1; empty where the dataset is none."""
        names, shares = getattr(self.dataset, 'names', None), getattr(self.dataset, 'shares', None)
        if names is None or shares is None:
            return {}
        total = sum(shares)
        return {name: share / total for name, share in zip(names, shares, strict=True)}

    def draw(self, number: int) -> Iterator[dict]:
        """The first samples, each with ``inputs``, uint8 (T, 3, H, W) RGB, and ``data_samples``.

        Args:
            number: how many; fewer where the sampler ends before.
        """
        for index in islice(iter(self.sampler), number):
            yield self.dataset[index]
