import importlib.util
import re

import av
import cv2
import numpy as np
import pytest

from lavida_mm.utils.errors import UsageError
from tests.conftest import ROOT


@pytest.fixture(scope='module')
def reading():
    specification = importlib.util.spec_from_file_location('reading', ROOT / 'benchmarks' / 'reading.py')
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def video(reading, tmp_path_factory):
    path = tmp_path_factory.mktemp('reading') / 'video.mp4'
    reading.write_video(path, reading.QUICK)
    return path


def test_video_has_the_groups_and_the_motion_it_promises(video):
    with av.open(str(video)) as container:
        frames = list(container.decode(video=0))
    assert [index for index, frame in enumerate(frames) if frame.key_frame] == list(range(0, 320, 50))
    first, second = (frame.to_ndarray(format='gray').astype(int) for frame in frames[:2])
    assert np.abs(first - second).mean() > 0.5


def test_quick_benchmark_prints_its_table_and_draws_the_memory(reading, video, tmp_path, capsys):
    picture, written = tmp_path / 'memory.png', video.stat().st_mtime_ns
    reading.main(['--quick', '--repeats', '1', '--keep', str(video), '--plot', str(picture)])
    assert video.stat().st_mtime_ns == written
    out = capsys.readouterr().out
    assert out.startswith('320 frames of 160x96, H.264, a key frame every 50')
    assert '20 windows of 8 frames, one every 16' in out
    rows = re.findall(r'^(floor|ours|decord)[:., ].*? +([\d.]+) +[\d.]+ +[\d,]+$', out, flags=re.MULTILINE)
    assert [name for name, _ in rows] == ['ours', 'floor', 'ours', 'ours', 'ours', 'floor', 'decord']
    assert re.search(r'^ours / floor: [\d.]+ \([\d.]+ in CPU time\)$', out, flags=re.MULTILINE)
    assert re.search(r'^decord per window / ours: [\d.]+ \([\d.]+ in CPU time\)$', out, flags=re.MULTILINE)
    memory = re.search(r'^memory that reading adds, .*: (-?[\d.]+) to (-?[\d.]+) MB$', out, flags=re.MULTILINE)
    assert float(memory[1]) <= float(memory[2]) and picture.is_file()


def test_a_kept_video_of_another_length(reading, video):
    with pytest.raises(UsageError, match=r'--keep: .*video\.mp4 must have the 30000 frames .*, it has 320'):
        reading.main(['--keep', str(video)])


def test_targets_are_judged_in_the_full_run_only(reading, capsys):
    for ratio, quick in ((1.2, True), (1.2, False), (1.6, False)):
        reading.judge('x', np.array([ratio, 1.0]), 'at most 1.5', lambda value: value <= 1.5, quick)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        'x: 1.20 (1.00 in CPU time)',
        'x: 1.20 (1.00 in CPU time); must be at most 1.5: met',
        'x: 1.60 (1.00 in CPU time); must be at most 1.5: NOT MET',
    ]


@pytest.mark.parametrize('used', [(30, 31, 32), (0, 0, 0), (-2, -1, -1)])
def test_picture_of_the_memory(reading, tmp_path, used):
    """Nothing is added where the process had freed as much before: matplotlib warned of an axis without extent."""
    picture = tmp_path / 'memory.png'
    reading.draw_memory(picture, np.arange(3) * 64, np.array(used, dtype=float), reading.QUICK)
    assert cv2.imread(str(picture)).shape[2] == 3


def test_both_ways_use_the_same_frames(reading):
    windows = reading.tile_windows(320, reading.WINDOW, reading.STEP // reading.WINDOW)
    assert windows.ravel().tolist() == [index for index in range(320) if reading.even_frames(index)]
    consecutive = [index for index in range(320) if reading.first_half(index)]
    assert len(consecutive) == windows.size and consecutive[:9] == [0, 1, 2, 3, 4, 5, 6, 7, 16]


def test_repeats_must_be_a_number_of_at_least_one(reading, capsys):
    with pytest.raises(SystemExit, match='2'):
        reading.parse_args(['--repeats', '0'])
    assert '--repeats must be at least 1, got 0' in capsys.readouterr().err
