import json
import os
import signal
import time
from multiprocessing import get_context

import pytest

from lavida_mm.utils.atomic import atomic_folder, atomic_path, is_temporary, remove_stale, write_json


def test_file_appears_whole_and_nothing_else_stays(tmp_path):
    path = tmp_path / 'new' / 'a.txt'
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == '.txt'
        assert not path.exists()
        temporary.write_text('whole')
    assert path.read_text() == 'whole'
    assert list(path.parent.iterdir()) == [path]


def test_failure_leaves_the_former_file(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('former')

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text('half')
            raise RuntimeError('the disk is on fire')

    with pytest.raises(RuntimeError, match='on fire'):
        write_half()
    assert path.read_text() == 'former'
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_json(tmp_path / 'a.json', {})
    finally:
        os.umask(before)
    assert (tmp_path / 'a.json').stat().st_mode & 0o777 == 0o640


def _write_slowly(path, started):
    with atomic_path(path) as temporary:
        temporary.write_text('half')
        started.set()
        time.sleep(60)


def test_killed_writer_leaves_the_former_file_and_one_that_is_cleared_away(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('former')
    context = get_context('fork')
    started = context.Event()
    writer = context.Process(target=_write_slowly, args=(path, started))
    writer.start()
    assert started.wait(20)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert path.read_text() == 'former'
    stale = [entry for entry in tmp_path.iterdir() if entry != path]
    assert len(stale) == 1
    assert is_temporary(stale[0])
    assert remove_stale(tmp_path) == stale
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / 'deep' / 'model'
    with atomic_folder(path) as temporary:
        (temporary / 'weights').write_text('first')
        assert not path.exists()
    with pytest.raises(TypeError), atomic_folder(path) as temporary:
        (temporary / 'weights').write_text(2)
    assert [entry.name for entry in path.parent.iterdir()] == ['model']
    assert (path / 'weights').read_text() == 'first'
    with atomic_folder(path) as temporary:
        (temporary / 'other').write_text('third')
    assert [entry.name for entry in path.iterdir()] == ['other']


def test_a_folder_that_a_killed_writer_left_is_cleared_away(tmp_path):
    (tmp_path / '.writing-abc' / 'model').mkdir(parents=True)
    assert remove_stale(tmp_path) == [tmp_path / '.writing-abc']
    assert list(tmp_path.iterdir()) == []


def test_only_temporary_files_are_cleared_away(tmp_path):
    kept = [tmp_path / name for name in ('iter_1.pth', '.hidden', 'writing-x')]
    for path in kept:
        path.touch()
    assert remove_stale(tmp_path) == []
    assert remove_stale(tmp_path / 'missing') == []
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_json_round_trip_and_refusal_of_nan(tmp_path):
    path = tmp_path / 'a.json'
    write_json(path, {'vad/frame_auc': 0.5, 'name': 'café'})
    assert json.loads(path.read_text(encoding='utf-8')) == {'vad/frame_auc': 0.5, 'name': 'café'}
    with pytest.raises(ValueError, match='not JSON compliant'):
        write_json(path, {'x': float('nan')})
    assert json.loads(path.read_text(encoding='utf-8'))['vad/frame_auc'] == 0.5


def test_no_folder_no_file(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='file'):
        write_json(tmp_path / 'file' / 'a.json', {})
