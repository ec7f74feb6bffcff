"""Goes on with the data where a training was cut off, without loading again what it has seen."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log

from lavida_mm.registry import HOOKS

__all__ = ['SkipTrainedDataHook']


class Resumed(Iterator):
    """Batches of a data loader, after placeholders for those that were left out.

    Args:
        dataloader: its sampler leaves the samples out.
        skipped: number of placeholders, for a loop that asks for every batch again.
    """

    def __init__(self, dataloader: Any, skipped: int):
        self._batches = iter(dataloader)
        self._left = skipped

    def __next__(self) -> Any:
        if self._left:
            self._left -= 1
            return None
        return next(self._batches)


@HOOKS.register_module()
class SkipTrainedDataHook(Hook):
    """Makes a resumed training by iterations begin at once, at the sample where it was cut off.

    mmengine's ``IterBasedTrainLoop`` loads everything again that has been trained. Where the sampler knows how to
    leave its first draws out (``WeightedSourceSampler``), this hook has it do so; the loop then gets placeholders. With
    other samplers and loops all stays as it is.
    """

    def before_train(self, runner: Any) -> None:
        """Let the sampler begin at the current iteration."""
        loop, loader = runner.train_loop, runner.train_dataloader
        if not loop.iter or not hasattr(loop, 'dataloader_iterator'):
            return
        if not hasattr(loader.sampler, 'skip') or loader.batch_size is None:
            return
        if _follows_runner(runner.cfg):
            loader.sampler.seed = runner.seed  # that of the checkpoint, where the config names none
        loader.sampler.skip(loop.iter * loader.batch_size)
        loop.dataloader_iterator = Resumed(loader, loop.iter)
        print_log(f'the data go on after {loop.iter} batches; none of them is loaded again', logger='current')


def _follows_runner(config: Mapping[str, Any]) -> bool:
    """Whether the sampler has the runner's seed: no other in the config, and the same one in all processes."""
    sampler = (config.get('train_dataloader') or {}).get('sampler') or {}
    return sampler.get('seed') is None and not (config.get('randomness') or {}).get('diff_rank_seed')
