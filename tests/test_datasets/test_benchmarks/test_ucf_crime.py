import shutil

import pytest

from lavida_mm.datasets.benchmarks.ucf_crime import UCFCrime
from lavida_mm.datasets.video_reader import open_video
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError, UsageError
from tests.videos import red_square_frames, write_video

NUM_FRAMES = 12
LINES = [
    'Abuse028_x264.mp4  Abuse  2  4  -1  -1',
    'RoadAccidents001_x264.mp4  RoadAccidents  1  3  6  8',
    'Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1',
]
FOLDERS = {'Abuse028_x264': 'Abuse', 'RoadAccidents001_x264': 'RoadAccidents', 'Normal_Videos_003_x264': None}
ANNOTATION = 'Temporal_Anomaly_Annotation_for_Testing_Videos.txt'
LAYOUTS = {  # variant -> where abnormal and normal videos lie
    'Anomaly-Videos/<Class>, Testing_Normal_Videos_Anomaly': ('Anomaly-Videos/{}', 'Testing_Normal_Videos_Anomaly'),
    'Anomaly-Videos/<Class>, Testing_Normal_Videos': ('Anomaly-Videos/{}', 'Testing_Normal_Videos'),
    'Anomaly-Videos/<Class>, Testing_Normal_Videos/Testing_Normal_Videos_Anomaly': (
        'Anomaly-Videos/{}',
        'Testing_Normal_Videos/Testing_Normal_Videos_Anomaly',
    ),
    '<Class>, Testing_Normal_Videos_Anomaly': ('{}', 'Testing_Normal_Videos_Anomaly'),
    'flat': ('', ''),
    'videos': ('videos', 'videos'),
}


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp('clip') / 'clip.mp4', red_square_frames(NUM_FRAMES))


def put(clip, folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    return shutil.copy(clip, folder / name)


def write_world(root, clip, abnormal='Anomaly-Videos/{}', normal='Testing_Normal_Videos_Anomaly', suffix='.mp4'):
    for name, kind in FOLDERS.items():
        put(clip, root / (abnormal.format(kind) if kind else normal), name + suffix)
    write_annotation(root)
    return root


def write_annotation(root, lines=LINES, name=ANNOTATION):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes('\n'.join(lines).encode())
    return file


def codes(benchmark, level='error'):
    return [finding.code for finding in benchmark.findings if finding.level == level]


@pytest.mark.parametrize('layout', LAYOUTS)
def test_layouts(tmp_path, clip, layout):
    benchmark = UCFCrime(root=write_world(tmp_path, clip, *LAYOUTS[layout]))
    assert benchmark.layout == layout and not benchmark.findings
    assert [record.video_id for record in benchmark.records] == list(FOLDERS)
    for record in benchmark.records:
        with open_video(record.path, 'pyav') as reader:
            assert reader.num_frames == NUM_FRAMES
    abuse, accident, normal = benchmark.records
    assert abuse.frame_labels(NUM_FRAMES).tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert accident.intervals == [(1, 4), (6, 9)] and accident.interval_categories == ['road accidents'] * 2
    assert normal.intervals == [] and normal.has_ground_truth
    assert abuse.num_frames is None and abuse.masks is None and abuse.categories == []
    assert abuse.origin == f'{tmp_path / ANNOTATION}:1'


def test_parts(tmp_path, clip):
    put(clip, tmp_path / 'Anomaly-Videos-Part-1' / 'Abuse', 'Abuse028_x264.mp4')
    put(clip, tmp_path / 'Anomaly-Videos-Part-1' / 'Abuse', 'Abuse001_x264.mp4')  # for training
    put(clip, tmp_path / 'Anomaly-Videos-Part-3' / 'RoadAccidents', 'RoadAccidents001_x264.mp4')
    put(clip, tmp_path / 'Testing_Normal_Videos_Anomaly', 'Normal_Videos_003_x264.mp4')
    put(clip, tmp_path / 'Training-Normal-Videos-Part-1', 'Normal_Videos001_x264.mp4')
    write_annotation(tmp_path)
    benchmark = UCFCrime(root=tmp_path)
    assert benchmark.layout == (
        'Anomaly-Videos-Part-1/<Class>, Anomaly-Videos-Part-3/<Class>, Testing_Normal_Videos_Anomaly'
    )
    assert [record.path.name for record in benchmark.records] == [name + '.mp4' for name in FOLDERS]
    assert not benchmark.findings


def test_suffixes_in_capitals(tmp_path, clip):
    assert all(record.path for record in UCFCrime(root=write_world(tmp_path, clip, suffix='.MP4')).records)


@pytest.mark.parametrize(
    'name',
    [
        ANNOTATION,
        f'annotations/{ANNOTATION}',
        'Temporal_Anomaly_Annotation.txt',
        'Temporal_Anomaly_Annotation_For_Testing_Videos/Txt_formate/Temporal_Anomaly_Annotation.txt',
        'temporal_anomaly_annotation_for_testing_videos.TXT',
        'Temporal_Anomaly_Annotations_Testing.txt',
        'Temporal Anomaly Annotation for Testing Videos.txt',
    ],
)
def test_names_of_the_annotation_file(tmp_path, name):
    write_annotation(tmp_path, name=name)
    benchmark = UCFCrime(root=tmp_path)
    assert benchmark.layout == 'annotation only' and len(benchmark.records) == 3
    assert all(record.path is None and record.num_frames is None for record in benchmark.records)


@pytest.mark.parametrize(
    'change',
    [
        lambda line: line.replace('.mp4', ''),
        lambda line: line + '  ',
        lambda line: line.replace('  ', '\t'),
        lambda line: line.replace('  ', ' '),
        lambda line: line + '\r',
        lambda line: line.replace('Normal ', 'Testing_Normal_Videos_Anomaly '),
        lambda line: line.replace('RoadAccidents ', 'Road_Accidents '),
    ],
)
def test_forms_of_the_annotation_file(tmp_path, change):
    write_annotation(tmp_path, [change(line) for line in LINES])
    records = UCFCrime(root=tmp_path).records
    assert [record.intervals for record in records] == [[(2, 5)], [(1, 4), (6, 9)], []]
    assert [record.video_id for record in records] == list(FOLDERS)


def test_named_annotation_file(tmp_path):
    write_annotation(tmp_path, name='mine.txt')
    assert len(UCFCrime(root=tmp_path, ann_file='mine.txt').records) == 3
    with pytest.raises(DataError, match=r'other\.txt: ann_file must be an existing file'):
        UCFCrime(root=tmp_path, ann_file='other.txt')


def test_two_annotation_files(tmp_path):
    write_annotation(tmp_path)
    write_annotation(tmp_path, [line + ' ' for line in LINES], 'annotations/Temporal_Anomaly_Annotation.txt')
    assert UCFCrime(root=tmp_path).records[0].origin == f'{tmp_path / ANNOTATION}:1'
    write_annotation(tmp_path, LINES[:2], 'annotations/Temporal_Anomaly_Annotation.txt')
    with pytest.raises(DataError, match=r'Temporal_Anomaly_Annotation\.txt: differs from .* by ann_file'):
        UCFCrime(root=tmp_path)
    assert len(UCFCrime(root=tmp_path, ann_file=ANNOTATION).records) == 3


def test_half_open_ends(tmp_path):
    write_annotation(tmp_path)
    benchmark = UCFCrime(root=tmp_path, interval_ends='half-open')
    assert [record.intervals for record in benchmark.records] == [[(2, 4)], [(1, 3), (6, 8)], []]
    assert benchmark.options == {'interval_ends': 'half-open'}
    with pytest.raises(UsageError, match=r"interval_ends must be one of .* got 'closed'"):
        UCFCrime(root=tmp_path, interval_ends='closed')


def test_side_file(tmp_path):
    write_annotation(tmp_path)
    (tmp_path / 'num_frames.csv').write_text('video,num_frames\nAbuse028_x264,4\nRoadAccidents001_x264,9\nother,3\n')
    benchmark = UCFCrime(root=tmp_path)
    assert [record.num_frames for record in benchmark.records] == [4, 9, None]
    assert benchmark.records[0].intervals == [(2, 4)]
    assert codes(benchmark, 'warning') == ['annotation-beyond-end', 'missing-length', 'extra-length']
    assert str(benchmark.findings[0]).startswith(f'{tmp_path / ANNOTATION}:1: anomaly 2 4 of Abuse028_x264 ends beyond')


def test_a_missing_video_beside_others(tmp_path, clip):
    write_world(tmp_path, clip)
    (tmp_path / 'Anomaly-Videos/Abuse/Abuse028_x264.mp4').unlink()
    with pytest.raises(DataError, match=r':1: no file of video Abuse028_x264 is there'):
        UCFCrime(root=tmp_path)
    benchmark = UCFCrime(root=tmp_path, strict=False)
    assert codes(benchmark) == ['missing-video'] and len(benchmark.records) == 3


def test_a_truncated_file(tmp_path, clip):
    write_world(tmp_path, clip)
    (tmp_path / 'Anomaly-Videos/Abuse/Abuse028_x264.mp4').write_bytes(b'')
    with pytest.raises(DataError, match=r'Abuse028_x264\.mp4: must hold a video, is empty'):
        UCFCrime(root=tmp_path)


@pytest.mark.parametrize(
    ('line', 'code', 'message'),
    [
        ('Abuse030_x264  Abuse  300  200  -1  -1', 'malformed-line', 'start must be at most end, got 300 200'),
        ('Abuse030_x264  Abuse  300', 'malformed-line', 'must hold'),
        ('Abuse030_x264  Abuse  300  x', 'malformed-line', "frame numbers must be whole .* got 'x'"),
        ('Abuse030_x264  Loitering  3  4', 'unknown-class', "class must be one of Abuse, .* got 'Loitering'"),
        ('Abuse030_x264  Abuse  -1  -1', 'label-mismatch', 'a video of class Abuse must have an event'),
        ('Normal_Videos_006  Normal  3  4', 'label-mismatch', 'a normal video must have no event'),
        ('Abuse028_x264  Abuse  2  4', 'duplicate-line', 'video Abuse028_x264 must stand here once; first: .*:1'),
    ],
)
def test_bad_lines(tmp_path, line, code, message):
    file = write_annotation(tmp_path, [*LINES, line])
    with pytest.raises(DataError, match=f'{file.name}:4: {message}'):
        UCFCrime(root=tmp_path)
    benchmark = UCFCrime(root=tmp_path, strict=False)
    assert codes(benchmark) == [code] and len(benchmark.records) == 3


def test_strict_says_how_many_more(tmp_path):
    write_annotation(tmp_path, [*LINES, 'a b', 'c d'])
    with pytest.raises(DataError, match=r':4: .* \(and 1 more; .*check_benchmark\.py ucf_crime .* lists all\)'):
        UCFCrime(root=tmp_path)


def test_empty_and_missing_folders(tmp_path):
    with pytest.raises(DataError, match=r'must hold Temporal_Anomaly_Annotation_for_Testing_Videos\.txt'):
        UCFCrime(root=tmp_path)
    with pytest.raises(DataError, match='must be an existing folder'):
        UCFCrime(root=tmp_path / 'nowhere')
    write_annotation(tmp_path, [])
    with pytest.raises(DataError, match='holds no video and no annotation of benchmark ucf_crime'):
        UCFCrime(root=tmp_path)
    (tmp_path / ANNOTATION).write_bytes(b'Abuse028 Abuse 1 2\n\xff\xfe')
    with pytest.raises(DataError, match=rf'{ANNOTATION}:2: must be text in UTF-8'):
        UCFCrime(root=tmp_path)


def test_typos_fail_at_build(tmp_path):
    with pytest.raises(TypeError, match='interval_end'):
        UCFCrime(root=tmp_path, interval_end='inclusive')


def i3d_length(num_frames):
    return 16 * ((num_frames - 1) // 16)


def test_real_annotation(shared_data):
    """Figures of the literature: 84,331 by LAVAD's and LAVIDA's reading, 84,128 by that of papers on I3D features."""
    root = shared_data / 'annotations' / 'ucf_crime'
    benchmark = DATASETS.build(dict(type='UCFCrime', root=str(root)))
    records = benchmark.records
    lengths = [record.num_frames for record in records]
    assert (len(records), sum(lengths)) == (290, 1_111_808) == (benchmark.totals.videos, benchmark.totals.frames)
    anomalous = sum(record.frame_labels(length).sum() for record, length in zip(records, lengths, strict=True))
    assert anomalous == 84_331 == benchmark.totals.anomalous_frames
    abnormal = [record for record in records if record.intervals]
    assert len(abnormal) == 140 and sum(len(record.intervals) == 2 for record in abnormal) == 16
    assert len({record.interval_categories[0] for record in abnormal}) == 13
    assert codes(benchmark, 'warning') == ['annotation-beyond-end'] * 7 and not benchmark.errors
    half_open = UCFCrime(root=root, interval_ends='half-open')
    cut = [i3d_length(length) for length in lengths]
    labels = [record.frame_labels(length) for record, length in zip(half_open.records, cut, strict=True)]
    assert (sum(cut), sum(label.sum() for label in labels)) == (1_109_504, 84_128)
    assert len(half_open.findings) == 5  # two of the seven end at the number of frames


def test_real_annotation_lists_the_published_names(shared_data):
    root = shared_data / 'annotations' / 'ucf_crime'
    text = (root / 'Anomaly_Test.txt').read_text()
    listed = [line.rsplit('/', 1)[-1].removesuffix('.mp4') for line in text.split()]
    assert sorted(listed) == sorted(record.video_id for record in UCFCrime(root=root).records)
