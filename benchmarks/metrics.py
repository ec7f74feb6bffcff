"""How fast the metrics are, and what memory they take.

    python benchmarks/metrics.py            # 200 million pixels: about ten minutes and 10 GB, nearly all scikit-learn's
    python benchmarks/metrics.py --quick    # small sizes: seconds, no target

One table:

- pooled pixel AUC: maps of 240x360 pixels go into PixelHistogram one by one, as float16 and as float32, against
  sklearn.metrics.roc_auc_score on all of them concatenated. scikit-learn gets the float16 scores, held as float32, and
  truth as uint8: so it is fastest. Making the maps counts for neither side;
- memory of the same: peak of a process of its own, over what it took before the first map;
- frame AUC and AP on as many frames as XD-Violence has, against scikit-learn, in turn, the shortest of --repeats runs;
- RBDC and TBDC of 107 videos, the size of ShanghaiTech Campus, with 50,000 detections.

Figures are compared as well: a fast wrong answer would be of no use.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lavida_mm.evaluation.functional.frame_curves import average_precision, frame_auc
from lavida_mm.evaluation.functional.pixel_histogram import PixelHistogram
from lavida_mm.utils.errors import run_tool

LEAST_PIXEL_GAIN = 50.0  # times faster than scikit-learn
MOST_MEGABYTES = 100.0
LEAST_FRAME_GAIN = 1.0
MOST_REGION_SECONDS = 5.0
SAME_FIGURE = 1e-12
MEGABYTE = 2**20
MAP_SHAPE = (240, 360)  # UCSD Ped2
VIDEO_SHAPE = (480, 856)  # ShanghaiTech Campus
SCORE_TYPES = (np.float16, np.float32)


@dataclass(frozen=True)
class Size:
    """How much of everything is measured."""

    num_maps: int
    num_frames: int
    num_videos: int
    frames_per_video: int
    num_detections: int


FULL = Size(num_maps=2315, num_frames=2_335_801, num_videos=107, frames_per_video=381, num_detections=50_000)
QUICK = Size(num_maps=10, num_frames=20_000, num_videos=5, frames_per_video=60, num_detections=500)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was measured.
        ours: seconds or megabytes, with its unit.
        theirs: the same of scikit-learn; empty where there is nothing to compare with.
        ratio: theirs over ours; None where there is nothing to compare with.
        rule: the target, in words.
        met: whether it is met.
    """

    name: str
    ours: str
    theirs: str
    ratio: float | None
    rule: str
    met: bool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='small sizes, to see that the benchmark works')
    parser.add_argument('--repeats', type=int, default=3, help='runs of each frame figure (default: %(default)s)')
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error(f'--repeats must be at least 1, got {args.repeats}')
    return args


def main(argv: list[str] | None = None) -> None:
    """Measure everything and print one table."""
    args = parse_args(argv)
    size = QUICK if args.quick else FULL
    rows = [*measure_regions(size), *measure_frames(size, args.repeats), *measure_memory(size), *measure_pixels(size)]
    print(f'NumPy {np.__version__}, scikit-learn {sklearn_version()}, {os.cpu_count()} cores, one thread each side')
    print(f'{"":<52}{"ours":>12}{"scikit-learn":>14}{"ratio":>8}' + ('' if args.quick else '  target'))
    for row in rows:
        ratio = '' if row.ratio is None else f'{row.ratio:.1f}'
        verdict = '' if args.quick else f'  {row.rule}: {"met" if row.met else "NOT MET"}'
        print(f'{row.name:<52}{row.ours:>12}{row.theirs:>14}{ratio:>8}{verdict}'.rstrip())


def measure_pixels(size: Size) -> Iterator[Row]:
    """Pooled pixel AUC, map by map against all at once."""
    from sklearn.metrics import roc_auc_score

    seconds, figures, bounds = [], [], []
    for dtype in SCORE_TYPES:
        histogram, passed = PixelHistogram(), 0.0
        for scores, mask in make_maps(size, dtype):
            start = time.perf_counter()
            histogram.update(scores, mask)
            passed += time.perf_counter() - start
        start = time.perf_counter()
        figures.append(histogram.auc())
        bounds.append(histogram.error_bound())
        seconds.append(passed + time.perf_counter() - start)
    num_pixels = size.num_maps * MAP_SHAPE[0] * MAP_SHAPE[1]
    all_scores, all_masks = np.empty(num_pixels, dtype=np.float32), np.empty(num_pixels, dtype=np.uint8)
    for index, (scores, mask) in enumerate(make_maps(size, np.float16)):
        place = slice(index * mask.size, (index + 1) * mask.size)
        all_scores[place], all_masks[place] = scores.ravel(), mask.ravel()
    start = time.perf_counter()
    expected = roc_auc_score(all_masks, all_scores)
    theirs = time.perf_counter() - start
    check_figure('pixel AUC', figures[0], expected, SAME_FIGURE)
    # Scores of full precision have another AUC than the same scores as float16; on so many pixels hardly another.
    check_figure('pixel AUC of float32 scores', figures[1], expected, bounds[1] + 1e-3)
    for dtype, ours in zip(SCORE_TYPES, seconds, strict=True):
        gain = theirs / ours
        yield Row(
            name=f'pixel AUC, {num_pixels / 1e6:.1f} M pixels, {dtype.__name__} maps',
            ours=f'{ours:.2f} s',
            theirs=f'{theirs:.2f} s',
            ratio=gain,
            rule=f'at least {LEAST_PIXEL_GAIN:.0f} times faster',
            met=gain >= LEAST_PIXEL_GAIN,
        )


def measure_memory(size: Size) -> Iterator[Row]:
    """Peak memory of the pooled pixel AUC in a process that does nothing else."""
    context = multiprocessing.get_context('spawn')  # a forked process would begin with our memory
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_extra_memory, args=(sender, size))
    process.start()
    sender.close()
    try:
        megabytes = receiver.recv()
    except EOFError:
        raise RuntimeError('the process that measures memory died') from None
    finally:
        process.join()
    yield Row(
        name='pixel AUC, extra memory, float16 and float32 maps',
        ours=f'{megabytes:.1f} MB',
        theirs='',
        ratio=None,
        rule=f'at most {MOST_MEGABYTES:.0f} MB',
        met=megabytes <= MOST_MEGABYTES,
    )


def send_extra_memory(sender: Connection, size: Size) -> None:
    """Megabytes that the pooled pixel AUC needs at most beyond what the process held before."""
    for dtype in SCORE_TYPES:
        next(make_maps(size, dtype))  # what the making of a map needs is there before
    with open('/proc/self/clear_refs', 'w') as file:
        file.write('5')  # the peak so far is forgotten
    before = read_status('VmRSS')
    for dtype in SCORE_TYPES:
        histogram = PixelHistogram()
        for scores, mask in make_maps(size, dtype):
            histogram.update(scores, mask)
        histogram.auc()
        histogram.average_precision()
        histogram.error_bound()
    sender.send((read_status('VmHWM') - before) / MEGABYTE)


def read_status(field: str) -> int:
    """A size in bytes from what Linux says of this process."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f'{field}:'))


def measure_frames(size: Size, repeats: int) -> Iterator[Row]:
    """Frame AUC and AP."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(0)
    labels = rng.random(size.num_frames) < 0.23
    scores = sigmoid(rng.normal(labels * 1.5))
    for name, ours, theirs in (
        ('frame AUC', frame_auc, roc_auc_score),
        ('frame AP', average_precision, average_precision_score),
    ):
        our_seconds, their_seconds = np.inf, np.inf
        for _ in range(repeats):
            our_seconds = min(our_seconds, time_once(lambda ours=ours: ours(scores, labels)))
            their_seconds = min(their_seconds, time_once(lambda theirs=theirs: theirs(labels, scores)))
        check_figure(name, ours(scores, labels), theirs(labels, scores), SAME_FIGURE)
        gain = their_seconds / our_seconds
        yield Row(
            name=f'{name}, {size.num_frames / 1e6:.2f} M frames, float64',
            ours=f'{our_seconds:.3f} s',
            theirs=f'{their_seconds:.3f} s',
            ratio=gain,
            rule='no slower',
            met=gain >= LEAST_FRAME_GAIN,
        )


def measure_regions(size: Size) -> Iterator[Row]:
    """RBDC and TBDC."""
    from lavida_mm.evaluation.functional.regions import rbdc_tbdc

    detections, tracks = make_regions(size)
    num_frames = [size.frames_per_video] * size.num_videos
    seconds = time_once(lambda: rbdc_tbdc(detections, tracks, num_frames))
    num_detections, num_regions = sum(map(len, detections)), sum(map(len, tracks))
    yield Row(
        name=f'RBDC, TBDC, {size.num_videos} videos, {num_detections} det., {num_regions} regions',
        ours=f'{seconds:.2f} s',
        theirs='',
        ratio=None,
        rule=f'at most {MOST_REGION_SECONDS:.0f} s',
        met=seconds <= MOST_REGION_SECONDS,
    )


def make_maps(size: Size, dtype: type[np.floating]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Maps of anomaly probabilities and their truth, both (H, W): in every second map a box is anomalous."""
    rng = np.random.default_rng(0)
    height, width = MAP_SHAPE
    for index in range(size.num_maps):
        mask = np.zeros(MAP_SHAPE, dtype=bool)
        if index % 2:
            top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
            mask[top : top + height // 4, left : left + width // 4] = True
        logits = 2 * rng.standard_normal(MAP_SHAPE, dtype=np.float32) - 4
        logits[mask] += 4
        yield sigmoid(logits).astype(dtype, copy=False), mask


def make_regions(size: Size) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Per video detections (D, 6) and two moving boxes as tracks (R, 6); half of the detections lie near a box."""
    rng = np.random.default_rng(0)
    height, width = VIDEO_SHAPE
    detections, tracks = [], []
    per_video = np.diff(np.linspace(0, size.num_detections, size.num_videos + 1).astype(int))
    for count in per_video:
        frames = np.arange(size.frames_per_video // 4, size.frames_per_video * 3 // 4)
        rows = []
        for track in range(2):
            left = (rng.integers(0, width) + 3 * frames) % (width - 60)
            top = np.full_like(left, rng.integers(0, height - 120))
            rows.append(np.stack([np.full_like(left, track), frames, left, top, left + 59, top + 119], axis=1))
        regions = np.concatenate(rows).astype(np.float64)
        near = regions[rng.integers(0, len(regions), count // 2), 1:]
        near[:, 1:] += rng.integers(-20, 20, (len(near), 1))
        boxes = rng.integers(0, [size.frames_per_video, width, height], (count - len(near), 3)).astype(np.float64)
        far = np.concatenate([boxes, boxes[:, 1:] + rng.integers(10, 100, (len(boxes), 2))], axis=1)
        found = np.concatenate([near, far])
        scores = np.concatenate([rng.beta(4, 2, len(near)), rng.beta(2, 4, len(far))])
        detections.append(np.concatenate([found, scores[:, None]], axis=1))
        tracks.append(regions)
    return detections, tracks


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities."""
    return 1 / (1 + np.exp(-logits))


def time_once(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def check_figure(name: str, ours: float, theirs: float, tolerance: float) -> None:
    """Stop where the two sides do not say the same."""
    if not abs(ours - theirs) <= tolerance:
        raise RuntimeError(f'{name}: ours is {ours!r}, that of scikit-learn {theirs!r}')


def sklearn_version() -> str:
    """Of the scikit-learn that was compared with."""
    import sklearn

    return sklearn.__version__


if __name__ == '__main__':
    run_tool(main)
