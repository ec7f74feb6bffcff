"""How fast windows of frames are read from a long video, and what memory that takes.

    python benchmarks/reading.py                                          # 30,000 frames: some minutes
    python benchmarks/reading.py --plot docs/assets/reading_memory.png    # with the picture of the memory
    python benchmarks/reading.py --quick                                  # a small video: seconds, no target

The benchmark makes an H.264 video of 640x360 pixels with a key frame every 250 frames and reads windows of 8 frames,
one every 16 frames: every second frame of the video, each once. Compared are

- the floor: PyAV decodes the video once and converts the frames used to RGB;
- ours: the items of VideoAnomalyDataset(window=8, frame_interval=2), from the making of the dataset to the last
  window, with each backend, and with the packing for the model;
- ours, 8 consecutive frames every 16, as open_video(...).read(...) gives them, which uses as many frames;
- a decord.VideoReader opened for each window, which seeks to it, as code for short clips does. That takes long, so
  windows spread evenly over the video are timed and the rest is extrapolated.

Floor and ours run in turn, --repeats times each; the shortest time of each counts.
"""

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lavida_mm.datasets import VideoAnomalyDataset, open_video
from lavida_mm.datasets.video_anomaly_dataset import tile_windows
from lavida_mm.datasets.video_reader import DEFAULT_BACKEND, probe_video
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.atomic import atomic_path
from lavida_mm.utils.errors import UsageError, run_tool

WINDOW, STEP = 8, 16  # frames of a window, and frames between the starts of two
LEAST_GAIN = 4.0  # times faster than a decord.VideoReader per window
MOST_OVERHEAD = 1.5  # times the floor
MEGABYTE = 2**20


@dataclass(frozen=True)
class Size:
    """Of the video: frames, H, W, frames from key frame to key frame, and how many windows decord is timed on."""

    num_frames: int
    height: int
    width: int
    group: int
    num_sampled: int


FULL = Size(num_frames=30_000, height=360, width=640, group=250, num_sampled=60)
QUICK = Size(num_frames=320, height=96, width=160, group=50, num_sampled=4)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='a small video, to see that the benchmark works')
    parser.add_argument('--repeats', type=int, default=2, help='runs of each way of reading (%(default)s)')
    parser.add_argument('--keep', type=Path, metavar='VIDEO', help='keep the video here, or take it from here')
    parser.add_argument('--plot', type=Path, metavar='PNG', help='draw the memory over the video')
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error(f'--repeats must be at least 1, got {args.repeats}')
    return args


def main(argv: list[str] | None = None) -> None:
    """Make the video, time every way of reading it, print one table."""
    args = parse_args(argv)
    size = QUICK if args.quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        path = args.keep or Path(folder, 'long.mp4')
        if not path.exists():
            with atomic_path(path) as temporary:
                write_video(temporary, size)
        found = probe_video(path).num_frames
        if found != size.num_frames:
            raise UsageError(f'--keep: {path} must have the {size.num_frames} frames of this benchmark, it has {found}')
        measure(path, size, args)


def measure(path: Path, size: Size, args: argparse.Namespace) -> None:
    """Time all ways of reading in turn and print the table."""
    memory: list[tuple[int, float]] = []
    other = 'decord' if DEFAULT_BACKEND == 'pyav' else 'pyav'
    # Ours comes first, so that its memory is not what another way has left behind.
    ways: dict[str, Callable[[], None]] = {
        f'ours, {DEFAULT_BACKEND} (default)': lambda: read_dataset(path, DEFAULT_BACKEND, memory=memory),
        'floor: PyAV decodes once, converts every 2nd frame': lambda: read_floor(path, even_frames),
        f'ours, {other}': lambda: read_dataset(path, other),
        f'ours, {DEFAULT_BACKEND}, packed for the model': lambda: read_dataset(path, DEFAULT_BACKEND, packed=True),
        'ours, 8 consecutive frames every 16': lambda: read_consecutive(path, size.num_frames),
        'floor of 8 consecutive frames every 16': lambda: read_floor(path, first_half),
    }
    times = {name: [time_once(read)] for name, read in ways.items()}
    frames, used = np.array(memory).T  # of the first run
    for _ in range(args.repeats - 1):
        for name, read in ways.items():
            times[name].append(time_once(read))
    windows = tile_windows(size.num_frames, WINDOW, STEP // WINDOW)
    sample = np.unique(np.linspace(0, len(windows) - 1, size.num_sampled).astype(int))
    per_window = time_once(lambda: read_per_window(path, windows[sample])) * len(windows) / len(sample)
    best = {name: np.min(each, axis=0) for name, each in times.items()}  # seconds and CPU seconds
    ours, floor, *_, ours_consecutive, floor_consecutive = best.values()
    best[f'decord.VideoReader per window ({len(sample)} timed, rest extrapolated)'] = per_window

    print(
        f'{size.num_frames:,} frames of {size.width}x{size.height}, H.264, a key frame every {size.group} '
        f'({path.stat().st_size / MEGABYTE:.1f} MB); {len(windows):,} windows of {WINDOW} frames, one every {STEP}; '
        f'{os.cpu_count()} cores'
    )
    print(f'{"":<68}{"seconds":>9}{"CPU s":>8}{"frames/s":>10}')
    for name, (seconds, worked) in best.items():
        print(f'{name:<68}{seconds:>9.2f}{worked:>8.2f}{size.num_frames / seconds:>10,.0f}')
    most = f'at most {MOST_OVERHEAD}'
    judge('ours / floor', ours / floor, most, lambda ratio: ratio <= MOST_OVERHEAD, args.quick)
    ratios = ours_consecutive / floor_consecutive
    judge('ours / floor, consecutive frames', ratios, most, lambda ratio: ratio <= MOST_OVERHEAD, args.quick)
    least = f'at least {LEAST_GAIN}'
    judge('decord per window / ours', per_window / ours, least, lambda ratio: ratio >= LEAST_GAIN, args.quick)
    settled = used[frames >= size.num_frames / 10]
    print(
        f'memory that reading adds, from a tenth of the video to its end: {settled.min():.1f} to {settled.max():.1f} MB'
    )
    if args.plot:
        draw_memory(args.plot, frames, used, size)


def judge(name: str, ratios: np.ndarray, rule: str, is_met: Callable[[float], bool], quick: bool) -> None:
    """Print a ratio of seconds and of CPU seconds, and whether the first meets its target; a quick run has none."""
    ratio, work_ratio = ratios.tolist()
    target = '' if quick else f'; must be {rule}: {"met" if is_met(ratio) else "NOT MET"}'
    print(f'{name}: {ratio:.2f} ({work_ratio:.2f} in CPU time){target}')


def time_once(read: Callable[[], None]) -> np.ndarray:
    """Seconds that a call takes, and seconds that all its threads work, which other programs disturb less: (2,)."""
    gc.collect()
    start, worked = time.perf_counter(), time.process_time()
    read()
    return np.array([time.perf_counter() - start, time.process_time() - worked])


def even_frames(index: int) -> bool:
    """Whether the windows of 8 frames at an interval of 2 use a frame."""
    return index % (STEP // WINDOW) == 0


def first_half(index: int) -> bool:
    """Whether the windows of 8 consecutive frames every 16 use a frame."""
    return index % STEP < WINDOW


def read_floor(path: Path, is_used: Callable[[int], bool]) -> None:
    """Decode every frame once, with PyAV's threads, and convert those used; nothing is kept or checked."""
    reformatter = VideoReformatter()
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = 'AUTO'
        for index, frame in enumerate(container.decode(video=0)):
            if is_used(index):
                reformatter.reformat(frame, format='rgb24', threads=1).to_ndarray()


class OneVideo:
    """A benchmark of one video without ground truth."""

    name = 'long'

    def __init__(self, path: Path):
        self.records = [VideoRecord(video_id='long', path=path, categories=['fire'], has_ground_truth=False)]


def read_dataset(
    path: Path, backend: str, *, packed: bool = False, memory: list[tuple[int, float]] | None = None
) -> None:
    """Go through all items; note frame and megabytes more in use than before, now and then."""
    before = used_megabytes()
    dataset = VideoAnomalyDataset(
        benchmark=OneVideo(path),
        window=WINDOW,
        frame_interval=STEP // WINDOW,
        reader=dict(backend=backend),
        pipeline=[dict(type='PackVADInputs')] if packed else [],
    )
    pause = max(len(dataset) // 200, 1)
    for number in range(len(dataset)):
        dataset[number]
        if memory is not None and number % pause == 0:
            memory.append((number * STEP, used_megabytes() - before))
    dataset.close()


def read_consecutive(path: Path, num_frames: int) -> None:
    """8 consecutive frames every 16."""
    with open_video(path) as reader:
        for start in range(0, num_frames, STEP):
            reader.read(range(start, min(start + WINDOW, num_frames)))


def read_per_window(path: Path, windows: np.ndarray) -> None:
    """Open a decord.VideoReader for each window and let it seek."""
    import decord

    for inds in windows:
        decord.VideoReader(str(path)).get_batch(inds.tolist()).asnumpy()


def used_megabytes() -> float:
    """Memory of this process that lies in RAM."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / MEGABYTE


def write_video(path: Path, size: Size) -> None:
    """A camera that pans over a still scene in which three boxes move, with a little noise."""
    with av.open(str(path), 'w', format='mp4') as container:
        stream = container.add_stream('libx264', rate=25)
        stream.height, stream.width, stream.pix_fmt = size.height, size.width, 'yuv420p'
        stream.options = {'preset': 'superfast', 'g': str(size.group), 'sc_threshold': '0'}
        stream.thread_type = 'AUTO'
        for planes in draw_frames(size):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format='yuv420p')))
        container.mux(stream.encode(None))


def draw_frames(size: Size) -> Iterator[np.ndarray]:
    """Frames as planes Y, U, V under each other, uint8 (3 H / 2, W)."""
    rng = np.random.default_rng(0)
    height, width = size.height, size.width
    margin = 64  # how far the camera pans
    coarse = rng.integers(40, 200, (height // 8 + margin, width // 8 + margin))
    scene = np.kron(coarse, np.ones((8, 8), dtype=np.int64))[: height + margin, : width + margin].astype(np.uint8)
    noise = rng.integers(0, 6, (height + margin, width + margin)).astype(np.uint8)
    side = height // 5
    for index in range(size.num_frames):
        planes = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
        pan = round(margin / 2 * (1 + np.sin(index / 60)))
        top, left = rng.integers(0, margin, 2)  # of the noise, which is new in every frame
        planes[:height] = scene[pan // 2 : pan // 2 + height, pan : pan + width]
        planes[:height] += noise[top : top + height, left : left + width]
        for box, speed in enumerate((2, 3, 5)):
            row = box * height // 3
            column = (index * speed + box * 97) % (width - side)
            planes[row : row + side, column : column + side] = 60 + 70 * box
        yield planes


def draw_memory(path: Path, frames: np.ndarray, used: np.ndarray, size: Size) -> None:
    """Save the memory over the video as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6), dpi=160, layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(frames, used, linewidth=1.5)
    axes.set_xlim(0, size.num_frames)
    axes.set_ylim(min(0, used.min()), max(1, used.max() * 1.25))  # a process that has freed memory may add none
    axes.set_xlabel(f'frame of the video ({size.width}x{size.height})')
    axes.set_ylabel('memory added, MB')
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis='y', alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format='png')


if __name__ == '__main__':
    run_tool(main)
