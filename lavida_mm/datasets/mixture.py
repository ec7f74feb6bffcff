"""A mixture of sources, each with its share of the samples."""

from collections import Counter
from collections.abc import Iterator, Mapping
from logging import WARNING
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.logging import print_log

from lavida_mm.datasets.draw import Draw, check_shares, derive_seed, seeded
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError, describe_error

__all__ = ['SourceMixture']

SERVED_AT_LEAST = 100  # a process judges the share of replaced samples from here on
ATTEMPTS = 10  # bad items in a row for one sample


@DATASETS.register_module()
class SourceMixture(ConcatDataset):
    """Sources by name, so that a config adds, changes or drops one without writing the others again.

    ``WeightedSourceSampler`` takes its shares from here. A source whose share is 0 is not built, so its files need
    not be there.

    An item is asked for by a ``Draw``, whose seed fixes all that its pipeline draws from the generators of Python,
    NumPy and torch; or by a plain index, and then is drawn from these as they stand.

    Args:
        sources: name -> config of the source; the name becomes the source's, where it has none of its own. A source
            may carry an ``anomaly_sampler`` of its own: without a type, its values are laid over the mixture's; with
            one, it takes its place.
        shares: name -> share of the samples; they sum to 1 (docs/method.md, section 1, lists the paper's).
        anomaly_sampler: transform that follows each source's own pipeline, ``PseudoAnomalySampler`` for example.
        pack: transform that comes last.
        on_error: ``'raise'`` ends with the first sample that cannot be loaded; ``'replace'`` takes another item of
            the same source in its place, logs that, and counts it in ``replaced``.
        max_replaced: largest share of samples that may be replaced, of those that a process has served; it is judged
            from the hundredth on.

    Attributes:
        names: of the sources that are used, sorted.
        shares: of these.
        replaced: name -> how many samples of the source were replaced in this process.

    Raises:
        ValueError: a source has no share, a share no source, they do not sum to 1, an argument is out of range, or a
            source's vocabulary is too small for its sampler.
        DataError: when an item is loaded: it is bad and ``on_error`` is ``'raise'``, or too many were bad.
    """

    def __init__(
        self,
        *,
        sources: Mapping[str, dict | BaseDataset],
        shares: Mapping[str, float],
        anomaly_sampler: Mapping[str, Any] | None = None,
        pack: Mapping[str, Any] | None = None,
        on_error: str = 'raise',
        max_replaced: float = 0.01,
    ):
        if set(sources) != set(shares):
            odd = sorted(set(sources) ^ set(shares))
            raise ValueError(f'shares must name each source and nothing else, got a difference in {odd}')
        check_shares(list(shares.values()), [1] * len(shares))
        if on_error not in ('raise', 'replace'):
            raise ValueError(f"on_error must be 'raise' or 'replace', got {on_error!r}")
        if not 0 <= max_replaced <= 1:
            raise ValueError(f'max_replaced must be in [0, 1], got {max_replaced}')
        self.names = sorted(name for name in sources if shares[name] > 0)  # the order of a dict must not matter
        self.shares = [float(shares[name]) for name in self.names]
        self.on_error = on_error
        self.max_replaced = max_replaced
        self.replaced: Counter[str] = Counter()
        self._served = 0
        super().__init__([build_source(name, sources[name], anomaly_sampler, pack) for name in self.names])
        for name, source in zip(self.names, self.datasets, strict=True):
            if hasattr(source, 'vocabulary'):
                for step in find_samplers(source.pipeline):
                    step.check_vocabulary(name, source.vocabulary)

    def __getitem__(self, draw: Draw | int) -> Any:
        self._served += 1
        for _ in range(ATTEMPTS):
            try:
                return self._load(draw)
            except DataError as error:
                if self.on_error == 'raise':
                    raise
                draw = self._replace(draw, error)
        item = draw.item if isinstance(draw, Draw) else draw
        name = self.names[self._get_ori_dataset_idx(item)[0]]
        raise DataError(f'source {name!r}: {ATTEMPTS} items in a row cannot be loaded; the warnings name them')

    def _load(self, draw: Draw | int) -> Any:
        if isinstance(draw, Draw):
            with seeded(draw.seed):
                return super().__getitem__(draw.item)
        return super().__getitem__(draw)

    def _replace(self, draw: Draw | int, error: DataError) -> Draw:
        """Count and report a bad item, and draw another of its source, by the seed of the bad one."""
        item, seed = draw if isinstance(draw, Draw) else (draw, np.random.randint(2**31))
        place, own = self._get_ori_dataset_idx(item)
        name, size = self.names[place], len(self.datasets[place])
        if size == 1:
            raise error
        self.replaced[name] += 1
        total = self.replaced.total()
        if self._served >= SERVED_AT_LEAST and total > self.max_replaced * self._served:
            raise DataError(
                f'{total} of {self._served} samples could not be loaded ({dict(self.replaced)}), at most a share of '
                f'max_replaced={self.max_replaced} may be replaced; the last: {describe_error(error)}'
            ) from error
        print_log(
            f'source {name!r}: item {own} is replaced by another ({self.replaced[name]} so far in this process): '
            f'{describe_error(error)}',
            logger='current',
            level=WARNING,
        )
        seed = derive_seed(seed, item)
        other = int(np.random.default_rng(seed).integers(size - 1))
        return Draw(item - own + other + (other >= own), seed)


def build_source(
    name: str,
    source: dict | BaseDataset,
    anomaly_sampler: Mapping[str, Any] | None,
    pack: Mapping[str, Any] | None,
) -> BaseDataset:
    """Build a source with the steps that follow its own pipeline.

    Args:
        name: of the source, where its config has none.
        source: its config, or a source that is built already, which stays as it is.
        anomaly_sampler: the mixture's.
        pack: the mixture's.

    Raises:
        ValueError: the source changes an ``anomaly_sampler`` that the mixture does not have.
    """
    if not isinstance(source, dict):
        return source
    config = {'name': name, **source}
    own = config.pop('anomaly_sampler', None)
    if own is not None and 'type' not in own and anomaly_sampler is None:
        raise ValueError(f'sources.{name}.anomaly_sampler must have a type, since the mixture has none, got {own}')
    steps = [own if own is not None and 'type' in own else {**(anomaly_sampler or {}), **(own or {})}, pack]
    config['pipeline'] = [*config.get('pipeline', ()), *(step for step in steps if step)]
    return DATASETS.build(config)


def find_samplers(step: Any) -> Iterator[Any]:
    """The transforms that have a rule for the vocabulary, also those inside of others such as mmcv's RandomChoice."""
    if hasattr(step, 'check_vocabulary'):
        yield step
    for inner in getattr(step, 'transforms', ()):
        yield from find_samplers(inner)
