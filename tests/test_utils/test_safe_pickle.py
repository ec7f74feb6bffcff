"""Plain pickles of Python 2 and 3 are read; whatever could run code is not."""

import collections
import os
import pickle

import pytest

from lavida_mm.utils.errors import DataError
from lavida_mm.utils.safe_pickle import load_plain_pickle

PLAIN = [{'ref_id': 7, 'box': (1.5, -2), 'big': 2**70, 'sent': 'red dog', 'none': None, 'yes': True, 'raw': b'\x00'}]


class RunsCommand:
    """Unpickled as usual, it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def write(tmp_path, data):
    (tmp_path / 'refs.p').write_bytes(data)
    return tmp_path / 'refs.p'


@pytest.mark.parametrize('protocol', [3, 4, 5])
def test_plain_data_of_python_3(tmp_path, protocol):
    assert load_plain_pickle(write(tmp_path, pickle.dumps(PLAIN, protocol))) == PLAIN


@pytest.mark.parametrize(
    ('data', 'expected'),
    [
        # what Python 2 writes for [{'ref_id': 7L, 'sent': u'caf\xe9', 'raw': 'caf\xc3\xa9', 'yes': True}], protocol 0
        (
            b"(lp0\n(dp1\nS'ref_id'\np2\nL7L\nsS'sent'\np3\nVcaf\\u00e9\np4\nsS'raw'\np5\nS'caf\\xc3\\xa9'\np6\n"
            b"sS'yes'\np7\nI01\nsa.",
            [{'ref_id': 7, 'sent': 'caf\u00e9', 'raw': 'caf\u00e9', 'yes': True}],
        ),
        (b'\x80\x02]q\x00U\x05caf\xc3\xa9q\x01a.', ['caf\u00e9']),  # ['caf\xc3\xa9'], UTF-8, protocol 2
        (b'\x80\x02]q\x00U\x04caf\xe9q\x01a.', ['caf\u00e9']),  # ['caf\xe9'], Latin-1, protocol 2
    ],
)
def test_plain_data_of_python_2(tmp_path, data, expected):
    assert load_plain_pickle(write(tmp_path, data)) == expected


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_code_is_refused_before_it_does(tmp_path, protocol):
    folder = tmp_path / 'made'
    data = pickle.dumps([{'ref_id': RunsCommand(folder)}], protocol)
    with pytest.raises(DataError, match=r'refs\.p: must hold plain data only, got a pickle that names \w+\.mkdir'):
        load_plain_pickle(write(tmp_path, data))
    assert not folder.exists()
    pickle.loads(data)
    assert folder.is_dir()  # the attack is a real one


@pytest.mark.parametrize(
    'content', [collections.OrderedDict(a=1), eval, RunsCommand, pytest], ids=['class', 'builtin', 'own', 'module']
)
def test_classes_and_functions_are_refused(tmp_path, content):
    try:
        data = pickle.dumps(content)
    except TypeError:
        data = b'cpytest\nraises\n.'  # modules have no pickle of their own
    with pytest.raises(DataError, match='must hold plain data only'):
        load_plain_pickle(write(tmp_path, data))


@pytest.mark.parametrize(
    'data',
    [
        pickle.dumps(PLAIN)[:-20],
        b'',
        b'{"ref_id": 7}',
        b'\x80\x02]q\x00K\x01R.',  # calls a list
        b'\x80\x02Pthere\n.',  # a persistent id
        b'\x80\x63.',  # protocol 99
        b'\x80\x02}q\x00]q\x01K\x01s.',  # a list as key
    ],
    ids=['truncated', 'empty', 'json', 'call', 'persistent', 'protocol', 'key'],
)
def test_files_that_are_no_whole_pickle(tmp_path, data):
    with pytest.raises(DataError, match=r'refs\.p: is no whole pickle: .'):
        load_plain_pickle(write(tmp_path, data))


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r'refs\.p: No such file'):
        load_plain_pickle(tmp_path / 'refs.p')
