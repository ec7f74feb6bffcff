import shutil

import pytest

from lavida_mm.datasets.benchmarks.xd_violence import XDViolence, read_label_codes
from lavida_mm.datasets.video_reader import open_video
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError, UsageError
from tests.videos import red_square_frames, write_video

NUM_FRAMES = 12
FIGHT = 'v=S-7rRLrxnVQ__#1_label_B1-0-0'
CRASH = 'Bad.Boys, II.2003__#00-06-42_00-10-00_label_B6-G-0'.replace(' ', '_')
CALM = 'About.Time.2013__#00-23-50_00-24-31_label_A'
LINES = [f'{FIGHT} 2 4', f'{CRASH}.mp4 0 1 6 8']
NAMES = [FIGHT, CRASH, CALM]


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp('clip') / 'clip.mp4', red_square_frames(NUM_FRAMES))


def put(clip, folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(clip, folder / name)


def write_annotation(root, lines=LINES, name='annotations.txt'):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes('\n'.join(lines).encode())
    return file


def write_lengths(root, lengths):
    rows = ''.join(f'"{name}",{length}\n' for name, length in lengths)
    (root / 'num_frames.csv').write_text('video,num_frames\n' + rows)


def codes(benchmark, level='error'):
    return [finding.code for finding in benchmark.findings if finding.level == level]


@pytest.mark.parametrize(
    ('videos', 'annotation', 'layout'),
    [
        ('videos', 'annotations.txt', 'videos'),
        ('', 'annotations.txt', 'flat'),
        ('test_videos', 'annotations/annotations.txt', 'test_videos'),
        ('XD-Violence-test/videos', 'XD-Violence-test/annotations.txt', 'XD-Violence-test/videos'),
        ('videos', 'Annotation.txt', 'videos'),
    ],
)
@pytest.mark.parametrize('suffix', ['.mp4', '.MP4'])
def test_layouts(tmp_path, clip, videos, annotation, layout, suffix):
    put(clip, tmp_path / videos, *(name + suffix for name in NAMES))
    write_annotation(tmp_path, name=annotation)
    benchmark = XDViolence(root=tmp_path)
    assert benchmark.layout == layout and not benchmark.findings
    assert [record.video_id for record in benchmark.records] == NAMES
    for record in benchmark.records:
        with open_video(record.path, 'pyav') as reader:
            assert reader.num_frames == NUM_FRAMES
    fight, crash, calm = benchmark.records
    assert fight.frame_labels(NUM_FRAMES).tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert crash.intervals == [(0, 2), (6, 9)] and crash.interval_categories == ['car accident'] * 2
    assert calm.intervals == [] and calm.has_ground_truth and calm.origin.endswith(f'{CALM}{suffix}: video {CALM}')
    assert fight.origin == f'{tmp_path / annotation}:1'


def test_training_videos_beside_are_left_out(tmp_path, clip):
    put(clip, tmp_path / 'test', *(f'{name}.mp4' for name in NAMES))
    put(clip, tmp_path / '1-1004', 'Other__#1_label_A.mp4', 'Other__#2_label_B1-0-0.mp4')
    write_annotation(tmp_path)
    assert len(XDViolence(root=tmp_path).records) == 3
    (tmp_path / 'test').rename(tmp_path / 'clips')  # a name that says nothing
    put(clip, tmp_path / 'XD-Violence-train' / 'videos', 'Other__#3_label_A.mp4')
    assert len(XDViolence(root=tmp_path).records) == 3


def test_annotation_and_numbers_of_frames_only(tmp_path):
    write_annotation(tmp_path)
    write_lengths(tmp_path, [(CALM, 7), (f'{FIGHT}.mp4', 4), (CRASH, 12)])
    benchmark = XDViolence(root=tmp_path)
    assert benchmark.layout == 'annotation only' and codes(benchmark, 'warning') == ['annotation-beyond-end']
    assert [record.num_frames for record in benchmark.records] == [4, 12, 7]
    assert [record.intervals for record in benchmark.records] == [[(2, 4)], [(0, 2), (6, 9)], []]
    assert all(record.path is None for record in benchmark.records)


def test_annotation_only(tmp_path):
    write_annotation(tmp_path)
    benchmark = XDViolence(root=tmp_path)
    assert [record.video_id for record in benchmark.records] == [FIGHT, CRASH]
    assert codes(benchmark, 'warning') == ['normal-videos-unknown']


def test_half_open_ends(tmp_path):
    write_annotation(tmp_path)
    benchmark = XDViolence(root=tmp_path, interval_ends='half-open')
    assert [record.intervals for record in benchmark.records] == [[(2, 4)], [(0, 1), (6, 8)]]
    assert benchmark.options == {'interval_ends': 'half-open'}
    with pytest.raises(UsageError, match='interval_ends must be one of'):
        XDViolence(root=tmp_path, interval_ends='exclusive')


def test_an_interval_of_one_frame_is_empty_with_half_open_ends(tmp_path):
    write_annotation(tmp_path, [f'{FIGHT} 2 2 4 6'])
    assert XDViolence(root=tmp_path).records[0].intervals == [(2, 3), (4, 7)]
    benchmark = XDViolence(root=tmp_path, interval_ends='half-open')
    assert benchmark.records[0].intervals == [(4, 6)] and 'empty-interval' in codes(benchmark, 'warning')


def test_the_list_of_814_videos_counts_each_once(tmp_path):
    write_annotation(tmp_path, [*LINES, f'{CRASH} -1 -1', f'{CALM} -1 -1'])
    write_lengths(tmp_path, [(f'{CRASH}.mp4', 12), (CRASH, 12), (FIGHT, 12), (CALM, 12)])
    benchmark = XDViolence(root=tmp_path)
    assert [record.video_id for record in benchmark.records] == NAMES
    assert [record.intervals for record in benchmark.records] == [[(2, 5)], [(0, 2), (6, 9)], []]
    assert codes(benchmark, 'warning') == ['listed-twice'] * 2
    assert f'lists 1 violent videos a second time as normal, as the list of 814 videos does ({CRASH})' in str(
        benchmark.findings[0]
    )


def test_814_lines_in_the_other_order(tmp_path):
    write_annotation(tmp_path, [f'{CRASH} -1 -1', *LINES])
    write_lengths(tmp_path, [(CRASH, 12), (FIGHT, 12)])
    records = {record.video_id: record for record in XDViolence(root=tmp_path).records}
    assert records[CRASH].intervals == [(0, 2), (6, 9)]


def test_extra_videos_are_named(tmp_path, clip):
    put(clip, tmp_path / 'videos', *(f'{name}.mp4' for name in [*NAMES, 'Other__#1_label_A', 'Other__#2_label_G-0-0']))
    write_annotation(tmp_path)
    write_lengths(tmp_path, [(name, 12) for name in NAMES])
    benchmark = XDViolence(root=tmp_path)
    (finding,) = benchmark.findings
    assert (finding.level, finding.code) == ('warning', 'extra-video')
    assert 'Other__#1_label_A.mp4: is in neither' in str(finding) and 'with 1 more' in str(finding)
    assert len(benchmark.records) == 3


def test_a_violent_video_without_annotation(tmp_path, clip):
    put(clip, tmp_path / 'videos', *(f'{name}.mp4' for name in [*NAMES, 'Other__#2_label_G-0-0']))
    write_annotation(tmp_path)
    with pytest.raises(DataError, match=r'Other__#2_label_G-0-0 is violent by its name \(explosion\) and must have'):
        XDViolence(root=tmp_path)


def test_missing_videos(tmp_path, clip):
    put(clip, tmp_path / 'videos', f'{FIGHT}.mp4')
    write_annotation(tmp_path)
    write_lengths(tmp_path, [(name, 12) for name in NAMES])
    benchmark = XDViolence(root=tmp_path, strict=False)
    assert codes(benchmark) == ['missing-video'] * 2
    assert f'annotations.txt:2: no file of video {CRASH} is there' in str(benchmark.findings[0])
    assert f'num_frames.csv: video {CALM}: no file' in str(benchmark.findings[1])


@pytest.mark.parametrize(
    ('line', 'code', 'message'),
    [
        ('a_label_B1-0-0 300 200', 'malformed-line', 'start must be at most end, got 300 200'),
        ('a_label_B1-0-0 3', 'malformed-line', "must hold 'name first last"),
        ('a_label_B1-0-0 Abuse 3 5', 'malformed-line', "frame numbers must be whole .* got 'Abuse'"),
        ('a_label_B3-0-0 3 5', 'unknown-class', "code must be A alone or one of B1, .* got 'B3'"),
        ('a_label_A-B1-0 3 5', 'unknown-class', "code must be A alone or one of B1, .* got 'A'"),
        ('a_label_0-0-0 3 5', 'unknown-class', "name must end in '_label_'"),
        ('a 3 5', 'unknown-class', "name must end in '_label_'"),
        ('a_label_A 3 5', 'label-mismatch', 'got normal and 1 events'),
        ('a_label_B1-0-0 -1 -1', 'label-mismatch', 'got fighting and 0 events'),
        (f'{FIGHT}.mp4 3 5', 'duplicate-line', f'video {FIGHT} must stand here once; first: .*:1'),
    ],
)
def test_bad_lines(tmp_path, line, code, message):
    write_annotation(tmp_path, [*LINES, line])
    with pytest.raises(DataError, match=rf'annotations\.txt:3: .*{message}'):
        XDViolence(root=tmp_path)
    benchmark = XDViolence(root=tmp_path, strict=False)
    assert codes(benchmark) == [code] and len(benchmark.records) == 2


def test_an_interval_that_begins_beyond_the_video(tmp_path):
    write_annotation(tmp_path)
    write_lengths(tmp_path, [(FIGHT, 12), (CRASH, 6)])
    with pytest.raises(DataError, match=r':2: anomaly 6 8 of .* must begin within its 6 frames'):
        XDViolence(root=tmp_path)


def test_read_label_codes():
    assert read_label_codes('x_label_B1-B2-B4') == ['fighting', 'shooting', 'riot']
    assert read_label_codes('x_label_B5-B6-G') == ['abuse', 'car accident', 'explosion']
    assert read_label_codes('x_label_A') == []


def test_real_annotation(shared_data):
    root = shared_data / 'annotations' / 'xd_violence'
    benchmark = DATASETS.build(dict(type='XDViolence', root=str(root)))
    records = benchmark.records
    lengths = [record.num_frames for record in records]
    assert (len(records), sum(lengths)) == (800, 2_335_801) == (benchmark.totals.videos, benchmark.totals.frames)
    anomalous = sum(record.frame_labels(length).sum() for record, length in zip(records, lengths, strict=True))
    assert anomalous == 539_562 == benchmark.totals.anomalous_frames
    assert sum(bool(record.intervals) for record in records) == 500 and not benchmark.findings
    half_open = XDViolence(root=root, interval_ends='half-open')
    cut = [16 * ((length - 1) // 16) for length in lengths]
    labels = [record.frame_labels(length) for record, length in zip(half_open.records, cut, strict=True)]
    assert (sum(cut), sum(label.sum() for label in labels)) == (2_330_384, 537_805)


def test_real_annotation_as_the_list_of_814_videos(shared_data, tmp_path):
    """Fourteen lines of annotations.txt carry .mp4; who compares names as they stand takes those videos for normal."""
    real = shared_data / 'annotations' / 'xd_violence'
    lines = (real / 'annotations.txt').read_text().splitlines()
    named = {line.split()[0] for line in lines}
    lengths = [row.rsplit(',', 1) for row in (real / 'num_frames.csv').read_text().splitlines()[1:]]
    listed = lines + [f'{name} -1 -1' for name, _ in lengths if name not in named]
    assert len(listed) == 814
    write_annotation(tmp_path, listed)
    shutil.copy(real / 'num_frames.csv', tmp_path)
    benchmark, straight = XDViolence(root=tmp_path), XDViolence(root=real)
    assert codes(benchmark, 'warning') == ['listed-twice'] and 'lists 14 violent videos' in str(benchmark.findings[0])
    assert {record.video_id: record.intervals for record in benchmark.records} == {
        record.video_id: record.intervals for record in straight.records
    }
