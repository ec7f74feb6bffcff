import av
import cv2
import numpy as np
import pytest

from lavida_mm.datasets.readers import pyav_reader
from lavida_mm.datasets.readers.video_probe import open_container
from lavida_mm.datasets.video_reader import open_video, probe_video, read_image
from lavida_mm.utils.errors import DataError
from tests.videos import write_video

BACKENDS = ('pyav', 'decord')


def ramps(num_frames: int, height: int, width: int) -> list[np.ndarray]:
    rows, columns = np.mgrid[:height, :width]
    return [
        np.stack([columns * 2 + index * 5, rows * 2, np.full_like(rows, index * 9)], -1).astype(np.uint8)
        for index in range(num_frames)
    ]


def decode_all(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('videos')


@pytest.fixture(scope='module')
def plain(folder):
    return write_video(folder / 'plain.mp4', ramps(30, 48, 64))


@pytest.fixture(scope='module')
def fast_start(folder):
    path = folder / 'fast.mp4'
    with av.open(str(path), 'w', options={'movflags': 'faststart'}) as container:
        stream = container.add_stream('libx264', rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, 'yuv420p'
        for frame in ramps(40, 48, 64):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope='module')
def reordered_avi(folder):
    """AVI knows when frames are decoded and not when they are shown; with B-frames the two orders differ."""
    return write_video(folder / 'reordered.avi', ramps(30, 48, 64))


@pytest.fixture(scope='module')
def open_groups(folder):
    """Frames before a key frame refer to it: readers that seek by key frames miscount here, decord's own too."""
    path = folder / 'open.mp4'
    with av.open(str(path), 'w') as container:
        options = {'g': '6', 'bf': '3', 'x264-params': 'open-gop=1'}
        stream = container.add_stream('libx264', rate=10, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, 'yuv420p'
        for frame in ramps(36, 48, 64):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('name', ['plain', 'fast_start', 'open_groups', 'reordered_avi'])
def test_frames_equal_a_plain_decode_in_any_order(request, name, backend):
    path = request.getfixturevalue(name)
    expected = decode_all(path)
    with open_video(path, backend) as reader:
        assert (reader.num_frames, reader.height, reader.width) == expected.shape[:3]
        assert reader.fps == 10
        order = [*range(0, len(expected), 7), 3, 3, len(expected) - 1, 0, *range(4, 9)]
        assert np.array_equal(reader.read(order), expected[order])
        for index in (len(expected) - 1, 2, 20, 5):
            assert np.array_equal(reader.read([index])[0], expected[index])
        assert np.array_equal(reader.read(range(len(expected))), expected)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize(
    ('name', 'shape', 'options'),
    [
        ('odd.mp4', (4, 33, 31), dict(pix_fmt='yuv444p')),
        ('odd.mkv', (4, 33, 31), dict(codec='mpeg4')),
        ('gray.mp4', (4, 32, 48), dict(pix_fmt='gray')),
        ('full.mp4', (4, 32, 48), dict(pix_fmt='yuv444p')),
        ('one.mp4', (1, 32, 32), {}),
        ('motion.avi', (4, 32, 48), dict(codec='mjpeg', pix_fmt='yuvj420p')),
    ],
)
def test_unusual_videos(folder, name, shape, options, backend):
    path = write_video(folder / name, ramps(*shape), **options)
    with open_video(path, backend) as reader:
        frames = reader.read(range(reader.num_frames))
    assert frames.shape == (*shape, 3)
    expected = decode_all(path).astype(int)
    inner = np.abs(frames.astype(int) - expected)[:, 2:-2, 2:-2]  # at odd borders, colours are interpolated differently
    assert inner.max() <= 8 and inner.mean() < 1


@pytest.mark.parametrize('width', [2, 22, 48, 50])
def test_decord_shows_padding_as_channels(folder, width):
    """FFmpeg pads rows to 64 bytes, and decord took the padding for a fourth channel and more."""
    path = write_video(folder / f'wide{width}.mp4', ramps(3, 34, width))
    with open_video(path, 'decord') as reader:
        assert np.array_equal(reader.read(range(3)), decode_all(path))


@pytest.mark.parametrize('name', ['stream.ts', 'moves.gif'])
def test_what_decord_cannot_read(folder, name):
    options = dict(codec='gif', pix_fmt='rgb8') if name.endswith('gif') else {}
    path = write_video(folder / name, ramps(9, 32, 32), **options)
    expected = decode_all(path)
    with pytest.raises(DataError, match='decord') as error:
        open_video(path, 'decord')
    assert '\n' not in str(error.value)
    for backend in ('pyav', 'auto'):
        with open_video(path, backend) as reader:
            assert np.array_equal(reader.read([8, 2, 5]), expected[[8, 2, 5]])


@pytest.mark.parametrize('backend', BACKENDS)
def test_every_part_of_a_truncated_file_is_refused(folder, fast_start, plain, backend):
    matroska = write_video(folder / 'whole.mkv', ramps(20, 48, 64))
    avi = write_video(folder / 'whole.avi', ramps(20, 48, 64), codec='mjpeg', pix_fmt='yuvj420p')
    for whole in (fast_start, plain, matroska, avi):
        data = whole.read_bytes()
        for part in (0.3, 0.6, 0.97):
            path = folder / f'truncated{whole.suffix}'
            path.write_bytes(data[: int(len(data) * part)])
            with pytest.raises(DataError) as error:
                open_video(path, backend)
            assert str(path) in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize(
    ('name', 'data', 'rule'),
    [
        ('zero.mp4', b'', r'empty \(0 bytes\)'),
        ('text.mp4', b'no video at all\n' * 40, 'cannot be opened as a video'),
        ('text.txt', b'no video at all\n' * 40, 'holds no video stream'),
        ('noise.mp4', bytes(range(256)) * 20, 'cannot be opened as a video|holds no video'),
    ],
)
def test_files_that_are_no_video(tmp_path, name, data, rule, backend):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=rule) as error:
        open_video(path, backend)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('backend', BACKENDS)
def test_a_damaged_frame_is_an_error_and_not_garbage(folder, fast_start, backend):
    data = bytearray(fast_start.read_bytes())
    middle = len(data) * 3 // 4
    data[middle : middle + 400] = bytes(400)
    path = folder / 'damaged.mp4'
    path.write_bytes(bytes(data))
    rule = r'frame [0-9]+ .*cannot be decoded'
    if backend == 'decord':  # its thread reads ahead: now and then it meets the damage while the file is being opened
        rule += '|decord cannot read it .*avcodec_send_packet'
    with pytest.raises(DataError, match=rule) as error, open_video(path, backend) as reader:
        reader.read(range(reader.num_frames))
    assert str(path) in str(error.value)


def test_missing_file_and_unknown_backend(tmp_path, plain):
    with pytest.raises(DataError, match='no such file'):
        open_video(tmp_path / 'missing.mp4')
    with pytest.raises(ValueError, match=r"backend must be one of .*, got 'ffmpeg'"):
        open_video(plain, 'ffmpeg')


@pytest.mark.parametrize('backend', BACKENDS)
def test_frames_beyond_the_video(plain, backend):
    with open_video(plain, backend) as reader:
        for wanted in ([30], [-1]):
            with pytest.raises(DataError, match='30 frames'):
                reader.read(wanted)
        with pytest.raises(ValueError, match='at least one frame number'):
            reader.read([])


def test_probe_counts_without_decoding(fast_start):
    info = probe_video(fast_start)
    assert info.num_frames == len(info.timestamps) == 40
    assert info.keyframes[0] == 0


def test_image_folder_reads_in_the_order_of_numbers(tmp_path):
    for number in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f'f{number}.png'), np.full((8, 6, 3), number, np.uint8))
    (tmp_path / 'notes.txt').write_text('not a frame')
    with open_video(tmp_path) as reader:
        assert (reader.num_frames, reader.height, reader.width, reader.fps) == (3, 8, 6, 0.0)
        assert reader.read([0, 1, 2])[:, 0, 0, 0].tolist() == [1, 2, 10]


def write_tif_folder(path, num_frames: int, dtype=np.uint8) -> np.ndarray:
    """A folder of gray .tif images as UCSD has them; their pixels, (T, H, W)."""
    path.mkdir()
    rows, columns = np.mgrid[:8, :6]
    frames = np.stack([rows * 9 + columns * 3 + index for index in range(num_frames)]).astype(dtype)
    if dtype == np.uint16:
        frames = frames * 256 + 77
    for index, frame in enumerate(frames):
        cv2.imwrite(str(path / f'{index + 1:03d}.tif'), frame)
    return frames


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_gray_tif_images_come_as_rgb(tmp_path, dtype):
    pixels = write_tif_folder(tmp_path / 'Test001', 3, dtype)
    (tmp_path / 'Test001' / '._001.tif').write_bytes(b'what macOS leaves beside a file')
    expected = pixels if dtype == np.uint8 else pixels // 256
    with open_video(tmp_path / 'Test001') as reader:
        frames = reader.read(range(3))
        assert reader.num_frames == 3
    assert frames.shape == (3, 8, 6, 3) and frames.dtype == np.uint8
    assert np.array_equal(frames, np.repeat(expected[..., None], 3, axis=-1))


class Counted:
    """Stands before a reader's ``_read`` and notes which frames are decoded and converted, in order."""

    def __init__(self, reader):
        self.seen = []
        self.most = 0
        self.reader = reader
        self.read = reader._read
        reader._read = self

    def __call__(self, frame_inds):
        for index, frame in zip(frame_inds, self.read(frame_inds), strict=True):
            self.seen.append(index)
            self.most = max(self.most, len(self.reader._kept))
            yield frame


@pytest.fixture(scope='module')
def tifs(folder):
    write_tif_folder(folder / 'tifs', 30)
    return folder / 'tifs'


@pytest.mark.parametrize(('name', 'backend'), [('plain', 'pyav'), ('plain', 'decord'), ('tifs', 'pyav')])
@pytest.mark.parametrize('stride', [1, 3, 7, 8])
def test_overlapping_windows_decode_no_frame_twice(request, name, backend, stride):
    path = request.getfixturevalue(name)
    with open_video(path, backend) as reader:
        expected = reader.read(range(30))
    with open_video(path, backend, num_kept=8 - stride) as reader:
        counted = Counted(reader)
        for start in range(0, 23, stride):
            window = reader.read(range(start, start + 8))
            assert np.array_equal(window, expected[start : start + 8])
            window[:] = 0  # what a transform does to its window changes no later one
    assert counted.seen == list(range(start + 8))
    assert counted.most <= 8 - stride
    assert not reader._kept


def test_no_frame_is_kept_where_windows_do_not_overlap(plain):
    with open_video(plain) as reader:
        reader.read(range(30))
        assert not reader._kept


def test_kept_frames_survive_reading_elsewhere(plain):
    expected = decode_all(plain)
    with open_video(plain, num_kept=4) as reader:
        for wanted in ([0, 1, 2, 3], [2, 3, 3, 9], [9, 2, 20], [1, 20, 20], [29], [29, 0]):
            assert np.array_equal(reader.read(wanted), expected[wanted])


class CountedConversions:
    """Counts the frames that PyAV turns into RGB."""

    def __init__(self, reader):
        self.reformat_frame = reader._reformatter.reformat
        self.number = 0

    def reformat(self, frame, **options):
        self.number += 1
        return self.reformat_frame(frame, **options)


def count_decoded(reader) -> list[int]:
    """The frames that a PyAV reader decodes from now on."""
    decoded = []
    locate = reader._locate
    reader._locate = lambda frame: decoded.append(locate(frame)) or decoded[-1]
    return decoded


def test_pyav_converts_used_frames_only_and_decodes_each_once(plain, monkeypatch):
    opened = []
    monkeypatch.setattr(pyav_reader, 'open_container', lambda path: opened.append(path) or open_container(path))
    with open_video(plain, 'pyav', num_kept=2) as reader:
        counted = reader._reformatter = CountedConversions(reader)
        decoded = count_decoded(reader)
        for start in range(0, 24, 4):
            reader.read(range(start, start + 8, 2))
    assert opened == [plain]
    assert counted.number == len(range(0, 28, 2))
    assert decoded == list(range(27))


def test_pyav_seeks_only_where_that_saves_decoding(plain):
    with open_video(plain, 'pyav') as reader:
        keyframes = reader._info.keyframes.tolist()
        decoded = count_decoded(reader)
        reader.read([0, 29])
    assert keyframes[-1] >= 8 and decoded == [0, *range(keyframes[-1], 30)]


@pytest.mark.parametrize('backend', BACKENDS)
def test_a_frame_of_another_size(plain, backend):
    with open_video(plain, backend) as reader:
        reader._read = lambda frame_inds: (np.zeros((1, 64, 3), np.uint8) for _ in frame_inds)
        with pytest.raises(DataError, match=r'frame 5 is 1 x 64 pixels, the video 48 x 64'):
            reader.read([5])


def test_image_folder_errors(tmp_path):
    with pytest.raises(DataError, match='holds no image'):
        open_video(tmp_path)
    cv2.imwrite(str(tmp_path / '0.png'), np.zeros((8, 6, 3), np.uint8))
    cv2.imwrite(str(tmp_path / '1.png'), np.zeros((8, 7, 3), np.uint8))
    (tmp_path / '2.png').write_bytes(b'')
    with open_video(tmp_path) as reader:
        with pytest.raises(DataError, match=r'1\.png: is 8 x 7 pixels'):
            reader.read([0, 1])
        with pytest.raises(DataError, match=r'2\.png: is no image'):
            reader.read([2])


def test_images_come_as_rgb_of_eight_bits(tmp_path):
    gray = np.full((5, 4), 300, np.uint16)
    cv2.imwrite(str(tmp_path / 'gray.png'), gray)
    assert read_image(tmp_path / 'gray.png').shape == (5, 4, 3)
    cv2.imwrite(str(tmp_path / 'red.png'), np.full((5, 4, 3), (0, 0, 255), np.uint8))
    assert read_image(tmp_path / 'red.png')[0, 0].tolist() == [255, 0, 0]
    with pytest.raises(DataError, match='No such file'):
        read_image(tmp_path / 'missing.png')


@pytest.mark.parametrize('backend', BACKENDS)
def test_real_clip(shared_data, backend):
    path = shared_data / 'media' / 'surveillance' / 'car-detection.mp4'
    with av.open(str(path)) as container:
        expected = [
            frame.to_ndarray(format='rgb24') for frame, _ in zip(container.decode(video=0), range(41), strict=False)
        ]
    with open_video(path, backend) as reader:
        assert reader.num_frames == 377
        for index in (0, 1, 17, 40):
            difference = np.abs(reader.read([index])[0].astype(int) - expected[index])
            assert difference.mean() < 1
