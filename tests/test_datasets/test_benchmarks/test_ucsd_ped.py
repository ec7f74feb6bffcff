from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavida_mm.datasets.benchmarks.ucsd_ped import UCSDPed1, UCSDPed2, parse_intervals
from lavida_mm.datasets.video_reader import open_video
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError

HEIGHT, WIDTH = 12, 18
PED2 = {'Test001': [0, 0, 1, 1, 0], 'Test002': [1, 1, 0, 1]}
PED1 = {'Test001': [0, 1, 1, 1, 0, 0], 'Test002': [1, 0, 0], 'Test003': [0, 1, 1]}
RELEASE = 'UCSD_Anomaly_Dataset.v1p2'

# What the script of Ped1 says, clip by clip, and that of Ped2, with the end of clip 6 as in the copy with 1,648 frames.
PED1_RANGES = (
    '60:152 50:175 91:200 31:168 5:90,140:200 1:100,110:200 1:175 1:94 1:48 1:140 70:165 130:200 1:156 1:200 138:200 '
    '123:200 1:47 54:120 64:138 45:175 31:200 16:107 8:165 50:171 40:135 77:144 10:122 105:200 1:15,45:113 175:200 '
    '1:180 1:52,65:115 5:165 1:121 86:200 15:108'
)
PED2_RANGES = '61:180 95:180 1:146 31:180 1:129 1:159 46:180 1:180 1:120 1:150 1:180 88:180'
PED2_LENGTHS = (180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180)


def make_masks(labels):
    masks = np.zeros((len(labels), HEIGHT, WIDTH), dtype=np.uint8)
    masks[np.array(labels) == 1, 2:5, 3:9] = 255
    return masks


def write_images(folder: Path, images, pattern: str) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(images, start=1):
        cv2.imwrite(str(folder / pattern.format(number)), image)


def make_script(ranges, ending='\n') -> bytes:
    lines = ['% ground truth', 'TestVideoFile = {};', '']
    lines += [f'TestVideoFile{{end+1}}.gt_frame = [{text}];' for text in ranges]
    return ending.join(lines).encode()  # no newline behind the last line


def to_ranges(labels) -> str:
    padded = [0, *labels, 0]
    starts = [place for place in range(1, len(padded)) if padded[place] > padded[place - 1]]
    ends = [place - 1 for place in range(1, len(padded)) if padded[place] < padded[place - 1]]
    return ', '.join(f'{start}:{end}' for start, end in zip(starts, ends, strict=True))


def write(base: Path, name: str, clips: dict, *, frames=True, masked=None, script=True, odd=()) -> Path:
    """The test set ``name`` in the folder ``base``; ``odd`` clips have masks of the other names."""
    test = base / 'Test'
    test.mkdir(parents=True)
    for clip, labels in clips.items():
        if frames:
            grays = [np.full((HEIGHT, WIDTH), 9 * number, np.uint8) for number in range(len(labels))]
            write_images(test / clip, grays, '{:03d}.tif')
        if masked is None or clip in masked:
            pattern = 'frame{:03d}.bmp' if clip in odd else '{:03d}.bmp'
            write_images(test / f'{clip}_gt', make_masks(labels), pattern)
    if script:
        (test / f'{name}.m').write_bytes(make_script(to_ranges(labels) for labels in clips.values()))
    return base


def codes(benchmark):
    return [(finding.level, finding.code) for finding in benchmark.findings]


def check(benchmark, clips, at_hand=True, masked=None):
    assert [record.video_id for record in benchmark.records] == list(clips)
    for record, labels in zip(benchmark.records, clips.values(), strict=True):
        assert record.has_ground_truth and record.frame_labels(len(labels)).tolist() == labels
        assert len(record.interval_categories) == len(record.intervals)
        found = record.pixel_masks(np.arange(len(labels)), HEIGHT, WIDTH)
        assert (found is not None) == (masked is None or record.video_id in masked)
        if found is not None:
            assert np.array_equal(found, make_masks(labels) > 0)
        assert (record.path is not None) == at_hand
        if at_hand:
            with open_video(record.path) as reader:
                frames = reader.read(np.arange(reader.num_frames))
            assert frames.shape == (len(labels), HEIGHT, WIDTH, 3) == (record.num_frames, *frames.shape[1:])
            assert frames[:, 0, 0, 1].tolist() == [9 * number for number in range(len(labels))]


@pytest.mark.parametrize('inside', ['', 'UCSDped2', f'{RELEASE}/UCSDped2', 'ucsdped2'])
def test_ped2_layouts(tmp_path, inside):
    write(tmp_path / inside, 'UCSDped2', PED2, odd=['Test002'])
    benchmark = UCSDPed2(root=str(tmp_path))
    check(benchmark, PED2)
    assert benchmark.findings == [] and 'masks of 2 clips' in benchmark.layout


def test_the_root_may_be_the_folder_itself(tmp_path):
    check(UCSDPed2(root=write(tmp_path / 'UCSDped2', 'UCSDped2', PED2)), PED2)


def test_ped1_has_masks_for_some_clips_and_intervals_for_all(tmp_path):
    write(tmp_path / 'UCSDped1', 'UCSDped1', PED1, masked=['Test003'])
    benchmark = UCSDPed1(root=tmp_path)
    check(benchmark, PED1, masked=['Test003'])
    assert benchmark.findings == [] and benchmark.layout.startswith('folders of frames, UCSDped1.m, masks of 1 clips')


@pytest.mark.parametrize('parent', ['', RELEASE])
def test_the_other_one_beside_is_not_read(tmp_path, parent):
    write(tmp_path / parent / 'UCSDped1', 'UCSDped1', PED1, masked=[])
    write(tmp_path / parent / 'UCSDped2', 'UCSDped2', PED2)
    check(UCSDPed2(root=tmp_path), PED2)
    check(UCSDPed1(root=tmp_path), PED1, masked=[])


def test_the_other_one_alone(tmp_path):
    write(tmp_path / 'UCSDped1', 'UCSDped1', PED1)
    with pytest.raises(DataError, match='must hold a folder UCSDped2, got UCSDped1 only'):
        UCSDPed2(root=tmp_path)
    with pytest.raises(DataError, match=r'Test/UCSDped1\.m: belongs to UCSDped1, not to UCSDped2'):
        UCSDPed2(root=tmp_path / 'UCSDped1')
    (tmp_path / 'UCSDped1/Test/UCSDped1.m').unlink()
    with pytest.raises(DataError, match=r'UCSDped1: belongs to UCSDped1, not to UCSDped2'):
        UCSDPed2(root=tmp_path / 'UCSDped1')


def test_the_other_one_under_a_neutral_name_is_told_by_its_size(tmp_path):
    write(tmp_path, 'UCSDped1', PED1, script=False)
    write_images(tmp_path / 'Test/Test000', [np.zeros((158, 238), np.uint8)], '{:03d}.tif')
    with pytest.raises(DataError, match='frames are 158 x 238, which is the size of UCSDped1'):
        UCSDPed2(root=tmp_path)


def test_extra_clips(tmp_path):
    write(tmp_path, 'UCSDped2', {**PED2, 'Test013': [0, 1]}, script=False)
    benchmark = UCSDPed2(root=tmp_path, strict=False)
    check(benchmark, PED2)
    assert codes(benchmark) == [('error', 'extra-video')]
    assert str(benchmark.findings[0]).endswith('Test/Test013: UCSDped2 has clips 1 to 12, got clip 13')


def test_files_that_macos_leaves_are_ignored(tmp_path):
    write(tmp_path, 'UCSDped2', PED2)
    test = tmp_path / 'Test'
    for place in (test, test / 'Test001', test / 'Test001_gt'):
        (place / '.DS_Store').write_bytes(b'')
        (place / '._001.tif').write_bytes(b'resource fork')
        (place / '._001.bmp').write_bytes(b'resource fork')
    (test / '._Test003').mkdir()
    (test / '._UCSDped2.m').write_bytes(b'resource fork')
    check(UCSDPed2(root=tmp_path), PED2)


def test_annotation_alone(tmp_path):
    write(tmp_path / 'ped2', 'UCSDped2', PED2, frames=False)
    benchmark = UCSDPed2(root=tmp_path / 'ped2')
    check(benchmark, PED2, at_hand=False)
    assert [record.num_frames for record in benchmark.records] == [5, 4] and benchmark.findings == []
    write(tmp_path / 'ped1', 'UCSDped1', PED1, frames=False, masked=[])
    benchmark = UCSDPed1(root=tmp_path / 'ped1')
    check(benchmark, PED1, at_hand=False, masked=[])
    assert [record.num_frames for record in benchmark.records] == [None] * 3
    (tmp_path / 'ped1/num_frames.csv').write_text('video,num_frames\nTest001,6\nTest002,3\nTest003,3\n')
    assert [record.num_frames for record in UCSDPed1(root=tmp_path / 'ped1').records] == [6, 3, 3]


def test_frame_counts_at_odds(tmp_path):
    write(tmp_path, 'UCSDped2', PED2)
    (tmp_path / 'num_frames.csv').write_text('video,num_frames\nTest001,6\nTest002,4\n')
    with pytest.raises(DataError, match=r'num_frames of Test001 must be the number of its images, got 6, 5 images'):
        UCSDPed2(root=tmp_path)


@pytest.mark.parametrize(('reader', 'name'), [(UCSDPed1, 'UCSDped1'), (UCSDPed2, 'UCSDped2')])
def test_masks_or_script_alone_are_enough(tmp_path, reader, name):
    check(reader(root=write(tmp_path / 'masks', name, PED2, script=False)), PED2)
    benchmark = reader(root=write(tmp_path / 'script', name, PED2, masked=[]))
    check(benchmark, PED2, masked=[])
    assert codes(benchmark) == [('warning', 'no-masks')]


@pytest.mark.parametrize('reader', [UCSDPed1, UCSDPed2])
def test_neither_masks_nor_script(tmp_path, reader):
    write(tmp_path, 'x', PED2, masked=[], script=False)
    with pytest.raises(DataError, match=r'clip Test001 must have masks or a line in UCSDped\d\.m, got neither \(and 1'):
        reader(root=tmp_path)


def test_where_script_and_masks_differ(tmp_path):
    """The masks label Ped2, the script Ped1."""
    for name in ('UCSDped1', 'UCSDped2'):
        write(tmp_path / name, name, PED2)
        script = tmp_path / name / 'Test' / f'{name}.m'
        script.write_bytes(script.read_bytes().replace(b'[3:4]', b'[3:5]'))
    second = UCSDPed2(root=tmp_path)
    check(second, PED2)
    assert codes(second) == [('warning', 'labels-differ')]
    assert 'UCSDped2.m labels 3 frames, the masks show anomalies in 2, they differ in 1; masks' in str(
        second.findings[0]
    )
    first = UCSDPed1(root=tmp_path)
    assert first.records[0].frame_labels(5).tolist() == [0, 0, 1, 1, 1]
    assert codes(first) == [('warning', 'labels-differ')]


def test_ranges_beyond_the_end_are_cut(tmp_path):
    write(tmp_path, 'UCSDped1', {'Test001': [0, 1, 1]}, masked=[])
    (tmp_path / 'Test/UCSDped1.m').write_bytes(make_script(['2:9, 12:13']))
    benchmark = UCSDPed1(root=tmp_path)
    assert benchmark.records[0].intervals == [(1, 3)]
    assert codes(benchmark) == [('warning', 'annotation-beyond-end'), ('warning', 'no-masks')]
    assert 'UCSDped1.m says frames up to 13, the clip has 3; the rest is cut' in str(benchmark.findings[0])


def test_missing_clips_and_masks(tmp_path):
    write(tmp_path, 'UCSDped2', PED2)
    (tmp_path / 'Test/Test001_gt').rename(tmp_path / 'Test/gt')
    benchmark = UCSDPed2(root=tmp_path, strict=False)
    assert codes(benchmark) == [('error', 'missing-masks')] and benchmark.records[0].intervals == [(2, 4)]
    (tmp_path / 'Test/Test002').rename(tmp_path / 'Test/frames')
    found = UCSDPed2(root=tmp_path, strict=False).errors
    assert [(finding.code, Path(finding.where).name) for finding in found] == [
        ('missing-masks', 'Test001_gt'),
        ('missing-video', 'Test002'),
    ]


def test_bad_masks(tmp_path):
    write(tmp_path, 'UCSDped2', PED2)
    folder = tmp_path / 'Test/Test001_gt'
    record = UCSDPed2(root=tmp_path).records[0]
    with pytest.raises(DataError, match=r'001\.bmp: masks must be 240 x 360 as the frames are, got 12 x 18'):
        record.pixel_masks([0], 240, 360)
    cv2.imwrite(str(folder / '003.bmp'), np.full((HEIGHT, WIDTH), 100, np.uint8))
    with pytest.raises(DataError, match=r'003\.bmp: must hold 0 and 1 or 0 and 255 only, got 100'):
        UCSDPed2(root=tmp_path)
    (folder / '005.bmp').unlink()
    with pytest.raises(DataError, match=r'_gt: masks must be as many as frames, got 4 masks, 5 frames \(-1\)'):
        UCSDPed2(root=tmp_path)
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r'Test001_gt: must hold images \(\.bmp'):
        UCSDPed2(root=tmp_path)


def test_a_missing_frame(tmp_path):
    write(tmp_path, 'UCSDped2', PED2)
    (tmp_path / 'Test/Test001/003.tif').unlink()
    with pytest.raises(DataError, match=r'Test001: images must count up by one, got 4 from 001\.tif to 005\.tif'):
        UCSDPed2(root=tmp_path)


def test_empty_folders(tmp_path):
    with pytest.raises(DataError, match='holds no video and no annotation of benchmark ucsd_ped2'):
        UCSDPed2(root=tmp_path)
    (tmp_path / 'Test/Test001').mkdir(parents=True)
    with pytest.raises(DataError, match=r'Test001: must hold images \(\.tif'):
        UCSDPed2(root=tmp_path)


def test_tracks(tmp_path):
    write(tmp_path / 'data', 'UCSDped2', PED2)
    (tmp_path / 'Test001.txt').write_text('1,2,3,2,8,4\n')
    with pytest.raises(DataError, match=r'Test002\.txt: No such file; tracks must have one'):
        UCSDPed2(root=tmp_path / 'data', tracks=tmp_path)
    (tmp_path / 'Test002.txt').write_text('')
    records = UCSDPed2(root=tmp_path / 'data', tracks=tmp_path).records
    assert records[0].tracks.read().tolist() == [[1, 2, 3, 2, 8, 4]]


@pytest.mark.parametrize('ending', ['\n', '\r\n'])
def test_published_totals_of_ped1(tmp_path, ending):
    """36 clips of 200 frames: 4,045 anomalous ones with both ends of each range counted."""
    (tmp_path / 'UCSDped1.m').write_bytes(make_script(PED1_RANGES.split(), ending))
    lines = [f'Test{number:03d},200' for number in range(1, 37)]
    (tmp_path / 'num_frames.csv').write_text('\n'.join(['video,num_frames', *lines]))
    benchmark = UCSDPed1(root=tmp_path)
    assert codes(benchmark) == [('warning', 'no-masks')]
    assert sum(record.frame_labels(200).sum() for record in benchmark.records) == benchmark.totals.anomalous_frames
    assert sum(record.num_frames for record in benchmark.records) == benchmark.totals.frames
    assert benchmark.records[4].intervals == [(4, 90), (139, 200)]


def test_published_totals_of_ped2(tmp_path):
    (tmp_path / 'UCSDped2.m').write_bytes(make_script(PED2_RANGES.split()))
    lines = [f'Test{number:03d},{length}' for number, length in enumerate(PED2_LENGTHS, start=1)]
    (tmp_path / 'num_frames.csv').write_text('\n'.join(['video,num_frames', *lines]))
    benchmark = UCSDPed2(root=tmp_path)
    labels = [record.frame_labels(record.num_frames) for record in benchmark.records]
    assert (len(labels), sum(map(len, labels)), sum(map(sum, labels))) == (12, 2010, 1648)


@given(st.lists(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 50)), min_size=1, max_size=4), min_size=1))
def test_scripts_round_trip(tmp_path_factory, clips):
    path = tmp_path_factory.getbasetemp() / 'script.m'
    path.write_bytes(make_script(', '.join(f'{start}:{start + more}' for start, more in clip) for clip in clips))
    assert parse_intervals(path) == [[(start - 1, start + more) for start, more in clip] for clip in clips]


def test_forms_of_a_range(tmp_path):
    path = tmp_path / 'x.m'
    path.write_bytes(make_script(['7', '3:4 9', '', '2 : 3;8:9']) + b' % the last')
    assert parse_intervals(path) == [[(6, 7)], [(2, 4), (8, 9)], [], [(1, 3), (7, 9)]]


@pytest.mark.parametrize(
    ('line', 'rule'),
    [
        ('TestVideoFile{end+1}.gt_frame = [9:5];', r'x\.m:2: start must be at most end, got 9 5 in .Test'),
        ('TestVideoFile{end+1}.gt_frame = [0:5];', r'x\.m:2: ranges must be first:last in frames from 1 on, got .Test'),
        ('TestVideoFile{end+1}.gt_frame = [1:2:9];', 'ranges must be first:last'),
        ('TestVideoFile{end+1}.gt_frame = [a:b];', 'ranges must be first:last'),
        ('TestVideoFile{end+1}.gt_frame = 1:5;', r'x\.m:2: must be TestVideoFile\{end\+1\}\.gt_frame = \[first:last'),
        ('TestVideoFile{end+1}.gtframe = [1:5];', 'x.m:2: must be TestVideoFile'),
    ],
)
def test_bad_lines(tmp_path, line, rule):
    path = tmp_path / 'x.m'
    path.write_text(f'TestVideoFile = {{}};\n{line}\n')
    with pytest.raises(DataError, match=rule):
        parse_intervals(path)


def test_a_bad_line_names_file_and_line_once(tmp_path):
    write(tmp_path, 'UCSDped2', PED2)
    script = tmp_path / 'Test/UCSDped2.m'
    script.write_bytes(script.read_bytes().replace(b'3:4', b'4:3'))
    with pytest.raises(DataError) as error:
        UCSDPed2(root=tmp_path)
    assert str(error.value).startswith(f'{script}:4: start must be at most end, got 4 3 in ')
    with pytest.raises(DataError, match=r'x\.m: No such file'):
        parse_intervals(tmp_path / 'x.m')
    (tmp_path / 'x.m').write_text('x = 3;\n')
    with pytest.raises(DataError, match=r'x\.m: must hold a line TestVideoFile'):
        parse_intervals(tmp_path / 'x.m')


def test_they_are_built_from_configs(tmp_path):
    write(tmp_path / 'UCSDped1', 'UCSDped1', PED1)
    write(tmp_path / 'UCSDped2', 'UCSDped2', PED2)
    built = [DATASETS.build(dict(type=name, root=str(tmp_path))) for name in ('UCSDPed1', 'UCSDPed2')]
    assert [benchmark.name for benchmark in built] == ['ucsd_ped1', 'ucsd_ped2']
