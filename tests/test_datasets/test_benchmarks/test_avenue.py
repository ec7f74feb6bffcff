from pathlib import Path

import numpy as np
import pytest
import scipy.io

from lavida_mm.datasets.benchmarks.avenue import CUHKAvenue
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError

HEIGHT, WIDTH = 12, 16
LABELS = {1: [0, 1, 1, 0, 1], 2: [1, 0, 0]}  # by the masks
INTERVALS = [[[2, 5], [4, 5]], [[1], [2]]]  # rows: first and last frames from 1 on
INTERVAL_LABELS = [[0, 1, 1, 1, 1], [1, 1, 0]]

# What avenue.mat says of the 21 videos, and their numbers of frames.
PUBLISHED = (
    '78-120,392-422,503-666,868-910,932-1101 273-320,724-764,1051-1100 295-340,582-622 380-428,649-692 469-786 '
    '345-625,856-1007 423-494,563-595 21-30 136-183,496-566,741-755,875-981,1013-1044,1104-1163 '
    '571-607,637-656,678-713,724-755,783-818 21-164,308-346 539-617,645-729,759-843 259-286,458-510 399-455,485-500 '
    '498-587 632-730 21-56,99-420 21-285 109-240 65-144,168-241 14-66'
)
LENGTHS = (1439, 1211, 923, 947, 1007, 1283, 605, 36, 1175, 841, 472, 1271, 549, 507, 1001, 740, 426, 294, 248, 273, 76)


def make_masks(labels):
    masks = np.zeros((len(labels), HEIGHT, WIDTH), dtype=np.uint8)
    masks[np.array(labels) == 1, 2:5, 3:9] = 1
    return masks


def write_cells(path: Path, name: str, values) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.empty((1, len(values)), dtype=object)
    for place, value in enumerate(values):
        cells[0, place] = value
    scipy.io.savemat(path, {name: cells})
    return path


def write(
    root: Path, *, base='', videos='testing_videos', masks='ground_truth_demo/testing_label_mask', intervals=None
) -> Path:
    for number, labels in LABELS.items():
        if videos:
            path = root / base / videos / f'{number:02d}.avi'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b'opened by nobody here')
        if masks:
            write_cells(root / base / masks / f'{number}_label.mat', 'volLabel', list(make_masks(labels)))
    if intervals is not None:
        write_cells(root / intervals, 'gt', [np.array(part, dtype=np.uint16) for part in INTERVALS])
    return root


def codes(benchmark):
    return [(finding.level, finding.code) for finding in benchmark.findings]


def check(benchmark, expected=None, at_hand=True, masks=True):
    expected = list(LABELS.values()) if expected is None else expected
    assert [record.video_id for record in benchmark.records] == ['01', '02']
    for record, labels, shown in zip(benchmark.records, expected, LABELS.values(), strict=True):
        assert record.has_ground_truth and record.frame_labels(len(labels)).tolist() == labels
        assert len(record.interval_categories) == len(record.intervals)
        found = record.pixel_masks(np.arange(len(labels)), HEIGHT, WIDTH)
        assert (found is not None) == masks
        assert not masks or np.array_equal(found, make_masks(shown) == 1)
        assert (record.path is not None) == at_hand
        assert not at_hand or record.path.name == f'{record.video_id}.avi'


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(base='Avenue Dataset'),
        dict(base='avenue'),
        dict(videos='ground_truth_demo/testing_videos'),
        dict(masks='testing_label_mask'),
    ],
    ids=str,
)
def test_layouts(tmp_path, options):
    benchmark = CUHKAvenue(root=str(write(tmp_path, **options)))
    check(benchmark)
    assert benchmark.findings == [] and benchmark.options == {'labels': 'masks'}
    assert [record.num_frames for record in benchmark.records] == [5, 3]
    assert benchmark.layout.startswith('videos, labels from masks, masks, in ')


def test_annotation_alone(tmp_path):
    benchmark = CUHKAvenue(root=write(tmp_path, videos=None))
    check(benchmark, at_hand=False)
    assert benchmark.findings == [] and benchmark.layout.startswith('annotation only')


def test_intervals(tmp_path):
    benchmark = CUHKAvenue(root=write(tmp_path, intervals='avenue.mat'), labels='intervals')
    check(benchmark, INTERVAL_LABELS)
    assert benchmark.findings == [] and benchmark.options == {'labels': 'intervals'}
    assert benchmark.totals.anomalous_frames == 3867 and CUHKAvenue.totals.anomalous_frames == 3712


def test_intervals_by_name(tmp_path):
    write(tmp_path, intervals='gt_label.mat')
    with pytest.raises(DataError, match=r"avenue\.mat: must hold the intervals for labels='intervals', no such file"):
        CUHKAvenue(root=tmp_path, labels='intervals')
    check(CUHKAvenue(root=tmp_path, labels='intervals', ann_file='gt_label.mat'), INTERVAL_LABELS)


def test_the_interval_file_alone(tmp_path):
    write(tmp_path, videos=None, masks=None, intervals='avenue.mat')
    benchmark = CUHKAvenue(root=tmp_path, labels='intervals')
    check(benchmark, INTERVAL_LABELS, at_hand=False, masks=False)
    assert codes(benchmark) == [('warning', 'no-masks')]
    assert [record.num_frames for record in benchmark.records] == [None, None]
    (tmp_path / 'num_frames.csv').write_text('video,num_frames\n01,5\n02.avi,3\n')
    assert [record.num_frames for record in CUHKAvenue(root=tmp_path, labels='intervals').records] == [5, 3]


def test_published_totals_of_the_interval_file(tmp_path):
    parts = [[pair.split('-') for pair in text.split(',')] for text in PUBLISHED.split()]
    write_cells(tmp_path / 'avenue.mat', 'gt', [np.array(part, dtype=np.uint16).T for part in parts])
    lines = [f'{number:02d},{length}' for number, length in enumerate(LENGTHS, start=1)]
    (tmp_path / 'num_frames.csv').write_text('\n'.join(['video,num_frames', *lines]))
    benchmark = CUHKAvenue(root=tmp_path, labels='intervals')
    labels = [record.frame_labels(record.num_frames) for record in benchmark.records]
    totals = benchmark.totals
    assert (len(labels), sum(map(len, labels)), sum(map(sum, labels))) == (21, 15_324, 3_867)
    assert (totals.videos, totals.frames, totals.anomalous_frames) == (21, 15_324, 3_867)
    assert sum(len(record.intervals) for record in benchmark.records) == 47


def test_labels_must_be_known(tmp_path):
    with pytest.raises(ValueError, match=r"labels must be one of \('masks', 'intervals'\), got 'frames'"):
        CUHKAvenue(root=tmp_path, labels='frames')


def test_missing_files(tmp_path):
    write(tmp_path)
    (tmp_path / 'testing_videos/02.avi').unlink()
    (tmp_path / 'ground_truth_demo/testing_label_mask/1_label.mat').unlink()
    benchmark = CUHKAvenue(root=tmp_path, strict=False)
    found = {(finding.code, Path(finding.where).name) for finding in benchmark.errors}
    assert found == {('missing-masks', '1_label.mat'), ('missing-video', '02.avi')}
    assert [record.has_ground_truth for record in benchmark.records] == [False, True]


def test_missing_mask_folder(tmp_path):
    write(tmp_path, masks=None)
    with pytest.raises(DataError, match=r'testing_label_mask: must hold the masks of the videos \(1_label\.mat'):
        CUHKAvenue(root=tmp_path)
    write_cells(tmp_path / 'avenue.mat', 'gt', [np.array(part) for part in INTERVALS])
    benchmark = CUHKAvenue(root=tmp_path, labels='intervals')
    check(benchmark, INTERVAL_LABELS, masks=False)
    assert codes(benchmark) == [('warning', 'no-masks')]


def test_empty_root(tmp_path):
    with pytest.raises(DataError, match='holds no video and no annotation of benchmark avenue'):
        CUHKAvenue(root=tmp_path)


def test_two_files_of_one_video(tmp_path):
    write(tmp_path)
    (tmp_path / 'testing_videos/1.mp4').write_bytes(b'x')
    with pytest.raises(DataError, match=r'is another file of video 0?1 than'):
        CUHKAvenue(root=tmp_path)


@pytest.mark.parametrize(
    ('masks', 'rule'),
    [
        (make_masks([0, 1]) * 5, r'volLabel\{2\}: must hold 0 and 1 or 0 and 255 only, got 0, 5'),
        ([make_masks([0])[0], np.zeros((2, 2))], r'volLabel\{2\}: masks must be 12 x 16 as the frames are, got 2 x 2'),
        ([np.array(['mask'])], r'volLabel\{1\} must be a mask \(height, width\), got <U4 of shape \(1,\)'),
    ],
)
def test_bad_masks(tmp_path, masks, rule):
    write(tmp_path)
    path = write_cells(tmp_path / 'ground_truth_demo/testing_label_mask/1_label.mat', 'volLabel', list(masks))
    assert codes(CUHKAvenue(root=tmp_path, strict=False)) == [('error', 'bad-mask')]
    with pytest.raises(DataError, match=rule) as error:
        CUHKAvenue(root=tmp_path)
    assert str(error.value).startswith(f'{path}: ') and str(error.value).count(str(path)) == 1


def test_masks_of_another_size_than_the_frames(tmp_path):
    record = CUHKAvenue(root=write(tmp_path)).records[0]
    with pytest.raises(DataError, match=r'1_label\.mat: masks must be 360 x 640 as the frames are, got 12 x 16'):
        record.pixel_masks([0], 360, 640)


def test_frame_counts_at_odds(tmp_path):
    write(tmp_path)
    (tmp_path / 'num_frames.csv').write_text('video,num_frames\n01,6\n02,3\n')
    with pytest.raises(DataError, match=r'num_frames of 01 must be the number of its masks, got 6, .* has 5'):
        CUHKAvenue(root=tmp_path)


@pytest.mark.parametrize(
    ('cells', 'rule'),
    [
        ([np.array([[9], [5]]), np.array([[1], [2]])], r'gt\{1\}: start must be at most end, .* got 9 5'),
        ([np.array([[0], [5]]), np.array([[1], [2]])], r'gt\{1\}: start .* counted from 1, got 0 5'),
        ([np.array([[1.5], [5]]), np.array([[1], [2]])], r'got 1\.5 5'),
        ([np.array([[np.nan], [5]]), np.array([[1], [2]])], r'got nan 5'),
        (
            [np.array([[1, 2, 3]]), np.array([[1], [2]])],
            r'gt\{1\} must be numbers \(2, k\), first and last frames, got',
        ),
        ([np.array(['x']), np.array([[1], [2]])], r'gt\{1\} must be numbers \(2, k\), .* got <U1'),
    ],
)
def test_bad_intervals(tmp_path, cells, rule):
    write(tmp_path)
    path = write_cells(tmp_path / 'avenue.mat', 'gt', cells)
    with pytest.raises(DataError, match=rule) as error:
        CUHKAvenue(root=tmp_path, labels='intervals')
    assert str(error.value).startswith(f'{path}: ')


def test_an_interval_file_of_fewer_videos(tmp_path):
    write(tmp_path)
    write_cells(tmp_path / 'avenue.mat', 'gt', [np.array(INTERVALS[0])])
    with pytest.raises(DataError, match='video 02 must have intervals, got 1 videos'):
        CUHKAvenue(root=tmp_path, labels='intervals')


def test_intervals_beyond_the_end_are_cut(tmp_path):
    write(tmp_path, videos=None, masks=None, intervals='avenue.mat')
    (tmp_path / 'num_frames.csv').write_text('video,num_frames\n01,4\n02,3\n')
    benchmark = CUHKAvenue(root=tmp_path, labels='intervals')
    assert benchmark.records[0].intervals == [(1, 4)]
    assert ('warning', 'annotation-beyond-end') in codes(benchmark)


def test_a_normal_cell_may_be_empty(tmp_path):
    write(tmp_path)
    write_cells(tmp_path / 'avenue.mat', 'gt', [np.zeros((0, 0)), np.array(INTERVALS[1])])
    assert CUHKAvenue(root=tmp_path, labels='intervals').records[0].intervals == []


def test_tracks(tmp_path):
    write(tmp_path)
    (tmp_path / '01.txt').write_text('1,1,3,2,8,4\n')
    with pytest.raises(DataError, match=r'02\.txt: No such file; tracks must have one'):
        CUHKAvenue(root=tmp_path, tracks=tmp_path)
    (tmp_path / '02.txt').write_text('')
    assert CUHKAvenue(root=tmp_path, tracks=tmp_path).records[0].tracks.read().tolist() == [[1, 1, 3, 2, 8, 4]]


def test_it_is_built_from_a_config(tmp_path):
    assert DATASETS.build(dict(type='CUHKAvenue', root=str(write(tmp_path)))).name == 'avenue'
