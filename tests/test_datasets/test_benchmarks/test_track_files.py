import numpy as np
import pytest

from lavida_mm.datasets.benchmarks.track_files import TrackFile, find_track_file
from lavida_mm.utils.errors import DataError


def read(tmp_path, text):
    path = tmp_path / '01.txt'
    path.write_bytes(text.encode())
    return TrackFile(path).read()


def test_lines(tmp_path):
    rows = read(tmp_path, '1,0,2,3,4,5\r\n\r\n1,1.0000e+00,2,3,4,5\r\n 2 , 1, 0,0,0,0')
    assert rows.dtype == np.float64
    assert rows.tolist() == [[1, 0, 2, 3, 4, 5], [1, 1, 2, 3, 4, 5], [2, 1, 0, 0, 0, 0]]


def test_an_empty_file_is_a_normal_video(tmp_path):
    assert read(tmp_path, '').shape == (0, 6)


@pytest.mark.parametrize(
    ('line', 'rule'),
    [
        ('1,0,2,3,4', r"01\.txt:2: must be track_id,frame,x1,y1,x2,y2 in whole numbers of at least 0, got '1,0,2,3,4'"),
        ('1,0,2,3,4,5,6', 'got .1,0,2,3,4,5,6'),
        ('1,0,2,3,4,x', 'must be track_id'),
        ('1,0,2.5,3,4,5', 'in whole numbers'),
        ('1,-1,2,3,4,5', 'of at least 0'),
        ('1,nan,2,3,4,5', 'whole numbers'),
        ('1,inf,2,3,4,5', 'whole numbers'),
        ('1,0,5,3,4,5', r"01\.txt:2: x1 must be at most x2 and y1 at most y2, got '1,0,5,3,4,5'"),
        (
            '9,9,1,1,1,1',
            r'01\.txt:2: a track must have one box per frame, track 9 has one of frame 9 in line 1 already',
        ),
    ],
)
def test_bad_lines(tmp_path, line, rule):
    with pytest.raises(DataError, match=rule):
        read(tmp_path, f'9,9,1,1,1,1\n{line}\n')


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(DataError, match=r'07\.txt: No such file; tracks must have one for each video'):
        find_track_file(tmp_path, '07')
    with pytest.raises(DataError, match=r'07\.txt: No such file'):
        TrackFile(tmp_path / '07.txt').read()
    (tmp_path / '07.txt').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(DataError, match=r'07\.txt: .*utf-8'):
        find_track_file(tmp_path, '07').read()
