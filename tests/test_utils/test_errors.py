import errno

import pytest
from torch.utils.data import DataLoader

from lavida_mm.utils.errors import DataError, UsageError, config_errors, describe_error, run_tool


def failing(error, cause=None):
    def main():
        raise error from cause

    return main


@pytest.mark.parametrize(
    ('error', 'code', 'line'),
    [
        (UsageError('window must be at least 1, got 0'), 2, 'window must be at least 1, got 0'),
        (ValueError('keep_ratio must be\n in (0, 1], got 2'), 2, 'keep_ratio must be in (0, 1], got 2'),
        (DataError('a.mp4: no frames'), 1, 'a.mp4: no frames'),
        (FileNotFoundError(errno.ENOENT, 'No such file or directory', 'a.mp4'), 1, 'a.mp4: No such file or directory'),
        (OSError(errno.ENOSPC, 'No space left on device'), 1, 'No space left on device'),
        (PermissionError(errno.EACCES, 'Permission denied', 'out'), 1, 'out: Permission denied'),
    ],
)
def test_one_line_and_exit_code(error, code, line, capsys):
    with pytest.raises(SystemExit) as left:
        run_tool(failing(error))
    assert left.value.code == code
    assert capsys.readouterr().err == f'error: {line}\n'


def test_error_of_ours_below_another_decides(capsys):
    with pytest.raises(SystemExit) as left:
        run_tool(failing(RuntimeError('a worker died'), DataError('b.json: field images must be a list')))
    assert left.value.code == 1
    assert capsys.readouterr().err == 'error: b.json: field images must be a list\n'


@pytest.mark.parametrize('error', [RuntimeError('ours'), TypeError('ours'), KeyError('ours')])
def test_faults_of_ours_keep_their_traceback(error):
    with pytest.raises(type(error), match='ours'):
        run_tool(failing(error))


def test_interrupted_from_the_keyboard(capsys):
    with pytest.raises(SystemExit) as left:
        run_tool(failing(KeyboardInterrupt()))
    assert left.value.code == 130
    assert capsys.readouterr().err == 'interrupted\n'


def test_traceback_on_request(monkeypatch):
    monkeypatch.setenv('LAVIDA_MM_TRACEBACK', '1')
    with pytest.raises(DataError):
        run_tool(failing(DataError('a.mp4: no frames')))


def test_success_and_broken_pipe(capsys):
    run_tool(lambda: None)
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize('error', [TypeError('unexpected keyword x'), KeyError('Nope is not in the registry')])
def test_config_errors_name_the_config(error):
    with pytest.raises(UsageError, match=rf'^a\.py: {error.args[0]}$'), config_errors('a.py'):
        raise error


@pytest.mark.parametrize('error', [DataError('b.json: broken'), FileNotFoundError('b.json')])
def test_config_errors_let_file_errors_pass(error):
    with pytest.raises(type(error), match=r'b\.json'), config_errors('a.py'):
        raise error


def test_config_errors_let_other_faults_pass():
    with pytest.raises(RuntimeError, match='ours'), config_errors('a.py'):
        raise RuntimeError('ours')


class BrokenItems:
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise DataError('c.mp4: frame 3 cannot be decoded')


def test_error_of_a_worker_is_one_line_and_keeps_its_kind():
    with pytest.raises(DataError) as caught:
        next(iter(DataLoader(BrokenItems(), num_workers=1, multiprocessing_context='fork')))
    assert describe_error(caught.value) == 'c.mp4: frame 3 cannot be decoded'


def test_error_without_a_message_is_named():
    assert describe_error(ValueError()) == 'ValueError'
    assert describe_error(KeyError('model')) == 'model'
