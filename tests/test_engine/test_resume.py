import os

import pytest
import torch

from lavida_mm.engine import find_last_checkpoint
from lavida_mm.engine.resume import is_whole


def write(folder, *names, age=0):
    for name in names:
        torch.save({'state_dict': {}}, folder / name)
        moment = 1_700_000_000 - age
        os.utime(folder / name, (moment, moment))


def test_nothing_there(tmp_path):
    assert find_last_checkpoint(tmp_path) is None
    assert find_last_checkpoint(tmp_path / 'missing') is None


@pytest.mark.parametrize('hint', [None, '', '   ', '/elsewhere/iter_900.pth', '\0', 'folder'])
def test_highest_step_where_the_hint_says_nothing(tmp_path, hint):
    write(tmp_path, 'iter_9.pth', 'iter_10.pth', 'iter_2.pth')
    if hint == 'folder':
        (tmp_path / 'last_checkpoint').mkdir()
    elif hint is not None:
        (tmp_path / 'last_checkpoint').write_text(hint)
    assert find_last_checkpoint(tmp_path) == tmp_path / 'iter_10.pth'


def test_half_written_files_are_passed_over(tmp_path):
    write(tmp_path, 'iter_2.pth', 'iter_4.pth')
    whole = (tmp_path / 'iter_4.pth').read_bytes()
    (tmp_path / 'iter_6.pth').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'iter_8.pth').touch()
    (tmp_path / '.writing-x-iter_9.pth').write_bytes(whole)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_6.pth'))
    assert not is_whole(tmp_path / 'iter_6.pth')
    assert find_last_checkpoint(tmp_path) == tmp_path / 'iter_4.pth'


def test_killed_between_checkpoint_and_hint(tmp_path):
    write(tmp_path, 'iter_2.pth', age=10)
    write(tmp_path, 'iter_4.pth', age=5)
    (tmp_path / 'last_checkpoint').write_text('/moved/away/iter_2.pth')
    assert find_last_checkpoint(tmp_path) == tmp_path / 'iter_4.pth'


def test_checkpoints_of_an_earlier_longer_run_are_left_alone(tmp_path):
    write(tmp_path, 'iter_100.pth', age=1000)
    write(tmp_path, 'iter_20.pth', age=5)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_20.pth'))
    assert find_last_checkpoint(tmp_path) == tmp_path / 'iter_20.pth'


def test_other_files_are_no_checkpoints(tmp_path):
    write(tmp_path, 'best_vad_iter_50.pth', 'iter_x.pth', 'epoch_3.pth')
    assert find_last_checkpoint(tmp_path) == tmp_path / 'epoch_3.pth'
