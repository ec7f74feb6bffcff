"""Says what is trained, and what was to be trained and is not."""

from logging import WARNING
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from torch import Tensor

from lavida_mm.registry import HOOKS
from lavida_mm.utils.errors import UsageError

__all__ = ['TrainableParametersHook']

ACTIONS = ('warn', 'raise')


@HOOKS.register_module()
class TrainableParametersHook(Hook):
    """Logs a table of the parameters of each part, and after some iterations those that never got a gradient.

    A parameter that is trained by name but not reached by any loss stays as it was initialised, without a word from
    torch; with ``find_unused_parameters`` not even distributed training complains. A gradient of zeros counts as one.

    Gradients are noted as they come, in each backward pass of each process, so it does not matter when they are cleared
    or whether several iterations make one step.

    Args:
        iterations: how many iterations to watch, or all where training has fewer; 0 switches the check off.
        action: ``'warn'`` logs the names, ``'raise'`` ends training with them.
        table: whether to log the table.

    Raises:
        ValueError: an argument breaks its rule.
        UsageError: while training: parameters got no gradient, and ``action`` is ``'raise'``.
    """

    def __init__(self, *, iterations: int = 10, action: str = 'warn', table: bool = True) -> None:
        if not isinstance(iterations, int) or isinstance(iterations, bool) or iterations < 0:
            raise ValueError(f'iterations must be a whole number of at least 0, got {iterations!r}')
        if action not in ACTIONS:
            raise ValueError(f'action must be one of {ACTIONS}, got {action!r}')
        self.iterations = iterations
        self.action = action
        self.table = table
        self._waiting: dict[str, Any] = {}  # handles of the parameters that are watched
        self._reached: set[str] = set()
        self._seen = 0

    def before_train(self, runner: Any) -> None:
        """Log the table and begin to watch."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if self.table:
            from lavida_mm.models.parameter_table import collect_parts, count, format_parts

            parts = {name: count(parameters) for name, parameters in collect_parts(model).items()}
            print_log(f'parameters\n{format_parts(parts, count(model.parameters()))}', logger='current')
        self._release()
        self._reached, self._seen = set(), 0
        if self.iterations:
            self._waiting = {
                name: parameter.register_post_accumulate_grad_hook(self._note(name))
                for name, parameter in model.named_parameters()
                if parameter.requires_grad
            }

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Tell, once enough iterations have passed."""
        if not self._waiting:
            return
        self._seen += 1
        if self._seen == self.iterations:
            self._tell()

    def after_train(self, runner: Any) -> None:
        """Tell, where training was shorter."""
        if self._waiting and self._seen:
            self._tell()
        self._release()

    def _note(self, name: str) -> Any:
        def note(parameter: Tensor) -> None:
            self._reached.add(name)

        return note

    def _release(self) -> None:
        for handle in self._waiting.values():
            handle.remove()
        self._waiting = {}

    def _tell(self) -> None:
        names = list(self._waiting)
        self._release()
        reached = torch.tensor([name in self._reached for name in names], dtype=torch.int64)
        all_reduce(reached)  # what one process reaches, all train
        untrained = [name for name, number in zip(names, reached.tolist(), strict=True) if not number]
        if not untrained:
            return
        text = (
            f'{len(untrained)} of {len(names)} trainable parameters got no gradient in the first {self._seen} '
            'iterations: no loss reaches them, and they stay as they are. Freeze them, or find what should train them: '
            f'{", ".join(untrained)}'
        )
        if self.action == 'raise':
            raise UsageError(text)
        print_log(text, logger='current', level=WARNING)
