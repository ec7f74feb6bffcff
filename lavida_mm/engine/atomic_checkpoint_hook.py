"""Checkpoints of which at least one is whole at any moment."""

from collections import deque
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook

from lavida_mm.registry import HOOKS

__all__ = ['AtomicCheckpointHook']


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook in another order: the new checkpoint is whole before an old one is deleted.

    mmengine deletes first, writes in place and then writes ``last_checkpoint`` in place; a process killed in between
    can leave no whole checkpoint at all. Takes the arguments of ``CheckpointHook``.
    """

    backend_args: dict | None
    keep_ckpt_ids: deque

    def before_train(self, runner: Any) -> None:
        """Choose atomic writing unless the config names another storage, and prepare as mmengine does."""
        if self.backend_args is None and self.file_client_args is None:
            self.backend_args = {'backend': 'atomic_local'}
        super().before_train(runner)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Drop the config's text: on ``resume`` mmengine would run it as a program, whoever wrote it."""
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict) -> None:
        outdated = self._remember(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if not is_main_process():
            return
        self.file_backend.put_text(self.last_ckpt, self.file_backend.join_path(runner.work_dir, 'last_checkpoint'))
        for old in outdated:
            path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old))
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
            elif self.file_backend.isdir(path):  # model-parallel strategies save folders
                self.file_backend.rmtree(path)

    def _remember(self, runner: Any, step: int) -> list[int]:
        """Add a step to those that are kept; returns the steps that are kept no longer."""
        if self.max_keep_ckpts <= 0 or (self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step):
            return []
        kept = [*self.keep_ckpt_ids, step]
        self.keep_ckpt_ids = deque(kept[-self.max_keep_ckpts :], self.max_keep_ckpts)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return kept[: -self.max_keep_ckpts]
