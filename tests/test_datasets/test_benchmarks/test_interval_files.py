import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavida_mm.datasets.benchmarks.folder import FolderBenchmark
from lavida_mm.datasets.benchmarks.interval_files import (
    add_intervals,
    check_interval_ends,
    parse_interval_line,
    parse_whole,
    read_text_lines,
)
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError, UsageError


def parse(text, with_label=True):
    return parse_interval_line(text, 'a.txt:1', with_label=with_label)


@pytest.mark.parametrize(
    'text',
    [
        'Arson011_x264  Arson  150  420  680  1267  ',
        'Arson011_x264.mp4  Arson  150  420  680  1267',
        'Arson011_x264.mp4\tArson\t150\t420\t680\t1267',
        'Arson011_x264.MP4 Arson 150 420 680 1267',
        'Arson/Arson011_x264.mp4 Arson 150 420 680 1267',
        'Arson\\Arson011_x264.mp4 Arson 150 420 680 1267',
    ],
)
def test_every_circulating_form_gives_the_same(text):
    line = parse(text)
    assert (line.video_id, line.label, line.spans) == ('Arson011_x264', 'Arson', ((150, 420), (680, 1267)))


def test_no_event():
    assert parse('Normal_Videos_003_x264  Normal  -1  -1  -1  -1').spans == ()
    assert parse('Abuse028_x264  Abuse  165  240  -1  -1').spans == ((165, 240),)


def test_names_keep_their_signs():
    line = parse('The.Fast,2001__#00-29-00_v=x_label_B2-G-0.mp4 0 1517 1970 3038', with_label=False)
    assert line.video_id == 'The.Fast,2001__#00-29-00_v=x_label_B2-G-0'
    assert line.label is None and line.spans == ((0, 1517), (1970, 3038))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('Abuse028 Abuse 300 200', 'start must be at most end, got 300 200'),
        ('Abuse028 Abuse -1 200', 'start and end must both be -1 or both at least 0, got -1 200'),
        ('Abuse028 Abuse -5 -5', 'both at least 0, got -5 -5'),
        ('Abuse028 Abuse 165 240 300', 'must come in pairs of first and last, got 3'),
        ('Abuse028 Abuse 165 24O', "must be whole .* got '24O'"),
        ('Abuse028 Abuse 165 240.5', "got '240.5'"),
        ('Abuse028 Abuse', 'must hold'),
        ('Abuse028 165 240', 'must hold'),
        ('Abuse028 165 240 1 2', 'must hold'),
        ('.mp4 Abuse 1 2', 'must begin with the name of a video'),
        ('Abuse028,Abuse,165,240', 'must hold'),
    ],
)
def test_malformed_lines_name_rule_and_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse(text)
    assert repr(text) in str(caught.value)


LINES = ['a 1 2', 'b 3 4', 'c 5 6']


@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize('mark', ['', '\ufeff'])
@pytest.mark.parametrize('last', [True, False])
def test_line_ends_byte_order_mark_and_last_line(tmp_path, end, mark, last):
    text = mark + end.join(f'{line}  ' for line in LINES) + (end if last else '')
    file = tmp_path / 'a.txt'
    file.write_bytes(text.encode('utf-8'))
    assert read_text_lines(file) == list(enumerate(LINES, start=1))


def test_blank_lines_count_but_are_left_out(tmp_path):
    (tmp_path / 'a.txt').write_text('a 1 2\n\n  \t\nb 3 4\n\n')
    assert read_text_lines(tmp_path / 'a.txt') == [(1, 'a 1 2'), (4, 'b 3 4')]


def test_a_numpy_file_under_a_text_name(tmp_path):
    with (tmp_path / 'labels.txt').open('wb') as file:
        np.save(file, np.zeros(4))
    with pytest.raises(DataError, match=r'labels\.txt: must be text, but is a NumPy array .* 0 means abnormal'):
        read_text_lines(tmp_path / 'labels.txt')


def test_files_that_are_no_text(tmp_path):
    (tmp_path / 'a.txt').write_bytes(b'a 1 2\nb\xff 3 4\n')
    with pytest.raises(DataError, match=r'a\.txt:2: must be text in UTF-8, got byte 0xff'):
        read_text_lines(tmp_path / 'a.txt')
    with pytest.raises(DataError, match=r'b\.txt: No such file'):
        read_text_lines(tmp_path / 'b.txt')


@pytest.mark.parametrize('text', ['12', '12.0', '1.2e1', '1.200000000000000000e+01', ' 12 '])
def test_whole_numbers_written_as_floats(text):
    assert parse_whole(text, 'start') == 12


@pytest.mark.parametrize('text', ['1.5', 'nan', 'inf', '-inf', '', 'x', '1e400'])
def test_numbers_that_are_not_whole(text):
    with pytest.raises(ValueError, match='start must be a whole number, got '):
        parse_whole(text, 'start')


def test_interval_ends():
    assert check_interval_ends('half-open') == 'half-open'
    with pytest.raises(UsageError, match=r"interval_ends must be one of \('inclusive', 'half-open'\), got 'open'"):
        check_interval_ends('open')


@pytest.fixture(scope='module')
def any_benchmark(tmp_path_factory):
    folder = tmp_path_factory.mktemp('any')
    (folder / 'a.mp4').write_bytes(b'x')
    return FolderBenchmark(root=folder)


@pytest.fixture
def benchmark(any_benchmark):
    any_benchmark.findings.clear()
    return any_benchmark


@given(
    spans=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=4
    ),
    length=st.none() | st.integers(1, 30),
    ends=st.sampled_from(['inclusive', 'half-open']),
)
def test_intervals_label_what_a_loop_labels(any_benchmark, spans, length, ends):
    benchmark = any_benchmark
    benchmark.findings.clear()
    record = VideoRecord(video_id='a', num_frames=length)
    add_intervals(benchmark, record, spans, word='fire', where='a.txt:1', interval_ends=ends)
    size = length or 60
    expected = [
        int(any(first <= frame <= last if ends == 'inclusive' else first <= frame < last for first, last in spans))
        for frame in range(size)
    ]
    assert record.frame_labels(size).tolist() == expected
    assert record.interval_categories == ['fire'] * len(record.intervals)
    assert all(0 <= start < end <= size for start, end in record.intervals)
    outside = [first for first, _ in spans if length is not None and first >= length]
    assert len(benchmark.errors) == len(outside)


def test_intervals_beyond_the_end(benchmark):
    record = VideoRecord(video_id='a', num_frames=10)
    add_intervals(benchmark, record, [(2, 9)], word='', where='w')
    assert record.intervals == [(2, 10)] and not benchmark.findings  # the last frame itself
    add_intervals(benchmark, record, [(2, 10)], word='', where='w', interval_ends='half-open')
    assert record.intervals[1] == (2, 10) and not benchmark.findings
    add_intervals(benchmark, record, [(2, 10)], word='', where='w')
    add_intervals(benchmark, record, [(10, 12)], word='', where='w')
    assert record.intervals == [(2, 10)] * 3
    assert [(finding.level, finding.code) for finding in benchmark.findings] == [
        ('warning', 'annotation-beyond-end'),
        ('error', 'annotation-outside-video'),
    ]
    assert str(benchmark.findings[0]) == 'w: anomaly 2 10 of a ends beyond its last frame 9; cut there'
