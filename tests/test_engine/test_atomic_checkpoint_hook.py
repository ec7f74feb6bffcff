from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub

from lavida_mm.engine import AtomicCheckpointHook
from lavida_mm.registry import HOOKS
from tests.test_engine.toy import CONFIGS


class FakeRunner(SimpleNamespace):
    """As much of a runner as a checkpoint hook touches; notes what lies in the folder when a checkpoint is saved."""

    def save_checkpoint(self, out_dir, filename, *args, backend_args=None, **kwargs):
        if self.fails:
            raise OSError(28, 'No space left on device')
        (self.folder / filename).write_text('weights')
        self.seen.append((sorted(path.name for path in self.folder.glob('*.pth')), backend_args))


@pytest.fixture
def runner(tmp_path):
    hub = MessageHub.get_instance(f'hook_{tmp_path.name}')
    logger = SimpleNamespace(info=lambda message: None)
    return FakeRunner(work_dir=str(tmp_path), folder=tmp_path, message_hub=hub, logger=logger, seen=[], fails=False)


def make_hook(runner, **options):
    hook = HOOKS.build({'type': 'AtomicCheckpointHook', 'by_epoch': False, 'interval': 1, **options})
    assert isinstance(hook, AtomicCheckpointHook)
    hook.before_train(runner)
    return hook


def save(hook, runner, *steps):
    for step in steps:
        hook._save_checkpoint_with_step(runner, step, {})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_old_checkpoint_goes_after_the_new_one_is_there(runner, tmp_path):
    hook = make_hook(runner, max_keep_ckpts=1)
    save(hook, runner, 1, 2, 2)
    folders = [seen[0] for seen in runner.seen]
    assert folders == [['iter_1.pth'], ['iter_1.pth', 'iter_2.pth'], ['iter_2.pth']]
    assert names(tmp_path) == ['iter_2.pth', 'last_checkpoint']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_2.pth')
    assert runner.message_hub.get_info('keep_ckpt_ids') == [2]


def test_failed_save_keeps_the_old_checkpoint(runner, tmp_path):
    hook = make_hook(runner, max_keep_ckpts=1)
    save(hook, runner, 1)
    runner.fails = True
    with pytest.raises(OSError, match='No space'):
        save(hook, runner, 2)
    assert names(tmp_path) == ['iter_1.pth', 'last_checkpoint']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_1.pth')


def test_all_are_kept_without_a_limit(runner, tmp_path):
    save(make_hook(runner), runner, 1, 2, 3)
    assert names(tmp_path) == ['iter_1.pth', 'iter_2.pth', 'iter_3.pth', 'last_checkpoint']


def test_checkpoint_folders_are_removed_too(runner, tmp_path):
    hook = make_hook(runner, max_keep_ckpts=1)
    save(hook, runner, 1)
    (tmp_path / 'iter_1.pth').unlink()
    (tmp_path / 'iter_1.pth' / 'shard').mkdir(parents=True)
    save(hook, runner, 2)
    assert names(tmp_path) == ['iter_2.pth', 'last_checkpoint']


def test_atomic_storage_unless_another_is_named(runner):
    save(make_hook(runner), runner, 1)
    save(make_hook(runner, backend_args={'backend': 'local'}), runner, 2)
    assert [seen[1] for seen in runner.seen] == [{'backend': 'atomic_local'}, {'backend': 'local'}]


def test_runtime_of_the_project_uses_it():
    config = Config.fromfile(CONFIGS / '_base_' / 'default_runtime.py')
    assert config.default_hooks.checkpoint.type == 'AtomicCheckpointHook'
    assert config.default_hooks.checkpoint.backend_args == {'backend': 'atomic_local'}
