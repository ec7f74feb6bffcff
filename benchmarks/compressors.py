"""How fast visual tokens are compressed by reverse attention, and what memory that takes.

    python benchmarks/compressors.py                         # about five minutes and 2 GB
    python benchmarks/compressors.py --json speed.json       # the figures as well in a file
    python benchmarks/compressors.py --sizes 512x256 --long none --repeats 1     # seconds, no target

Compared are, at keep ratio 0.5 with 8 neighbours,

- the floor: one product tokens @ tokens.T in float32;
- ours: reverse_attn_merge;
- the direct formulation of docs/method.md, section 3: torch.cdist of all tokens, topk, torch.cdist to the centres, a
  softmax over all R x L and a product.

They run in turn, --repeats times each, on random tokens and on those of a camera at rest: four grids, nearly the same.
The median counts. Memory is the peak of a process of its own over what it took before. The longest sample, --long, is
too long for the direct formulation. Both sides must choose the same centres where their densities differ clearly.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lavida_mm.models.compressors import reverse_attn_merge
from lavida_mm.utils.atomic import atomic_path
from lavida_mm.utils.errors import run_tool

KEEP_RATIO, NUM_NEIGHBORS = 0.5, 8
SIZES = [(2048, 3584), (6144, 3584)]  # most tokens of a clip in training and at test, at Qwen2-VL-7B's width
LONG = (32768, 1024)
LEAST_GAIN = 2.5  # times faster than the direct formulation
MOST_PRODUCTS = 1.5  # times the floor
MOST_PRODUCTS_LONG = 2.5
MOST_MEMORY = 0.5  # times that of the direct formulation, at the largest of the sizes
MOST_MEGABYTES_LONG = 2048.0
CLEAR = 1e-3  # share by which a density must differ from the last one kept: the direct formulation is in float32
MEGABYTE = 2**20


@dataclass(frozen=True)
class Row:
    """One line of the table; None where the direct formulation does not run.

    Attributes:
        tokens, channels: L and C.
        data: kind of the tokens.
        floor, ours, direct: seconds.
        our_megabytes, direct_megabytes: extra memory at most.
    """

    tokens: int
    channels: int
    data: str
    floor: float
    ours: float
    direct: float | None
    our_megabytes: float
    direct_megabytes: float | None


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', nargs='+', type=read_size, default=SIZES, metavar='LxC', help='tokens x channels')
    parser.add_argument('--long', type=read_long, default=LONG, metavar='LxC', help='the longest sample, or none')
    parser.add_argument('--repeats', type=int, default=5, help='runs of each (default: %(default)s)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures here as well')
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error(f'--repeats must be at least 1, got {args.repeats}')
    return args


def read_size(text: str) -> tuple[int, int]:
    """L and C of a size such as 2048x3584."""
    tokens, cross, channels = text.partition('x')
    if not cross or not (tokens.isdecimal() and channels.isdecimal()) or int(tokens) < 4 or int(channels) < 1:
        raise argparse.ArgumentTypeError(f'must be tokens x channels with at least 4 tokens, as 2048x3584, got {text}')
    return int(tokens), int(channels)


def read_long(text: str) -> tuple[int, int] | None:
    """A size, or None for none."""
    return None if text == 'none' else read_size(text)


def main(argv: list[str] | None = None) -> None:
    """Measure everything, print one table, judge the figures of the full sizes."""
    args = parse_args(argv)
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads, median of {args.repeats} runs in turn')
    print(
        f'{"":<26}{"floor":>9}{"ours":>9}{"direct":>9}{"ours/floor":>12}{"direct/ours":>13}{"MB ours":>9}{"direct":>8}'
    )
    rows = []
    for size in args.sizes:
        rows += [measure(size, data, args.repeats, with_direct=True) for data in MAKERS]
    if args.long is not None:
        rows.append(measure(args.long, 'random', min(args.repeats, 3), with_direct=False))
    if args.sizes == SIZES and args.long == LONG:
        judge(rows)
    if args.json:
        with atomic_path(args.json) as temporary:
            temporary.write_text(json.dumps([asdict(row) for row in rows], indent=2) + '\n')


@torch.no_grad()
def measure(size: tuple[int, int], data: str, repeats: int, *, with_direct: bool) -> Row:
    """Time and memory of one size; prints its line."""
    tokens = MAKERS[data](*size)
    ways: dict[str, Callable[[Tensor], object]] = {'floor': multiply, 'ours': merge, 'direct': merge_directly}
    if not with_direct:
        del ways['direct']
    else:
        check_centres(tokens)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            seconds[name].append(time_once(partial(way, tokens)))
    median = {name: statistics.median(each) for name, each in seconds.items()}
    megabytes = {name: measure_memory(name, size, data) for name in ways if name != 'floor'}
    row = Row(
        tokens=size[0],
        channels=size[1],
        data=data,
        floor=median['floor'],
        ours=median['ours'],
        direct=median.get('direct'),
        our_megabytes=megabytes['ours'],
        direct_megabytes=megabytes.get('direct'),
    )
    print(format_row(row), flush=True)
    return row


def format_row(row: Row) -> str:
    """A line of the table."""
    name = f'{row.tokens} x {row.channels}, {row.data}'
    line = f'{name:<26}{row.floor:>8.3f}s{row.ours:>8.3f}s'
    if row.direct is None or row.direct_megabytes is None:
        return f'{line}{"":>9}{row.ours / row.floor:>12.2f}{"":>13}{row.our_megabytes:>9.0f}'
    gain = row.direct / row.ours
    line += f'{row.direct:>8.3f}s{row.ours / row.floor:>12.2f}{gain:>13.2f}'
    return f'{line}{row.our_megabytes:>9.0f}{row.direct_megabytes:>8.0f}'


def judge(rows: list[Row]) -> None:
    """Say which targets are met; those of time are for random tokens."""
    largest = max(row.tokens for row in rows if row.direct is not None)
    for row in rows:
        if row.data != 'random':
            continue
        name, floors = f'{row.tokens} x {row.channels}', row.ours / row.floor
        if row.direct is None or row.direct_megabytes is None:
            say(f'{name}: at most {MOST_PRODUCTS_LONG} times the floor', floors <= MOST_PRODUCTS_LONG)
            say(f'{name}: at most {MOST_MEGABYTES_LONG:.0f} MB', row.our_megabytes <= MOST_MEGABYTES_LONG)
            continue
        say(f'{name}: at least {LEAST_GAIN} times faster than direct', row.direct / row.ours >= LEAST_GAIN)
        say(f'{name}: at most {MOST_PRODUCTS} times the floor', floors <= MOST_PRODUCTS)
        if row.tokens == largest:
            limit = MOST_MEMORY * row.direct_megabytes
            say(f'{name}: at most {MOST_MEMORY} times the memory of direct', row.our_megabytes <= limit)


def say(rule: str, is_met: bool) -> None:
    """Print a target and whether it is met."""
    print(f'{rule}: {"met" if is_met else "NOT MET"}')


def multiply(tokens: Tensor) -> None:
    """The floor: one product. Longer samples are multiplied in parts, so that it fits into memory."""
    for part in tokens.split(8192):
        part @ tokens.T


def merge(tokens: Tensor) -> Tensor:
    """Ours; the indices of the centres."""
    return reverse_attn_merge(tokens, KEEP_RATIO, NUM_NEIGHBORS)[1]


def find_densities(tokens: Tensor) -> Tensor:
    """Local reachability densities by the direct formulation, (L,)."""
    distances = torch.cdist(tokens, tokens) / math.sqrt(tokens.shape[1])  # (L, L)
    distances.fill_diagonal_(math.inf)
    near, neighbors = distances.topk(min(NUM_NEIGHBORS, len(tokens) - 1), dim=1, largest=False)
    reach = torch.maximum(near[:, -1][neighbors], near)
    return near.shape[1] / (reach.sum(dim=1) + 1e-10)


def merge_directly(tokens: Tensor) -> Tensor:
    """Merged tokens by the direct formulation, (R, C)."""
    num_kept = max(1, math.floor(KEEP_RATIO * len(tokens)))
    centres = find_densities(tokens).topk(num_kept).indices.sort().values
    clusters = torch.cdist(tokens, tokens[centres]).argmin(dim=1)
    logits = -(tokens[centres] @ tokens.T) / math.sqrt(tokens.shape[1])  # (R, L)
    logits.masked_fill_(clusters != torch.arange(num_kept)[:, None], -math.inf)
    return logits.softmax(dim=1) @ tokens


WAYS = {'ours': merge, 'direct': merge_directly}


def make_random(num_tokens: int, channels: int) -> Tensor:
    """Tokens that have nothing to do with each other."""
    return torch.randn(num_tokens, channels, generator=torch.Generator().manual_seed(0))


def make_still(num_tokens: int, channels: int) -> Tensor:
    """Tokens of a camera at rest: four grids that differ by some noise, places of a scene that resemble each other."""
    generator = torch.Generator().manual_seed(0)
    places = -(-num_tokens // 4)
    scene = torch.randn(places, 32, generator=generator) @ torch.randn(32, channels, generator=generator) / 32**0.5
    tokens = scene.repeat(4, 1)[:num_tokens]
    return tokens + 0.1 * torch.randn(num_tokens, channels, generator=generator)


MAKERS: dict[str, Callable[[int, int], Tensor]] = {'random': make_random, 'still': make_still}


def check_centres(tokens: Tensor) -> None:
    """Stop where a clearly denser token is no centre, or a clearly sparser one is."""
    densities = find_densities(tokens)
    is_centre = torch.zeros(len(tokens), dtype=torch.bool)
    is_centre[merge(tokens)] = True
    last = densities.sort(descending=True).values[int(is_centre.sum()) - 1]
    wrong = ((densities > last * (1 + CLEAR)) & ~is_centre) | ((densities < last * (1 - CLEAR)) & is_centre)
    if wrong.any():
        raise RuntimeError(
            f'{int(wrong.sum())} of {len(tokens)} tokens are centres on one side only, clear as they are'
        )


def time_once(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure_memory(way: str, size: tuple[int, int], data: str) -> float:
    """Extra megabytes at most, in a process of its own."""
    # Forked, but not from this process with its memory: from a server that has only imported what we have.
    context = multiprocessing.get_context('forkserver')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_extra_memory, args=(sender, way, size, data))
    process.start()
    sender.close()
    try:
        megabytes = receiver.recv()
    except EOFError:
        raise RuntimeError('the process that measures memory died') from None
    finally:
        process.join()
    return megabytes


@torch.no_grad()
def send_extra_memory(sender: Connection, way: str, size: tuple[int, int], data: str) -> None:
    """Megabytes that a way needs at most beyond what the process held before."""
    tokens = MAKERS[data](*size)
    WAYS[way](tokens[:64].clone())  # what libraries load at first use is there before
    with open('/proc/self/clear_refs', 'w') as file:
        file.write('5')  # the peak so far is forgotten
    before = read_status('VmRSS')
    WAYS[way](tokens)
    sender.send((read_status('VmHWM') - before) / MEGABYTE)


def read_status(field: str) -> int:
    """A size in bytes from what Linux says of this process."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f'{field}:'))


if __name__ == '__main__':
    run_tool(main)
