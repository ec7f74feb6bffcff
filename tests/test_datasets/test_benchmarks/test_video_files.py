import os

import pytest

from lavida_mm.datasets.benchmarks.folder import FolderBenchmark
from lavida_mm.datasets.benchmarks.video_files import VideoIndex, read_num_frames, strip_suffix, walk_folders


@pytest.fixture
def benchmark(tmp_path):
    (tmp_path / 'first.mp4').write_bytes(b'x')
    return FolderBenchmark(root=tmp_path)


def touch(path, content=b'x'):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ('name', 'stem'),
    [
        ('a.mp4', 'a'),
        ('a.MP4', 'a'),
        ('A.Beautiful.Mind.2001__#00-25-20_label_A', 'A.Beautiful.Mind.2001__#00-25-20_label_A'),
        ('A.Beautiful.Mind.2001__#00-25-20_label_A.Avi', 'A.Beautiful.Mind.2001__#00-25-20_label_A'),
        ('a.mp4.mp4', 'a'),
        ('a.mp4,b.mp4', 'a.mp4,b'),
        ('mp4', 'mp4'),
        ('.mp4', ''),
    ],
)
def test_strip_suffix(name, stem):
    assert strip_suffix(name) == stem


def test_walk_passes_over_what_is_hidden_and_follows_links_once(tmp_path, benchmark):
    touch(tmp_path / 'b' / 'c' / 'x.mp4')
    touch(tmp_path / 'b' / '._x.mp4')
    touch(tmp_path / '.hidden' / 'x.mp4')
    os.symlink(tmp_path, tmp_path / 'b' / 'loop')
    outside = touch(tmp_path.parent / f'{tmp_path.name}-outside' / 'y.mp4').parent
    os.symlink(outside, tmp_path / 'linked')
    walked = {folder.relative_to(tmp_path).as_posix(): names for folder, names in walk_folders(benchmark, tmp_path)}
    assert walked == {'.': ['first.mp4'], 'b': [], 'b/c': ['x.mp4'], 'linked': ['y.mp4']}
    assert [folder.name for folder, _ in walk_folders(benchmark, tmp_path, 0)] == [tmp_path.name]


def test_a_folder_that_cannot_be_listed(tmp_path, benchmark, monkeypatch):
    touch(tmp_path / 'closed' / 'x.mp4')
    list_folder = os.scandir

    def refuse(folder):
        if str(folder).endswith('closed'):
            raise PermissionError(13, 'Permission denied', str(folder))
        return list_folder(folder)

    monkeypatch.setattr(os, 'scandir', refuse)
    assert [folder for folder, _ in walk_folders(benchmark, tmp_path)] == [tmp_path]
    (finding,) = benchmark.errors
    assert finding.code == 'unreadable-folder' and 'closed: cannot be listed: Permission denied' in str(finding)


def test_index_takes_any_case_and_notes_copies(tmp_path, benchmark):
    touch(tmp_path / 'a' / 'x.MP4')
    index = VideoIndex(benchmark)
    assert index.find('x') == tmp_path / 'a' / 'x.MP4' and index.find('missing') is None
    assert not benchmark.findings
    touch(tmp_path / 'b' / 'x.mp4')
    assert VideoIndex(benchmark).find('x') == tmp_path / 'a' / 'x.MP4'
    assert [(finding.level, finding.code) for finding in benchmark.findings] == [('warning', 'duplicate-video')]
    touch(tmp_path / 'b' / 'x.mp4', b'longer')
    VideoIndex(benchmark).find('x')
    assert benchmark.errors[0].code == 'duplicate-video' and str(tmp_path / 'a' / 'x.MP4') in str(benchmark.errors[0])


def test_index_notes_empty_files_and_broken_links(tmp_path, benchmark):
    touch(tmp_path / 'empty.mp4', b'')
    os.symlink(tmp_path / 'nowhere.mp4', tmp_path / 'broken.mp4')
    index = VideoIndex(benchmark)
    index.find('empty')
    index.find('broken')
    assert [finding.code for finding in benchmark.errors] == ['unreadable-video'] * 2
    assert 'is empty (0 bytes)' in str(benchmark.errors[0]) and 'No such file' in str(benchmark.errors[1])


def write_lengths(folder, text):
    (folder / 'num_frames.csv').write_bytes(text.encode('utf-8'))


@pytest.mark.parametrize(
    'text',
    [
        'video,num_frames\na,5\nb.x,7\n',
        '\ufeffvideo,num_frames\r\na.mp4,5\r\nb.x,7',
        'video, num_frames\n\n"a", 5 \nb.x.MP4,7\n',
    ],
)
def test_num_frames(tmp_path, benchmark, text):
    write_lengths(tmp_path, text)
    assert read_num_frames(benchmark) == {'a': 5, 'b.x': 7} and not benchmark.findings


def test_num_frames_of_names_with_commas(tmp_path, benchmark):
    write_lengths(tmp_path, 'video,num_frames\nI, Robot#1_label_A,5\n"You, me_label_A",7\n')
    assert read_num_frames(benchmark) == {'I, Robot#1_label_A': 5, 'You, me_label_A': 7}


def test_no_side_file(benchmark):
    assert read_num_frames(benchmark) == {}


@pytest.mark.parametrize(
    ('text', 'where', 'message'),
    [
        ('name,frames\na,5\n', 1, "must be 'video,num_frames', got 'name,frames'"),
        ('', 1, "must be 'video,num_frames', got ''"),
        ('video,num_frames\na,5.0\n', 2, "num_frames must be a whole number of at least 1, got 'a,5.0'"),
        ('video,num_frames\na,0\n', 2, 'at least 1'),
        ('video,num_frames\na,-5\n', 2, 'at least 1'),
        ('video,num_frames\nb,1\na\n', 3, "got 'a'"),
        ('video,num_frames\n,5\n', 2, "got ',5'"),
        ('video,num_frames\na,5\na,5\n', 3, 'video a must stand here once, got 5 before'),
        ('video,num_frames\na,5\na.mp4,6\n', 3, 'video a must stand here once, got 5 before'),
    ],
)
def test_bad_side_files(tmp_path, benchmark, text, where, message):
    write_lengths(tmp_path, text)
    read_num_frames(benchmark)
    (finding,) = benchmark.errors
    assert finding.where == f'{tmp_path / "num_frames.csv"}:{where}' and message in finding.message


def test_side_file_that_is_no_text(tmp_path, benchmark):
    (tmp_path / 'num_frames.csv').write_bytes(b'video,num_frames\n\xff,5\n')
    assert read_num_frames(benchmark) == {}
    assert benchmark.errors[0].code == 'unreadable-annotation'


def test_a_name_with_and_without_suffix_counts_once(tmp_path, benchmark):
    write_lengths(tmp_path, 'video,num_frames\na.mp4,5\na,5\nb,6\n')
    assert read_num_frames(benchmark) == {'a': 5, 'b': 6}
    assert [(finding.level, finding.code) for finding in benchmark.findings] == [('warning', 'listed-twice')]
