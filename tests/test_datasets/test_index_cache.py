import copy
import os
import pickle
import re
import stat

import numpy as np
import pytest
from torch.utils.data import DataLoader

from lavida_mm.datasets import CocoInstancesSource, CocoVidSource, index_cache
from lavida_mm.datasets.index_cache import describe_files, digest, open_index, write_index
from lavida_mm.datasets.sources import base_source
from lavida_mm.datasets.sources.base_source import FaultLog
from lavida_mm.datasets.vocabulary import Vocabulary
from lavida_mm.utils.errors import DataError
from tests.test_datasets.number_source import NumberSource
from tests.test_datasets.worlds import write_clips, write_images


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv('LAVIDA_MM_CACHE', str(tmp_path / 'cache'))
    (tmp_path / 'numbers.txt').write_text('12')
    return tmp_path


def build(folder, **options):
    """A source of the file's numbers, and whether it was read anew."""
    before = NumberSource.reads
    source = NumberSource(**{'file': str(folder / 'numbers.txt'), 'cache_index': True, **options})
    return source, NumberSource.reads > before


def only(folder):
    (path,) = (folder / 'cache').iterdir()
    return path


def test_index_is_read_once_and_comes_back_the_same(folder):
    (first, read), (second, again), (plain, _) = build(folder), build(folder), build(folder, cache_index=False)
    assert (read, again) == (True, False)
    for source in (first, second):
        assert len(source) == 12 and source.half == 6 and source.vocabulary == plain.vocabulary
        for item in range(12):
            assert {**source.get_data_info(item), 'vocabulary': None} == {
                **plain.get_data_info(item), 'vocabulary': None
            }  # fmt: skip
        base = source.data_bytes
        while isinstance(base, np.ndarray):
            kind, base = type(base), base.base
        assert kind is np.memmap  # nothing of it is copied
    assert stat.S_IMODE(only(folder).stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / 'cache').stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ('options', 'read'),
    [
        ({}, False),
        (dict(pipeline=[lambda results: results]), False),
        (dict(name='other'), True),
        (dict(words=('ring', 'red star', 'cross')), True),
    ],
)
def test_key_holds_what_an_index_depends_on(folder, options, read):
    build(folder)
    assert build(folder, **options)[1] is read


def test_changed_files_versions_and_packages_are_read_anew(folder, monkeypatch):
    build(folder)
    os.utime(folder / 'numbers.txt', ns=(0, 10**18))
    assert build(folder)[1] and not build(folder)[1]
    (folder / 'numbers.txt').write_text('3')
    os.utime(folder / 'numbers.txt', ns=(0, 10**18))
    source, read = build(folder)
    assert read and len(source) == 3 and len(list((folder / 'cache').iterdir())) == 1
    monkeypatch.setattr(NumberSource, 'READER_VERSION', 2)
    assert build(folder)[1] and not build(folder)[1]
    monkeypatch.setattr(base_source.lavida_mm, '__version__', '99')
    assert build(folder)[1] and not build(folder)[1]


def test_small_sources_and_an_empty_folder_name_keep_nothing(folder, monkeypatch):
    assert build(folder, cache_index=None)[1] and not (folder / 'cache').exists()
    monkeypatch.setattr(base_source, 'CACHE_FROM', 2)
    monkeypatch.setenv('LAVIDA_MM_CACHE', '')
    assert build(folder, cache_index=None)[1] and not (folder / 'cache').exists()
    monkeypatch.setenv('LAVIDA_MM_CACHE', str(folder / 'cache'))
    assert build(folder, cache_index=None)[1] and not build(folder, cache_index=None)[1]
    assert build(folder, file=None)[1] and build(folder, file=None)[1]  # no file, nothing to depend on


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.delenv('LAVIDA_MM_CACHE', raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert index_cache.cache_folder() == tmp_path / 'lavida_mm' / 'index'
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    assert index_cache.cache_folder() == tmp_path / 'home' / '.cache' / 'lavida_mm' / 'index'


def flip(place):
    def change(path):
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)

    return change


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (lambda path: path.write_bytes(b''), 'it is no index of lavida_mm'),
        (lambda path: path.write_bytes(b'{"not": "an index, though long enough for one"}'), 'no index of lavida_mm'),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), r'it must have \d+ bytes, it has \d+'),
        (flip(-9), 'it is damaged'),
        (flip(70), 'it is damaged'),
        (flip(9), 'it must have'),
        (lambda path: path.chmod(0o620), 'must belong to this user, and nobody else may write to it'),
        (lambda path: path.chmod(0o602), 'must belong to this user, and nobody else may write to it'),
    ],
)
def test_damaged_and_foreign_files_are_made_anew_with_a_warning(folder, warned, damage, reason):
    build(folder)
    damage(only(folder))
    source, read = build(folder)
    assert read and len(source) == 12 and not build(folder)[1]
    (message,) = warned()
    assert 'the kept index is not used and will be made anew' in message
    assert re.search(reason, message)


def test_files_of_another_user_are_refused(folder, warned, monkeypatch):
    build(folder)
    monkeypatch.setattr(index_cache.os, 'getuid', lambda: 12345)
    assert build(folder)[1]
    assert 'must belong to this user' in warned()[0]


def test_folder_that_cannot_be_written_costs_only_the_warning(folder, warned, monkeypatch):
    (folder / 'file').touch()
    monkeypatch.setenv('LAVIDA_MM_CACHE', str(folder / 'file' / 'cache'))
    source, read = build(folder)
    assert read and len(source) == 12 and source[3]['number'] == 3
    assert any('the index cannot be kept' in message for message in warned())


def test_error_while_writing_leaves_nothing(tmp_path):
    class Odd:
        def __reduce__(self):
            raise RuntimeError('cannot be pickled')

    with pytest.raises(RuntimeError, match='cannot be pickled'):
        write_index(tmp_path / 'x.index', 'key', [dict(odd=Odd())], Vocabulary(), {}, [])
    assert not list(tmp_path.iterdir())


def test_warnings_of_the_reading_are_said_again(folder, warned, monkeypatch):
    def load_data_list(self):
        faults = FaultLog(self.file, 'skip')
        faults.add('annotation 3: no mask')
        faults.report()
        self.set_vocabulary(['ring'])
        return [dict(number=0)]

    monkeypatch.setattr(NumberSource, 'load_data_list', load_data_list)
    build(folder)
    build(folder)
    first, second = warned()
    assert '1 bad annotations left out; the first: annotation 3: no mask' in first
    assert second == f'{first} (when the index was made)'


def test_nothing_is_kept_of_a_source_that_cannot_be_read(folder):
    (folder / 'numbers.txt').write_text('0')
    with pytest.raises(DataError, match='holds no sample'):
        build(folder)
    assert not (folder / 'cache').exists()


def test_copies_and_spawned_workers_map_the_file_too(folder):
    source, _ = build(folder)
    assert len(pickle.dumps(source)) < 2000 + len(pickle.dumps(source.pipeline))
    for twin in (pickle.loads(pickle.dumps(source)), copy.deepcopy(source)):
        assert twin.vocabulary == source.vocabulary and [twin[item]['number'] for item in range(12)] == list(range(12))
    state = pickle.dumps(source)
    only(folder).unlink()
    with pytest.raises(DataError, match=r"index of source 'numbers' has gone or changed"):
        pickle.loads(state)
    plain, _ = build(folder, cache_index=False)
    assert pickle.loads(pickle.dumps(plain))[4]['number'] == 4
    loader = DataLoader(source, batch_size=None, num_workers=1)
    assert [int(item['number']) for item in loader] == list(range(12))  # a mapped file outlives its name


def test_digest_takes_mappings_by_their_keys():
    assert digest(dict(a=[1, (2, 'x')], b={1: None})) == digest(dict(b={1: None}, a=(1, [2, 'x'])))
    different = [dict(a=1), dict(a='1'), dict(b=1), [('a', 1)], dict(a=1.0), dict(a=[1]), dict(a=None)]
    assert len({digest(value) for value in different}) == len(different)


def test_missing_files_and_indexes(tmp_path):
    assert describe_files([tmp_path, tmp_path / 'missing']) is None
    assert open_index(tmp_path / 'missing', 'key') is None


@pytest.mark.parametrize('phrases', [False, True])
def test_coco_files_come_back_as_they_were_read(tmp_path, monkeypatch, phrases):
    write_images(tmp_path / 'a')
    write_clips(tmp_path / 'b')
    clips = dict(words='phrase', expressions='meta_expressions.json') if phrases else {}

    def read():
        return (
            CocoInstancesSource(data_root=str(tmp_path / 'a'), ann_file='instances.json', extra_words=['dog']),
            CocoVidSource(data_root=str(tmp_path / 'b'), ann_file='clips.json', **clips),
        )

    plain = read()
    assert [len(source.index_files()) for source in plain] == [2, 2 + phrases]
    monkeypatch.setattr(base_source, 'CACHE_FROM', 1)
    monkeypatch.setenv('LAVIDA_MM_CACHE', str(tmp_path / 'cache'))
    read()
    monkeypatch.setattr(CocoInstancesSource, 'load_data_list', None)
    monkeypatch.setattr(CocoVidSource, 'load_data_list', None)
    for old, kept in zip(plain, read(), strict=True):
        assert [kept.get_data_info(item) for item in range(len(kept))] == [
            old.get_data_info(item) for item in range(len(old))
        ]


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def no_home():
        raise RuntimeError('Could not determine home directory.')

    for name in ('LAVIDA_MM_CACHE', 'XDG_CACHE_HOME'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr('pathlib.Path.home', no_home)
    assert index_cache.cache_folder() is None


def test_an_index_holds_plain_data_only_and_runs_nothing(tmp_path, monkeypatch):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'exploded'),)

    path = tmp_path / 'cache' / 'a.index'
    assert not write_index(path, 'key', [dict(a=Bomb())], Vocabulary(['a']), {}, [])
    assert not write_index(path, 'key', [dict(a=1)], Vocabulary(['a']), dict(state=Bomb()), [])
    assert not path.exists()
    monkeypatch.setattr(index_cache, '_dump_plain', lambda value: pickle.dumps(value, protocol=4))  # another's index
    assert write_index(path, 'key', [dict(a=1)], Vocabulary(['a']), dict(state=Bomb()), [])
    assert open_index(path, 'key') is None
    assert not (tmp_path / 'exploded').exists()
