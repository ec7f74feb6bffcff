"""demo/video_demo.py as users type it: three whole files, or one line that says what is wrong and no file."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lavida_mm.utils import run_tool
from tests.conftest import ROOT, uncovered_environment
from tests.videos import red_square_frames, write_video

DEMO = ROOT / 'demo' / 'video_demo.py'
CONFIG = """
custom_imports = dict(imports=['tests.fake_detector'])
model = dict(type='RednessDetector', {})
"""
OUTPUTS = ['annotated.mp4', 'scores.json', 'scores.png']


@pytest.fixture(scope='module')
def demo():
    spec = importlib.util.spec_from_file_location('video_demo', DEMO)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A config, its weights (a red square on a quarter of the frame scores 1) and a clip of 24 frames at 8 a second."""
    folder = tmp_path_factory.mktemp('demo')
    (folder / 'config.py').write_text(CONFIG.format('delay=0.0'))
    save_file({'gain': torch.tensor(4.0)}, folder / 'weights.safetensors')
    write_video(folder / 'clip.mp4', red_square_frames(24, present=[*range(6, 12), *range(14, 20)]), fps=8)
    return folder


@pytest.fixture
def run(demo, files, tmp_path, capsys, monkeypatch):
    """Run the demo in this process; gives exit code, stdout, stderr and the folder of outputs."""
    monkeypatch.setattr(signal, 'signal', lambda *_: None)

    def run(video, *options, out=None, categories='red square'):
        out = out or tmp_path / 'out'
        base = ['--config', files / 'config.py', '--checkpoint', files / 'weights.safetensors', '--device', 'cpu']
        argv = [video, '--categories', categories, *base, '--out-dir', out, *options]
        code = 0
        try:
            run_tool(lambda: demo.run([str(arg) for arg in argv]))
        except SystemExit as leave:
            code = leave.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err, out

    return run


def command(files, video, out, config=None):
    base = ['--config', config or files / 'config.py', '--checkpoint', files / 'weights.safetensors', '--device', 'cpu']
    return [str(arg) for arg in (sys.executable, DEMO, video, '--categories', 'a', *base, '--out-dir', out)]


ENVIRONMENT = {**os.environ, 'PYTHONPATH': str(ROOT)}


def frames_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]


def assert_nothing_written(out):
    assert not out.exists() or not list(out.iterdir())


def assert_one_line(err):
    assert err.startswith('error: ') and err.count('\n') == 1, err


def test_three_files_and_a_table(run, files):
    code, printed, err, out = run(files / 'clip.mp4', '--window', '4')
    assert code == 0, err
    assert sorted(os.listdir(out)) == [f'clip_{name}' for name in OUTPUTS]

    report = json.loads((out / 'clip_scores.json').read_text())
    scores = report.pop('frame_scores')
    np.testing.assert_allclose(scores, [1.0 if n in {*range(6, 12), *range(14, 20)} else 0.0 for n in range(24)])
    # Two frames, a quarter of a second, lie between the two visits: one event.
    event = dict(start_frame=6, end_frame=20, start_seconds=0.75, end_seconds=2.5, peak_score=1.0, peak_frame=6)
    assert report == dict(
        version=1,
        video=str(files / 'clip.mp4'),
        fps=8.0,
        num_frames=24,
        categories=['red square'],
        threshold=0.5,
        hysteresis=dict(on=0.5, off=0.4, merge_gap_frames=4, min_length_frames=1),
        window=4,
        stride=1,
        config=str(files / 'config.py'),
        checkpoint=str(files / 'weights.safetensors'),
        events=[event],
    )
    with Image.open(out / 'clip_scores.png') as plot:
        plot.verify()

    shown = frames_of(out / 'clip_annotated.mp4')
    assert len(shown) == 24 and min(shown[0].shape[:2]) >= 384
    grey, red = shown[3][:384, :384].astype(int), shown[8][:384, :384].astype(int)
    assert np.ptp(grey, axis=-1).max() < 30, 'no mask where nothing is red'
    assert red[96, 192, 0] - red[96, 192, 1] > 80 and np.ptp(red[:64], axis=-1).max() < 30

    words = printed.split()
    assert ['frames', '24'] in [words[i : i + 2] for i in range(len(words))]
    assert '(3.0 s at 8 frames per second)' in printed and '00:00.7' in printed and '6-19' in printed
    for name in OUTPUTS:
        assert str(out / f'clip_{name}') in printed


def test_a_second_run_takes_the_place_of_the_first(run, files):
    run(files / 'clip.mp4')
    code, _, _, out = run(files / 'clip.mp4', '--threshold', '1.0', '--stride', '6')
    assert code == 0 and len(list(out.iterdir())) == 3
    report = json.loads((out / 'clip_scores.json').read_text())
    assert (report['threshold'], report['stride']) == (1.0, 6)
    assert [(event['start_frame'], event['end_frame']) for event in report['events']] == [(6, 12), (18, 24)]


VARIANTS = {
    'one frame': (red_square_frames(1, present=[0]), {}, 1),
    'shorter than a window': (red_square_frames(3, present=[1]), {}, 1),
    'odd size': (red_square_frames(9, 33, 47, present=[1]), dict(pix_fmt='yuv444p'), 1),
    '4:4:4': (red_square_frames(9, present=[1]), dict(pix_fmt='yuv444p'), 1),
    'grey': (red_square_frames(9, present=[1]), dict(pix_fmt='gray'), 0),
    'half a frame per second': (red_square_frames(9, present=[1]), dict(fps=1), 1),
}


@pytest.mark.parametrize('variant', VARIANTS)
def test_unusual_videos_work(run, tmp_path, variant):
    frames, settings, num_events = VARIANTS[variant]
    video = write_video(tmp_path / 'unusual.mp4', frames, **settings)
    code, _, err, out = run(video, '--window', '4')
    assert code == 0, err
    report = json.loads((out / 'unusual_scores.json').read_text())
    assert len(report['frame_scores']) == len(frames) == len(frames_of(out / 'unusual_annotated.mp4'))
    assert len(report['events']) == num_events


def test_odd_size_without_444(run, tmp_path):
    video = write_video(tmp_path / 'odd.avi', red_square_frames(5, 31, 45), codec='mjpeg', pix_fmt='yuvj420p')
    code, _, err, out = run(video)
    assert code == 0, err
    assert len(frames_of(out / 'odd_annotated.mp4')) == 5


def test_a_folder_of_images_has_no_seconds(run, tmp_path):
    for number, frame in enumerate(red_square_frames(5, present=[2])):
        (tmp_path / 'images').mkdir(exist_ok=True)
        Image.fromarray(frame).save(tmp_path / 'images' / f'{number:05d}.png')
    code, _, err, out = run(tmp_path / 'images')
    assert code == 0, err
    report = json.loads((out / 'images_scores.json').read_text())
    assert report['fps'] == 0
    assert report['events'] == [
        dict(start_frame=2, end_frame=3, start_seconds=None, end_seconds=None, peak_score=1.0, peak_frame=2)
    ]


BROKEN = {
    'missing': (lambda path, clip: None, 'no such file'),
    'zero bytes': (lambda path, clip: path.write_bytes(b''), 'empty'),
    'truncated': (lambda path, clip: path.write_bytes(clip[: len(clip) // 2]), ''),
    'no video': (lambda path, clip: path.write_bytes(b'just a letter to a friend\n' * 99), ''),
    'a picture of nothing': (lambda path, clip: path.write_bytes(bytes(5000)), ''),
    'empty folder': (lambda path, clip: path.mkdir(), 'no image'),
}


@pytest.mark.parametrize('kind', BROKEN)
def test_videos_that_are_none(run, files, tmp_path, kind):
    spoil, reason = BROKEN[kind]
    video = tmp_path / 'broken.mp4'
    spoil(video, (files / 'clip.mp4').read_bytes())
    code, _, err, out = run(video)
    assert code == 1
    assert_one_line(err)
    assert str(video) in err and reason in err
    assert_nothing_written(out)


def test_a_video_that_breaks_off_on_the_way(run, files, tmp_path):
    frames = [np.random.default_rng(n).integers(0, 256, (64, 64, 3), dtype=np.uint8) for n in range(60)]
    video = write_video(tmp_path / 'cut.mkv', frames)
    data = video.read_bytes()
    video.write_bytes(data[: len(data) // 2])
    code, _, err, out = run(video)
    assert code == 1
    assert_one_line(err)
    assert_nothing_written(out)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--threshold', '1.5'], '--threshold must be in [0, 1], got 1.5'),
        (['--threshold', 'nan'], '--threshold must be in [0, 1], got nan'),
        (['--threshold', 'high'], "argument --threshold: invalid float value: 'high'"),
        (['--window', '0'], '--window must be a whole number of at least 1, got 0'),
        (['--stride', '-2'], '--stride must be a whole number of at least 1, got -2'),
        (['--device', 'tpu'], "--device must be 'cpu', 'cuda' or 'cuda:<number>', got 'tpu'"),
        (['--device', 'cuda:99'], "--device must be there, got 'cuda:99'"),
        (['--categories', ''], '--categories must hold at least one word, got an empty list'),
        (['--categories', 'a,,b'], "--categories must hold words that are not blank, got ''"),
        (['--categories', 'a, A'], "--categories must name each word once, got ' A' twice"),
        (['--categories', ','.join(map(str, range(200)))], '--categories must name at most 100 words, got 200'),
        (['--config', 'missing.py'], 'missing.py: config file not found'),
        (['--colour', 'red'], 'unrecognized arguments: --colour red'),
    ],
)
def test_wrong_options(run, files, options, message):
    code, _, err, out = run(files / 'clip.mp4', *options)
    assert code == 2
    assert_one_line(err)
    assert message in err
    assert_nothing_written(out)


def test_a_config_with_an_unknown_key(run, files, tmp_path):
    path = tmp_path / 'typo.py'
    path.write_text((files / 'config.py').read_text().replace('delay', 'dealy'))
    code, _, err, out = run(files / 'clip.mp4', '--config', path)
    assert code == 2
    assert_one_line(err)
    assert 'dealy' in err
    assert_nothing_written(out)


@pytest.mark.parametrize('content', [None, b'', b'no weights at all'])
def test_checkpoints_that_are_none(run, files, tmp_path, content):
    path = tmp_path / 'weights.safetensors'
    if content is not None:
        path.write_bytes(content)
    code, _, err, out = run(files / 'clip.mp4', '--checkpoint', path)
    assert code == 1
    assert_one_line(err)
    assert str(path) in err
    assert_nothing_written(out)


def test_an_output_folder_that_cannot_be(run, files, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    for out in (tmp_path / 'file', tmp_path / 'file' / 'below'):
        code, _, err, _ = run(files / 'clip.mp4', out=out)
        assert code == 1
        assert_one_line(err)
        assert str(tmp_path / 'file') in err
    assert (tmp_path / 'file').read_text() == 'in the way'


@pytest.mark.parametrize('name', OUTPUTS)
def test_a_full_disk_leaves_no_file(run, files, monkeypatch, name):
    """Some file systems notice only at fsync: whichever of the three files meets that, none of them appears."""
    real = os.fsync

    def fsync(number):
        if os.readlink(f'/proc/self/fd/{number}').endswith(name):
            raise OSError(28, 'No space left on device')
        real(number)

    monkeypatch.setattr(os, 'fsync', fsync)
    code, _, err, out = run(files / 'clip.mp4')
    assert code == 1
    assert_one_line(err)
    assert 'No space left on device' in err
    assert_nothing_written(out)


def test_a_file_that_may_not_grow(files, tmp_path):
    """The kernel's own limit on file size, in a process of its own: a write in the middle of the video fails."""
    out = tmp_path / 'out'
    shell = ['bash', '-c', 'ulimit -f 8; exec "$@"', 'bash', *command(files, files / 'clip.mp4', out)]
    environment = {**uncovered_environment(), 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(shell, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=500)
    assert done.returncode == 1
    assert_one_line(done.stderr)
    assert 'File too large' in done.stderr
    assert_nothing_written(out)


@pytest.mark.parametrize('number', [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_interrupted(files, tmp_path, number):
    out, sign, config = tmp_path / 'out', tmp_path / 'started', tmp_path / 'slow.py'
    config.write_text(CONFIG.format(f'delay=0.3, sign={str(sign)!r}'))
    process = subprocess.Popen(
        command(files, files / 'clip.mp4', out, config), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=ROOT
    )
    try:
        deadline = time.monotonic() + 500
        while not sign.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        assert len(list(out.iterdir())) == 3, 'three temporary files'
        process.send_signal(number)
        _, err = process.communicate(timeout=90)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 128 + number, err
    assert 'Traceback' not in err
    assert_nothing_written(out)


MEASURE = """
import resource, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
finally:
    print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_memory(files, video, out, *options):
    """Peak resident memory of a run of the demo in MiB."""
    arguments = [sys.executable, '-c', MEASURE, *command(files, video, out)[1:], *map(str, options)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT, timeout=900)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split('PEAK')[1]) / 1024


CLIP = 'media/surveillance/one-by-one-person-detection.mp4'  # 1,394 frames of 768 x 432 pixels


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_real_clip_at_full_length_in_bounded_memory(shared_data, files, tmp_path):
    """The shipped detector on the real clip: a tenth of it must need as much memory as all of it."""
    with av.open(str(shared_data / CLIP)) as container:
        frames = [frame.to_ndarray(format='rgb24') for frame, _ in zip(container.decode(video=0), range(140))]
    short = write_video(tmp_path / 'clip.mp4', frames, fps=12)
    shipped = ['--config', 'configs/lavida_tiny.py', '--checkpoint', 'checkpoints/lavida_tiny.safetensors']
    tenth = peak_memory(files, short, tmp_path / 'tenth', *shipped)
    whole = peak_memory(files, shared_data / CLIP, tmp_path / 'whole', *shipped)
    (path,) = (tmp_path / 'whole').glob('*_scores.json')
    report = json.loads(path.read_text())
    assert report['num_frames'] == len(report['frame_scores']) == 1394
    assert 0 <= min(report['frame_scores']) <= max(report['frame_scores']) <= 1
    with av.open(str(path.with_name(path.name.replace('scores.json', 'annotated.mp4')))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 1394
    # 1,254 more frames are 1.2 GB as pixels; ten times the length may cost what allocators and codecs happen to keep.
    assert whole - tenth < 80


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_wide_stride_costs_no_memory(shared_data, files, tmp_path):
    """400 frames lie between the first and the last that the model sees at once; they are not kept."""
    dense = peak_memory(files, shared_data / CLIP, tmp_path / 'dense', '--window', 4)
    sparse = peak_memory(files, shared_data / CLIP, tmp_path / 'sparse', '--window', 4, '--stride', 100)
    assert sparse - dense < 80
