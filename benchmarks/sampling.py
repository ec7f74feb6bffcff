"""What the anomaly sampler, the seeds and the index of a large source cost.

    python benchmarks/sampling.py            # 100,000 videos, 1,000,000 objects: some minutes
    python benchmarks/sampling.py --quick    # small sizes: seconds, no target

Three tables:

- a sample of images (640x480, 5 objects) through mmdet's loading and our packing, without the sampler and with it, and
  with the seeds of a Draw; the two run in turn, the medians count;
- the draw of words alone from vocabularies of different sizes;
- a synthetic index: the time to parse it, to open it from the cache in a new process, and what it adds to the memory
  of a machine (PSS of the main process and its workers, less that of the same processes with an index of 10 videos)
  after every worker has read its share of the items.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lavida_mm.datasets import CocoInstancesSource, PseudoAnomalySampler, SourceMixture
from lavida_mm.datasets.draw import Draw
from lavida_mm.datasets.sources import PseudoAnomalySource
from lavida_mm.datasets.transforms.pseudo_anomaly_sampler import draw_exposure
from lavida_mm.datasets.vocabulary import Vocabulary
from lavida_mm.utils.errors import run_tool

MOST_OVERHEAD = 0.10
MOST_SECONDS = 3.0
MOST_MEGABYTES = 300
MEGABYTE = 2**20
LOADING = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=False, with_label=False, with_mask=True),
    dict(type='LoadImageObjects'),
]
SAMPLER = dict(type='PseudoAnomalySampler', max_categories=30, num_templates=6)
PACK = dict(type='PackVADInputs')


@dataclass(frozen=True)
class Size:
    """Images, rounds over them, videos of the index, objects of a video, numbers of workers, sizes of vocabularies."""

    images: int
    rounds: int
    videos: int
    objects: int
    workers: tuple[int, ...]
    words: tuple[int, ...]


FULL = Size(images=40, rounds=15, videos=100_000, objects=10, workers=(0, 1, 4), words=(100, 10_000, 142_000))
QUICK = Size(images=4, rounds=2, videos=300, objects=10, workers=(1,), words=(100, 1000))


class SyntheticIndex(PseudoAnomalySource):
    """An index of videos with objects, each with a category and a phrase; its file says how many."""

    def __init__(self, *, file: str):
        self.file = Path(file)
        super().__init__(
            name='synthetic', data_root='', pipeline=[], extra_words=[], bad_annotations='error', lazy_init=True,
            cache_index=True,
        )  # fmt: skip

    def index_files(self) -> list[Path]:
        """The one file."""
        return [self.file]

    def load_data_list(self) -> list[dict]:
        """Make what the file asks for."""
        videos, objects = json.loads(self.file.read_text())
        self.set_vocabulary(f'object {number} that moves' for number in range(videos))
        return [
            dict(
                video_id=f'video{video:06}',
                path=None,
                num_frames=30,
                frame_folder=f'JPEGImages/video{video:06}',
                objects=[
                    dict(object_id=number, words=[f'category {number}', f'object {video} that moves'])
                    for number in range(objects)
                ],
            )
            for video in range(videos)
        ]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='small sizes, to see that the benchmark works')
    parser.add_argument('--open', type=Path, metavar='FILE', help=argparse.SUPPRESS)  # in a process of its own
    parser.add_argument('--workers', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the three tables."""
    args = parse_args(argv)
    if args.open is not None:
        print(json.dumps(open_and_read(args.open, args.workers)))
        return
    size = QUICK if args.quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        print(f'{os.cpu_count()} cores')
        time_samples(Path(folder), size, args.quick)
        time_words(size)
        measure_index(Path(folder), size, args.quick)


def judge(title: str, value: float, shown: str, most: float, quick: bool) -> None:
    """Print a figure with its target; small sizes are not judged."""
    verdict = '' if quick else f'; must be at most {most:g}: {"met" if value <= most else "NOT MET"}'
    print(f'{title}: {shown}{verdict}')


def write_images(folder: Path, number: int) -> None:
    """JPEG images of noise in blocks with five polygons each, as COCO has them."""
    (folder / 'images').mkdir()
    rng, images, annotations = np.random.default_rng(0), [], []
    for key in range(number):
        blocks = rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / 'images' / f'{key}.jpg'), cv2.resize(blocks, (640, 480)))
        images.append(dict(id=key, file_name=f'{key}.jpg', height=480, width=640))
        for _ in range(5):
            left, top = (int(value) for value in rng.integers(10, 300, 2))
            angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            outline = np.stack([left + 80 + 75 * np.cos(angles), top + 80 + 75 * np.sin(angles)], 1).round(1)
            annotations.append(
                dict(
                    id=len(annotations), image_id=key, category_id=int(rng.integers(80)), iscrowd=0,
                    segmentation=[outline.ravel().tolist()], bbox=[left, top, 160, 160], area=17_000.0,
                )
            )  # fmt: skip
    categories = [dict(id=key, name=f'category {key}') for key in range(80)]
    content = dict(images=images, annotations=annotations, categories=categories)
    (folder / 'instances.json').write_text(json.dumps(content))


def time_samples(folder: Path, size: Size, quick: bool) -> None:
    """Time samples with and without the sampler, and with and without a seed."""
    write_images(folder, size.images)

    def build(**options: dict) -> SourceMixture:
        source = dict(type=CocoInstancesSource, data_root=str(folder), ann_file='instances.json', pipeline=LOADING)
        return SourceMixture(sources=dict(images=source), shares=dict(images=1), pack=PACK, **options)

    without, with_sampler = build(), build(anomaly_sampler=SAMPLER)
    ways: dict[str, Callable[[int], object]] = {
        'loading and packing': lambda item: without[item],
        'with the sampler': lambda item: with_sampler[item],
        'with the sampler and seeds': lambda item: with_sampler[Draw(item, item)],
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(size.rounds + 1):
        for item in range(size.images):
            for name, make in ways.items():
                start = time.perf_counter()
                make(item)
                if number:  # the first round warms up
                    times[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(each)) for name, each in times.items()}
    for name, seconds in medians.items():
        print(f'{name}: {1000 * seconds:.2f} ms a sample')
    base = medians['loading and packing']
    for title, name in (('overhead of the sampler', 'with the sampler'), ('with seeds', 'with the sampler and seeds')):
        overhead = medians[name] / base - 1
        judge(title, overhead, f'{100 * overhead:.1f} %', MOST_OVERHEAD, quick)


def time_words(size: Size) -> None:
    """Time the draw of the words of a prompt."""
    sampler = PseudoAnomalySampler(max_categories=30)
    for number in size.words:
        vocabulary = Vocabulary(f'object {place} that moves' for place in range(number))
        objects = [[vocabulary[place] for place in range(start, start + 3)] for start in (0, 20, 40)]
        rng, repeats = np.random.default_rng(0), 500
        start = time.perf_counter()
        for _ in range(repeats):
            draw_exposure(
                objects, vocabulary, [], anomaly_ratio=0.5, max_categories=sampler.max_categories, num_targets=(1, 1),
                num_templates=1, rng=rng,
            )  # fmt: skip
        seconds = (time.perf_counter() - start) / repeats
        print(f'words of a prompt, vocabulary of {number:,}: {1000 * seconds:.3f} ms')


def measure_index(folder: Path, size: Size, quick: bool) -> None:
    """Parse an index once, then open it in processes of their own."""
    environment = {**os.environ, 'LAVIDA_MM_CACHE': str(folder / 'cache')}

    def run(file: Path, workers: int) -> dict[str, float]:
        command = [sys.executable, __file__, '--open', str(file), '--workers', str(workers)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    large, small = folder / 'large.json', folder / 'small.json'
    large.write_text(json.dumps([size.videos, size.objects]))
    small.write_text(json.dumps([10, size.objects]))
    parsed, _ = run(large, 0), run(small, 0)
    stored = sum(path.stat().st_size for path in (folder / 'cache').iterdir()) / MEGABYTE
    print(
        f'index of {size.videos:,} videos and {size.videos * size.objects:,} objects: parsed and kept in '
        f'{parsed["seconds"]:.1f} s, {stored:.0f} MB on disk'
    )
    for workers in size.workers:
        found, base = run(large, workers), run(small, workers)
        judge(f'opened, {workers} workers', found['seconds'], f'{found["seconds"]:.2f} s', MOST_SECONDS, quick)
        added = found['megabytes'] - base['megabytes']
        judge(f'memory of the machine, {workers} workers', added, f'{added:.0f} MB', MOST_MEGABYTES, quick)


def open_and_read(file: Path, workers: int) -> dict[str, float]:
    """Open an index, have workers read all its items, and see what they and this process hold.

    Returns:
        seconds of the opening, and megabytes of all these processes together (PSS).
    """
    source = SyntheticIndex(file=str(file))
    start = time.perf_counter()
    source.full_init()
    seconds = time.perf_counter() - start
    pipes, children = [], []
    for worker in range(max(workers, 1)):
        if not workers:
            read_items(source, 0, 1)
            break
        down, up = os.pipe(), os.pipe()
        child = os.fork()
        if not child:
            read_items(source, worker, workers)
            os.write(up[1], b'.')
            os.read(down[0], 1)  # until all have been measured
            os._exit(0)
        children.append(child)
        pipes.append((down[1], up[0]))
    for _, ready in pipes:
        os.read(ready, 1)
    megabytes = sum(read_pss(process) for process in (os.getpid(), *children))
    for (release, _), child in zip(pipes, children, strict=True):
        os.write(release, b'.')
        os.waitpid(child, 0)
    return dict(seconds=seconds, megabytes=megabytes)


def read_items(source: SyntheticIndex, worker: int, workers: int) -> None:
    """What a worker does in an epoch: every so-manieth item in random order, and a prompt's words for each."""
    items = np.random.default_rng(0).permutation(len(source))[worker::workers]
    rng = np.random.default_rng(worker)
    for item in items.tolist():
        info = source.get_data_info(item)
        words = [target['words'] for target in info['objects']]
        draw_exposure(
            words, info['vocabulary'], [], anomaly_ratio=0.5, max_categories=30, num_targets=(1, 1), num_templates=1,
            rng=rng,
        )  # fmt: skip


def read_pss(process: int) -> float:
    """Megabytes of a process, shared pages counted in parts (Linux)."""
    for line in Path(f'/proc/{process}/smaps_rollup').read_text().splitlines():
        if line.startswith('Pss:'):
            return int(line.split()[1]) / 1024
    raise OSError(f'/proc/{process}/smaps_rollup: has no Pss')


if __name__ == '__main__':
    run_tool(main)
