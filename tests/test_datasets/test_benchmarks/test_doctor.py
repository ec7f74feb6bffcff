"""The doctor finds what was planted, names it by its code, and lets a clean benchmark pass: through its command."""

import ast
import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark, BenchmarkTotals
from lavida_mm.datasets.benchmarks.doctor import check_benchmark, find_benchmarks
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError, UsageError, run_tool
from tests.conftest import ROOT, run_python
from tests.test_datasets.test_benchmarks.miniatures import MINIATURES, make_masks, make_video, write_images
from tests.videos import red_square_frames, write_video

TOOL = ROOT / 'tools' / 'dataset_tools' / 'check_benchmark.py'
UCF_LIST = 'Temporal_Anomaly_Annotation_for_Testing_Videos.txt'


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope='module')
def clean(tmp_path_factory) -> dict[str, Path]:
    """One clean miniature of each benchmark, not to be changed."""
    roots = {}
    for name, make in MINIATURES.items():
        roots[name] = tmp_path_factory.mktemp('clean') / name
        roots[name].mkdir()
        make(roots[name])
    return roots


@pytest.fixture
def doctor(monkeypatch, capfd):
    """Runs the command in this process: the imports of a new one would take longer than the check."""
    spec = importlib.util.spec_from_file_location('check_benchmark_tool', TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def run(*args) -> Done:
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
        code = 0
        try:
            run_tool(tool.main)
        except SystemExit as end:
            code = end.code
        return Done(code, *capfd.readouterr())

    return run


def find_codes(done: Done, level: str | None = None) -> set[str]:
    findings = json.loads(done.stdout)['findings']
    return {finding['code'] for finding in findings if level in (None, finding['level'])}


# ---- clean ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', MINIATURES)
def test_clean_miniature_passes(name, clean, doctor):
    done = doctor(name, clean[name], '--deep', '--json')
    report = json.loads(done.stdout)
    assert done.code == 0, report['findings']
    assert done.stderr == ''
    assert report['ok'] and report['num_errors'] == 0
    assert report['layout']
    assert find_codes(done) <= {'count-differs', 'no-masks', 'no-ground-truth'}
    lengths = {
        'ucf_crime': (3, 31, 3 + 2 + 5),
        'xd_violence': (3, 29, 3 + 3 + 4),
        'ubnormal': (2, 14, 3),
        'shanghaitech': (2, 14, 6),
        'ucsd_ped1': (2, 14, 6),
        'ucsd_ped2': (2, 14, 6),
        'avenue': (2, 14, 6),
        'manifest': (2, 14, 3),
        'folder': (2, 14, None),
    }
    assert tuple(row['found'] for row in report['counts']) == lengths[name]
    assert report['num_decoded'] == lengths[name][1]


def test_every_benchmark_has_a_miniature():
    assert set(find_benchmarks()) == set(MINIATURES)


# ---- planted faults -------------------------------------------------------------------------------------------------


def truncate(path: Path, share: float = 0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def ucf_missing_video(root: Path) -> None:
    (root / 'Anomaly-Videos' / 'Abuse' / 'Abuse028_x264.mp4').unlink()


def ucf_truncated_video(root: Path) -> None:
    truncate(root / 'Anomaly-Videos' / 'Abuse' / 'Abuse028_x264.mp4')


def ucf_empty_video(root: Path) -> None:
    (root / 'Anomaly-Videos' / 'Abuse' / 'Abuse028_x264.mp4').write_bytes(b'')


def ucf_text_as_video(root: Path) -> None:
    (root / 'Anomaly-Videos' / 'Abuse' / 'Abuse028_x264.mp4').write_text('404: not found\n' * 40)


def ucf_beyond_end(root: Path) -> None:
    edit(root / UCF_LIST, '8  9', '8  40')


def ucf_end_before_start(root: Path) -> None:
    edit(root / UCF_LIST, '3  5', '5  3')


def ucf_unknown_class(root: Path) -> None:
    edit(root / UCF_LIST, 'Arrest001_x264  Arrest', 'Arrest001_x264  Kidnapping')


def ucf_malformed_line(root: Path) -> None:
    edit(root / UCF_LIST, '2  6', '2  six')


def ucf_duplicate_line(root: Path) -> None:
    with open(root / UCF_LIST, 'a') as file:
        file.write('Arrest001_x264  Arrest  2  6  -1  -1\n')


def ucf_duplicate_video(root: Path) -> None:
    make_video(root / 'Anomaly-Videos-Part-1' / 'Abuse' / 'Abuse028_x264.mp4', 7)


def ucf_empty_list(root: Path) -> None:
    (root / UCF_LIST).write_bytes(b'')


def ucf_no_list(root: Path) -> None:
    (root / UCF_LIST).unlink()


def ucf_numpy_as_text(root: Path) -> None:
    with open(root / UCF_LIST, 'wb') as file:
        np.save(file, np.zeros(4))


def ucf_frames_differ(root: Path) -> None:
    (root / 'num_frames.csv').write_text(
        'video,num_frames\nAbuse028_x264,17\nArrest001_x264,10\nNormal_Videos_003_x264,9\n'
    )


def ucf_off_by_one(root: Path) -> None:
    (root / 'num_frames.csv').write_text(
        'video,num_frames\nAbuse028_x264,12\nArrest001_x264,11\nNormal_Videos_003_x264,9\n'
    )


def xd_missing_video(root: Path) -> None:
    (root / 'videos' / 'v=abc__#1_label_B1-0-0.mp4').unlink()


def xd_list_of_814(root: Path) -> None:
    """As that list has it: a violent video with suffix, and a second time without, as normal."""
    edit(
        root / 'annotations.txt',
        'v=abc__#1_label_B1-0-0 1',
        'v=abc__#1_label_B1-0-0 -1 -1\nv=abc__#1_label_B1-0-0.mp4 1',
    )


def xd_unknown_class(root: Path) -> None:
    (root / 'videos' / 'x_label_G-B2-0.mp4').rename(root / 'videos' / 'x_label_B9-0-0.mp4')
    edit(root / 'annotations.txt', 'x_label_G-B2-0', 'x_label_B9-0-0')


def ub_missing_mask_folder(root: Path) -> None:
    folder = root / 'Scene1' / 'abnormal_scene_1_scenario_1_annotations'
    for file in folder.glob('*.png'):
        file.unlink()


def ub_no_tracks(root: Path) -> None:
    next(root.rglob('*_tracks.txt')).unlink()


def ub_truncated_mask(root: Path) -> None:
    truncate(sorted(root.rglob('*_gt.png'))[3])


def ub_end_before_start(root: Path) -> None:
    next(root.rglob('*_tracks.txt')).write_text('3,4,2\n')


def st_off_by_one_label(root: Path) -> None:
    np.save(root / 'testing' / 'test_frame_mask' / '01_0014.npy', np.r_[0, 0, 1, 1, 1, 0, 0])


def st_label_too_long(root: Path) -> None:
    np.save(root / 'testing' / 'test_frame_mask' / '01_0014.npy', np.r_[0, 0, 1, 1, 1, np.zeros(40, int)])


def st_missing_mask_folder(root: Path) -> None:
    shutil.rmtree(root / 'testing' / 'test_pixel_mask')


def st_missing_label(root: Path) -> None:
    (root / 'testing' / 'test_frame_mask' / '01_0014.npy').unlink()


def st_wrong_mask_size(root: Path) -> None:
    np.save(root / 'testing' / 'test_pixel_mask' / '01_0014.npy', np.zeros((8, 16, 20), np.uint8))


def st_non_binary_mask(root: Path) -> None:
    np.save(root / 'testing' / 'test_pixel_mask' / '01_0014.npy', make_masks(8, range(2, 5)) * 7 + 1)


def st_truncated_label(root: Path) -> None:
    truncate(root / 'testing' / 'test_pixel_mask' / '01_0014.npy')


def st_zero_byte_image(root: Path) -> None:
    (root / 'testing' / 'frames' / '01_0014' / '004.jpg').write_bytes(b'')


def st_broken_image(root: Path) -> None:
    (root / 'testing' / 'frames' / '01_0014' / '004.jpg').write_bytes(b'\xff\xd8' + b'no picture' * 9)


def st_missing_frames(root: Path) -> None:
    shutil.rmtree(root / 'testing' / 'frames' / '01_0014')


def st_frame_of_another_size(root: Path) -> None:
    cv2.imwrite(str(root / 'testing' / 'frames' / '01_0014' / '004.jpg'), np.zeros((20, 24, 3), np.uint8))


def ped_extra_ped1(root: Path) -> None:
    MINIATURES['ucsd_ped1'](root)


def ped_clips_of_ped1(root: Path) -> None:
    for number in range(3, 15):
        write_images(root / 'UCSDped2' / 'Test' / f'Test{number:03d}', 4, '{1:03d}.tif', gray=True)


def ped_is_ped1(root: Path) -> None:
    for file in root.rglob('*.tif'):
        cv2.imwrite(str(file), np.zeros((158, 238), np.uint8))


def ped_missing_masks(root: Path) -> None:
    shutil.rmtree(root / 'UCSDped2' / 'Test' / 'Test002_gt')


def ped_non_binary_mask(root: Path) -> None:
    cv2.imwrite(str(root / 'UCSDped2' / 'Test' / 'Test001_gt' / '004.bmp'), make_masks(1, range(0, 1))[0] * 130 + 3)


def ped_wrong_mask_size(root: Path) -> None:
    cv2.imwrite(str(root / 'UCSDped2' / 'Test' / 'Test001_gt' / '004.bmp'), np.zeros((16, 20), np.uint8))


def ped_one_mask_short(root: Path) -> None:
    (root / 'UCSDped2' / 'Test' / 'Test001_gt' / '008.bmp').unlink()


def avenue_missing_label(root: Path) -> None:
    (root / 'ground_truth_demo' / 'testing_label_mask' / '2_label.mat').unlink()


def avenue_off_by_one(root: Path) -> None:
    (root / 'testing_videos' / '01.avi').unlink()
    make_video(root / 'testing_videos' / '01.avi', 9)


def avenue_truncated_label(root: Path) -> None:
    truncate(root / 'ground_truth_demo' / 'testing_label_mask' / '1_label.mat')


def avenue_wrong_mask_size(root: Path) -> None:
    (root / 'testing_videos' / '01.avi').unlink()
    write_video(root / 'testing_videos' / '01.avi', red_square_frames(8, 48, 64), codec='mpeg4')


def manifest_end_before_start(root: Path) -> None:
    edit(root / 'manifest.json', '"start": 2, "end": 5', '"start": 5, "end": 2')


def manifest_missing_video(root: Path) -> None:
    (root / 'monday.mp4').unlink()


def manifest_duplicate_video(root: Path) -> None:
    edit(root / 'manifest.json', '"video_id": "tuesday"', '"video_id": "monday"')


def folder_truncated_video(root: Path) -> None:
    truncate(root / 'monday.mp4')


def folder_empty(root: Path) -> None:
    for file in root.iterdir():
        file.unlink()


# what is planted, in which benchmark, what the doctor calls it, whether --deep is needed to see it
ERRORS = [
    ('ucf_crime', ucf_missing_video, 'missing-video', False),
    ('ucf_crime', ucf_truncated_video, 'unreadable-video', True),
    ('ucf_crime', ucf_empty_video, 'unreadable-video', False),
    ('ucf_crime', ucf_text_as_video, 'unreadable-video', True),
    ('ucf_crime', ucf_end_before_start, 'malformed-line', False),
    ('ucf_crime', ucf_unknown_class, 'unknown-class', False),
    ('ucf_crime', ucf_malformed_line, 'malformed-line', False),
    ('ucf_crime', ucf_duplicate_line, 'duplicate-line', False),
    ('ucf_crime', ucf_duplicate_video, 'duplicate-video', False),
    ('ucf_crime', ucf_empty_list, 'empty-benchmark', False),
    ('ucf_crime', ucf_no_list, 'missing-annotation', False),
    ('ucf_crime', ucf_numpy_as_text, 'unreadable-annotation', False),
    ('ucf_crime', ucf_frames_differ, 'length-differs', True),
    ('xd_violence', xd_missing_video, 'missing-video', False),
    ('xd_violence', xd_unknown_class, 'unknown-class', False),
    ('ubnormal', ub_no_tracks, 'missing-tracks', False),
    ('ubnormal', ub_truncated_mask, 'bad-mask', True),
    ('ubnormal', ub_end_before_start, 'malformed-line', False),
    ('shanghaitech', st_off_by_one_label, 'length-differs', False),
    ('shanghaitech', st_label_too_long, 'length-differs', False),
    ('shanghaitech', st_missing_label, 'missing-labels', False),
    ('shanghaitech', st_wrong_mask_size, 'bad-mask', True),
    ('shanghaitech', st_non_binary_mask, 'bad-mask', True),
    ('shanghaitech', st_truncated_label, 'bad-mask', False),
    ('shanghaitech', st_zero_byte_image, 'empty-file', False),
    ('shanghaitech', st_broken_image, 'unreadable-video', True),
    ('shanghaitech', st_missing_frames, 'missing-video', False),
    ('shanghaitech', st_frame_of_another_size, 'unreadable-video', True),
    ('ucsd_ped2', ped_clips_of_ped1, 'extra-video', False),
    ('ucsd_ped2', ped_is_ped1, 'wrong-benchmark', False),
    ('ucsd_ped2', ped_missing_masks, 'missing-masks', False),
    ('ucsd_ped2', ped_non_binary_mask, 'bad-mask', True),
    ('ucsd_ped2', ped_wrong_mask_size, 'bad-mask', True),
    ('ucsd_ped2', ped_one_mask_short, 'length-differs', False),
    ('avenue', avenue_missing_label, 'missing-masks', False),
    ('avenue', avenue_off_by_one, 'length-differs', True),
    ('avenue', avenue_truncated_label, 'bad-mask', False),
    ('avenue', avenue_wrong_mask_size, 'bad-mask', True),
    ('manifest', manifest_end_before_start, 'bad-manifest', False),
    ('manifest', manifest_missing_video, 'missing-video', False),
    ('manifest', manifest_duplicate_video, 'duplicate-video', False),
    ('folder', folder_truncated_video, 'unreadable-video', True),
    ('folder', folder_empty, 'empty-benchmark', False),
]
WARNINGS = [
    ('xd_violence', xd_list_of_814, 'listed-twice', False),
    ('ubnormal', ub_missing_mask_folder, 'no-masks', False),
    ('shanghaitech', st_missing_mask_folder, 'no-masks', False),
    ('ucf_crime', ucf_beyond_end, 'annotation-beyond-end', True),
    ('ucf_crime', ucf_off_by_one, 'length-differs', True),
    ('ucsd_ped2', ped_extra_ped1, 'other-benchmark', False),
]


def name_fault(case) -> str:
    return case.__name__ if callable(case) else ''


@pytest.mark.parametrize(('name', 'plant', 'code', 'deep'), ERRORS, ids=name_fault)
def test_planted_fault_is_an_error_with_its_code(name, plant, code, deep, clean, doctor, tmp_path):
    root = shutil.copytree(clean[name], tmp_path / name)
    plant(root)
    done = doctor(name, root, '--json', *['--deep'] * deep)
    assert code in find_codes(done, 'error'), done.stdout
    assert done.code == 1
    assert 'Traceback' not in done.stderr
    text = doctor(name, root, *['--deep'] * deep)
    assert text.code == 1 and f'error    {code}' in text.stdout


@pytest.mark.parametrize(('name', 'plant', 'code', 'deep'), WARNINGS, ids=name_fault)
def test_what_is_handled_is_a_warning(name, plant, code, deep, clean, doctor, tmp_path):
    root = shutil.copytree(clean[name], tmp_path / name)
    plant(root)
    done = doctor(name, root, '--json', *['--deep'] * deep)
    assert code in find_codes(done, 'warning'), done.stdout
    assert done.code == 0, done.stdout


def test_error_says_by_how_much_the_lengths_differ(clean, doctor, tmp_path):
    root = shutil.copytree(clean['avenue'], tmp_path / 'avenue')
    avenue_off_by_one(root)
    assert '8' in (text := doctor('avenue', root, '--deep').stdout) and '+1' in text


def test_ped1_beside_ped2_adds_no_clip(clean, doctor, tmp_path):
    root = shutil.copytree(clean['ucsd_ped2'], tmp_path / 'both')
    ped_extra_ped1(root)
    for name in ('ucsd_ped1', 'ucsd_ped2'):
        assert json.loads(doctor(name, root, '--json').stdout)['counts'][0]['found'] == 2


def test_names_without_last_newline_pass(clean, doctor, tmp_path):
    root = shutil.copytree(clean['ucf_crime'], tmp_path / 'ucf')
    (root / UCF_LIST).write_text((root / UCF_LIST).read_text().rstrip('\n'))
    done = doctor('ucf_crime', root, '--json')
    assert done.code == 0 and json.loads(done.stdout)['counts'][0]['found'] == 3


# ---- real annotation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'counts'), [('ucf_crime', (290, 1_111_808, 84_331)), ('xd_violence', (800, 2_335_801, 539_562))]
)
def test_real_annotation_alone_has_the_published_counts(name, counts, doctor, shared_data):
    done = doctor(name, shared_data / 'annotations' / name, '--json')
    report = json.loads(done.stdout)
    assert done.code == 0, report['findings']
    assert tuple(row['found'] for row in report['counts']) == counts
    assert {row['verdict'] for row in report['counts']} == {'same'}
    assert 'no-videos' in find_codes(done, 'warning')


def test_list_of_814_videos_is_named(doctor, shared_data, tmp_path):
    source = shared_data / 'annotations' / 'xd_violence'
    root = shutil.copytree(source, tmp_path / 'xd')
    lines = (root / 'num_frames.csv').read_text().splitlines()
    (root / 'num_frames.csv').write_text('\n'.join(lines + [f'extra__#{n}_label_A,100' for n in range(14)]))
    done = doctor('xd_violence', root, '--json')
    report = json.loads(done.stdout)
    assert report['counts'][0]['found'] == 814
    assert report['counts'][0]['verdict'] == '14 more than the 800 published'
    assert 'count-differs' in find_codes(done, 'warning')


def test_counts_under_another_option_are_not_held_against_the_published(doctor, shared_data):
    root = shared_data / 'annotations' / 'ucf_crime'
    done = doctor('ucf_crime', root, '--json', '--options', 'interval_ends=half-open')
    report = json.loads(done.stdout)
    assert report['options']['interval_ends'] == 'half-open'
    assert report['counts'][2]['found'] < 84_331
    assert 'count-differs' not in find_codes(done)


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['no_such_name', '.'], 'must be one of avenue'),
        (['ucf_crime', '.', '--options', 'nonsense'], 'NAME=VALUE'),
        (['ucf_crime', '.', '--options', 'no_such=1'], "got 'no_such'"),
        (['ucf_crime', '.', '--options', 'interval_ends=sometimes'], 'sometimes'),
    ],
)
def test_wrong_usage_ends_with_2(args, message, doctor):
    done = doctor(*args)
    assert done.code == 2
    assert message in done.stderr and done.stderr.startswith('error: ') and done.stdout == ''


def test_missing_root_is_reported_as_json_too(doctor, tmp_path):
    done = doctor('folder', tmp_path / 'absent', '--json')
    assert done.code == 1 and find_codes(done) == {'unusable-root'}


def test_command_as_typed(clean):
    done = run_python(TOOL.relative_to(ROOT), 'folder', clean['folder'], '--deep')
    assert done.stderr == ''  # no bar where nobody watches
    assert 'layout' in done.stdout and '0 errors' in done.stdout
    assert re.search(r'^frames +14 ', done.stdout, flags=re.MULTILINE)


def test_bar_is_drawn_where_someone_watches(doctor, clean, monkeypatch):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
    done = doctor('folder', clean['folder'], '--deep', '--json')
    assert '2/2' in done.stderr and '14 frames' in done.stderr
    json.loads(done.stdout)
    assert doctor('folder', clean['folder'], '--json').stderr == ''


def test_nothing_is_written_into_the_root(clean, doctor):
    before = {path: path.stat().st_mtime_ns for path in clean['avenue'].rglob('*')}
    doctor('avenue', clean['avenue'], '--deep')
    assert before == {path: path.stat().st_mtime_ns for path in clean['avenue'].rglob('*')}


# ---- what the doctor adds to any reader -----------------------------------------------------------------------------


class FixedTracks:
    def __init__(self, rows):
        self.rows = rows

    def read(self):
        if self.rows is None:
            raise DataError('tracks.txt:3: must be numbers')
        return np.asarray(self.rows, dtype=np.float64).reshape(-1, 6)


class FixedMasks:
    def __init__(self, masks):
        self.masks = masks.astype(bool)

    def read(self, frame_inds, height, width):
        return self.masks[list(frame_inds)]


@pytest.fixture
def examine(monkeypatch):
    """Runs the doctor over records that a test makes up."""

    def run(root: Path, records: list[VideoRecord], *, totals=None, deep=True, progress=None):
        class MadeUp(BaseBenchmark):
            name = 'made_up'

            def _read(self):
                return records

        MadeUp.totals = totals or BenchmarkTotals()
        monkeypatch.setattr('lavida_mm.datasets.benchmarks.doctor.find_benchmarks', lambda: {'made_up': MadeUp})
        return check_benchmark('made_up', root, deep=deep, progress=progress)

    return run


def codes_of(report) -> dict[str, str]:
    return {finding.code: finding.level for finding in report.findings}


def test_tracks_that_cannot_be_read_or_lie_beyond_the_end(examine, tmp_path):
    write_images(tmp_path / 'a', 4, '{0}.png')
    record = VideoRecord('a', tmp_path / 'a', num_frames=4, tracks=FixedTracks(None))
    assert codes_of(examine(tmp_path, [record])) == {'bad-tracks': 'error'}
    record.tracks = FixedTracks([[0, 9, 1, 1, 2, 2]])
    assert codes_of(examine(tmp_path, [record])) == {'track-beyond-end': 'warning'}


def test_mask_on_a_frame_that_is_labelled_normal(examine, tmp_path):
    write_images(tmp_path / 'a', 6, '{0}.png')
    masks = FixedMasks(make_masks(6, range(2, 5)))
    record = VideoRecord('a', tmp_path / 'a', num_frames=6, intervals=[(3, 5)], interval_categories=['x'], masks=masks)
    report = examine(tmp_path, [record])
    assert codes_of(report) == {'mask-on-normal-frame': 'warning'}
    assert '1 frame ' in report.findings[0].message and 'is 2' in report.findings[0].message


def test_size_that_differs_from_the_record(examine, tmp_path):
    write_images(tmp_path / 'a', 4, '{0}.png')
    record = VideoRecord('a', tmp_path / 'a', num_frames=4, height=240, width=360)
    report = examine(tmp_path, [record])
    assert codes_of(report) == {'size-differs': 'error'} and '240 x 360' in report.findings[0].message


def test_one_missing_video_among_others(examine, tmp_path):
    write_images(tmp_path / 'a', 4, '{0}.png')
    records = [VideoRecord('a', tmp_path / 'a', num_frames=4), VideoRecord('b', None)]
    report = examine(tmp_path, records)
    assert codes_of(report) == {'missing-video': 'error'}
    assert report.counts[1].found is None and '1 video' in report.counts[1].verdict


def test_all_broken_images_of_a_folder_are_counted(examine, tmp_path):
    write_images(tmp_path / 'a', 6, '{0}.png')
    for number in (1, 3, 4):
        (tmp_path / 'a' / f'{number}.png').write_bytes(b'no picture')
    report = examine(tmp_path, [VideoRecord('a', tmp_path / 'a', num_frames=6)])
    assert codes_of(report) == {'unreadable-video': 'error'}
    assert '1.png' in report.findings[0].message and 'and 2 more' in report.findings[0].message


def test_counts_against_totals(examine, tmp_path):
    write_images(tmp_path / 'a', 4, '{0}.png')
    record = VideoRecord('a', tmp_path / 'a', num_frames=4, intervals=[(1, 3)], interval_categories=['x'])
    report = examine(tmp_path, [record], totals=BenchmarkTotals(videos=1, frames=5, anomalous_frames=1))
    assert [row.verdict for row in report.counts] == [
        'same',
        '1 fewer than the 5 published',
        '1 more than the 1 published',
    ]
    assert report.ok and codes_of(report) == {'count-differs': 'warning'}


def test_progress_reaches_the_end(examine, tmp_path):
    records = []
    for name in 'abc':
        write_images(tmp_path / name, 30, '{0}.png')
        records.append(VideoRecord(name, tmp_path / name, num_frames=30))
    calls = []
    examine(tmp_path, records, progress=lambda *call: calls.append(call))
    assert calls == sorted(calls) and calls[-1] == (3, 3, 90)
    assert {total for _, total, _ in calls} == {3}


def test_unknown_benchmark_and_option():
    with pytest.raises(UsageError, match="got 'nothing'"):
        check_benchmark('nothing', '.')
    with pytest.raises(UsageError, match='option of folder'):
        check_benchmark('folder', '.', options={'colour': 1})


# ---- the page -------------------------------------------------------------------------------------------------------


def list_codes_in_source() -> dict[str, set[str]]:
    """Code -> levels, from every call in the package that notes a finding."""
    codes: dict[str, set[str]] = {}
    for file in sorted((ROOT / 'lavida_mm' / 'datasets' / 'benchmarks').glob('*.py')):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, 'id', '')
            values = [arg.value if isinstance(arg, ast.Constant) else None for arg in node.args]
            if called in ('error', 'warn') and values and isinstance(values[0], str):
                codes.setdefault(values[0], set()).add('error' if called == 'error' else 'warning')
            elif called == 'Finding' and len(values) > 1 and isinstance(values[1], str):
                codes.setdefault(values[1], set()).add(values[0])
    return codes


def test_page_lists_every_code_with_its_level():
    page = (ROOT / 'docs' / 'doctor.md').read_text()
    rows = re.findall(r'^\| `([a-z0-9-]+)` \| (error|warning|error or warning) \|', page, flags=re.MULTILINE)
    assert len(rows) == len(set(rows)) > 10
    assert {code: set(level.split(' or ')) for code, level in rows} == list_codes_in_source()
    assert [code for code, _ in rows] == sorted(code for code, _ in rows)


@pytest.mark.parametrize('name', list(MINIATURES))
def test_every_benchmark_has_a_page_with_its_command(name):
    page = (ROOT / 'docs' / 'benchmarks' / f'{name}.md').read_text()
    assert f'python tools/dataset_tools/check_benchmark.py {name} ' in page
    assert f'({name}.md)' in (ROOT / 'docs' / 'benchmarks' / 'index.md').read_text()
