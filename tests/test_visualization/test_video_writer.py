"""The MP4 that is written, read back with PyAV."""

import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from lavida_mm.visualization.video_writer import VideoWriter
from tests.conftest import uncovered_environment


def write(path, frames, **settings):
    height, width = frames[0].shape[:2]
    with VideoWriter(path, height=height, width=width, **settings) as writer:
        for frame in frames:
            writer.write(frame)


def test_frames_come_back(tmp_path):
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    frames = [np.broadcast_to(np.roll(ramp, 9 * number)[None, :, None], (48, 64, 3)).copy() for number in range(20)]
    write(tmp_path / 'a.mp4', frames, fps=8)
    with av.open(str(tmp_path / 'a.mp4')) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ('h264', 'yuv420p')
        read = [frame.to_ndarray(format='rgb24') for frame in container.decode(stream)]
    assert len(read) == 20
    for found, frame in zip(read, frames, strict=True):
        assert np.abs(found.astype(int) - frame).mean() < 8


@pytest.mark.parametrize(
    ('fps', 'rate'),
    [
        (8, 8), (30000 / 1001, Fraction(30000, 1001)), (0, 25), (float('nan'), 25), (float('inf'), 25), (1e9, 25),
        (0.5, Fraction(1, 2)),
    ],
)  # fmt: skip
def test_rate(tmp_path, fps, rate):
    write(tmp_path / 'a.mp4', [np.zeros((16, 16, 3), np.uint8)] * 4, fps=fps)
    with av.open(str(tmp_path / 'a.mp4')) as container:
        assert container.streams.video[0].average_rate == rate


def test_refuses_odd_sizes_and_other_frames(tmp_path):
    with pytest.raises(ValueError, match='height and width must be even and positive, got 3 x 4'):
        VideoWriter(tmp_path / 'a.mp4', height=3, width=4, fps=8)
    with pytest.raises(ValueError, match=r'must be uint8 \(16, 16, 3\), got uint8 \(16, 18, 3\)'):
        write(tmp_path / 'a.mp4', [np.zeros((16, 16, 3), np.uint8), np.zeros((16, 18, 3), np.uint8)], fps=8)


def test_an_error_of_the_caller_goes_through(tmp_path):
    def frames():
        yield np.zeros((16, 16, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / 'a.mp4', height=16, width=16, fps=8) as writer:
        list(map(writer.write, frames()))


def test_a_full_disk_raises():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with pytest.raises(OSError, match='No space left'):
        write('/dev/full', [np.roll(noise, number, 1) for number in range(50)], fps=8)


LIMITED = """
import numpy as np, resource, sys
from lavida_mm.visualization.video_writer import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rng = np.random.default_rng(0)
try:
    with VideoWriter(sys.argv[1], height=64, width=64, fps=8) as writer:
        for number in range(60):
            writer.write(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
except OSError as error:
    sys.exit(f'OSError: {error.strerror}')
"""


def test_a_file_that_may_not_grow_raises(tmp_path):
    command = [sys.executable, '-c', LIMITED, str(tmp_path / 'a.mp4')]
    environment = uncovered_environment()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500)
    assert (done.returncode, done.stderr) == (1, 'OSError: File too large\n')
