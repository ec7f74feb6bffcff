"""What the mask head's feature cache saves, and what memory large frames take.

    python benchmarks/mask_head.py                                    # SAM ViT-B at 1024 pixels: minutes on two cores
    python benchmarks/mask_head.py --device cuda                      # the same on a GPU
    python benchmarks/mask_head.py --arch sam2_small                  # another segmenter
    python benchmarks/mask_head.py --arch conv --image-size 96 --quick   # small sizes: seconds, no target

One table:

- windows of 8 frames with stride 4, so that every frame is in two of them: seconds per new frame from frames to masks,
  without and with the cache, which has seen the window before; in turn, the shortest of all windows. The weights are
  random: they do not matter here. Masks and scores are compared, they must be the same in every bit, and the encoder's
  calls are counted;
- memory of AnomalyMaskHead.predict for one window, over what was there before: masks of 3840x2160 pixels against
  1920x1080. On the CPU each in a process of its own, the peak of the resident set; on a GPU the peak in tensors.
"""

import argparse
import ctypes
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lavida_mm.models.mask_heads import AnomalyMaskHead
from lavida_mm.models.mask_heads.sam import SAM_ARCHS
from lavida_mm.models.mask_heads.sam2_architectures import SAM2_ARCHS
from lavida_mm.models.projectors import ProjectorOutput
from lavida_mm.structures import VADDataSample
from lavida_mm.utils.errors import run_tool

WINDOW, STRIDE = 8, 4
MOST_TIME = 0.65  # of the time without the cache
MOST_GROWTH = 1.3  # of the memory at 1080p, and one window's masks on top
MEGABYTE = 2**20
HD, UHD = (1080, 1920), (2160, 3840)
CONV_CHANNELS = 64
SAM2_PREFIX = 'sam2_'


@dataclass(frozen=True)
class Size:
    """How much is measured: windows that are timed, and the frames' sizes in the two parts."""

    num_windows: int
    frame: tuple[int, int]
    small: tuple[int, int]
    large: tuple[int, int]


FULL = Size(num_windows=2, frame=HD, small=HD, large=UHD)
QUICK = Size(num_windows=2, frame=(90, 160), small=(270, 480), large=(540, 960))


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was measured.
        base: without the cache, or at the smaller size, with its unit.
        ours: with the cache, or at the larger size.
        ratio: ours over base.
        rule: the target, in words.
        met: whether it is met.
    """

    name: str
    base: str
    ours: str
    ratio: float
    rule: str
    met: bool


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    archs = [*SAM_ARCHS, *(SAM2_PREFIX + arch for arch in SAM2_ARCHS), 'conv']
    parser.add_argument('--arch', choices=archs, default='vit_b', help='the segmenter (default: %(default)s)')
    parser.add_argument('--image-size', type=int, default=1024, help='side of its images (default: %(default)s)')
    parser.add_argument('--device', default='cpu', help='cpu or cuda (default: %(default)s)')
    parser.add_argument('--quick', action='store_true', help='small frames, to see that the benchmark works')
    args = parser.parse_args(argv)
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        parser.error(f'--device {args.device}: there is no GPU')
    return args


def main(argv: list[str] | None = None) -> None:
    """Measure everything and print one table."""
    args = parse_args(argv)
    size = QUICK if args.quick else FULL
    segmenter = segmenter_config(args.arch, args.image_size)
    device = torch.device(args.device)
    rows = [measure_cache(segmenter, size, device), measure_memory(segmenter, size, device)]
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else f'{os.cpu_count()} cores'
    print(f'{args.arch} at {args.image_size}, torch {torch.__version__}, {name}, {torch.get_num_threads()} threads')
    print(f'{"":<52}{"base":>12}{"ours":>12}{"ratio":>8}' + ('' if args.quick else '  target'))
    for row in rows:
        verdict = '' if args.quick else f'  {row.rule}: {"met" if row.met else "NOT MET"}'
        print(f'{row.name:<52}{row.base:>12}{row.ours:>12}{row.ratio:>8.2f}{verdict}')


def segmenter_config(arch: str, image_size: int) -> dict[str, Any]:
    """The segmenter with random weights."""
    if arch.startswith(SAM2_PREFIX):
        return dict(type='SAM2', arch=arch.removeprefix(SAM2_PREFIX), image_size=image_size, resize='squash')
    config: dict[str, Any] = dict(type='SAM', image_size=image_size, resize='squash')
    if arch != 'conv':
        return {**config, 'arch': arch}
    encoder = dict(type='ConvImageEncoder', out_channels=CONV_CHANNELS)
    return {**config, 'image_encoder': encoder, 'prompt_dim': CONV_CHANNELS, 'transformer_mlp': 256}


def build_head(segmenter: dict[str, Any], device: torch.device, feature_cache: int = 0) -> AnomalyMaskHead:
    """The mask head with the same random weights each time."""
    torch.manual_seed(0)
    return AnomalyMaskHead(segmenter=segmenter, gate='soft', feature_cache=feature_cache).to(device).eval()


def make_prompts(head: AnomalyMaskHead, device: torch.device) -> ProjectorOutput:
    """Prompts of one window, as a projector would make them."""
    prompts = torch.randn(WINDOW, 1, head.embed_dim, generator=torch.Generator().manual_seed(1)).to(device)
    return ProjectorOutput(sparse=prompts, dense=None, categories=prompts, similarity=None)


def make_sample(start: int, shape: tuple[int, int]) -> VADDataSample:
    """The window that begins at a frame."""
    frames = list(range(start, start + WINDOW))
    return VADDataSample(metainfo=dict(video_id='video', frame_inds=frames, ori_shape=shape, categories=['word']))


@torch.inference_mode()
def measure_cache(segmenter: dict[str, Any], size: Size, device: torch.device) -> Row:
    """Seconds per new frame without and with the cache, in turn, the shortest of all windows."""
    num_frames = WINDOW + STRIDE * size.num_windows
    generator = torch.Generator().manual_seed(2)
    video = torch.randint(0, 256, (num_frames, 3, *size.frame), dtype=torch.uint8, generator=generator)
    heads = [build_head(segmenter, device, capacity) for capacity in (0, 2 * WINDOW)]
    calls = [count_calls(head) for head in heads]
    heads[1].encode([video[:WINDOW].to(device)], [make_sample(0, size.frame)])
    shortest = [float('inf')] * len(heads)
    for first in range(STRIDE, STRIDE * (size.num_windows + 1), STRIDE):
        clip, outputs = video[first : first + WINDOW].to(device), []
        for number, head in enumerate(heads):
            prompts, sample = make_prompts(head, device), make_sample(first, size.frame)
            start = now(device)
            (sample,) = head.predict(head.encode([clip], [sample]), prompts, [sample])
            shortest[number] = min(shortest[number], now(device) - start)
            outputs.append((sample.pred_frame_scores, sample.pred_masks))
        if not all(torch.equal(base, ours) for base, ours in zip(*outputs, strict=True)):
            raise RuntimeError(f'window at frame {first}: the cache changes scores or masks')
    expected = [WINDOW * size.num_windows, num_frames]
    if [len(one) for one in calls] != expected:
        raise RuntimeError(
            f'{expected} frames should be encoded without and with the cache, got {list(map(len, calls))}'
        )
    base_time, our_time = shortest
    return Row(
        name=f'windows of {WINDOW} with stride {STRIDE}: per frame, cache off, on',
        base=f'{base_time / STRIDE:.3f} s',
        ours=f'{our_time / STRIDE:.3f} s',
        ratio=our_time / base_time,
        rule=f'at most {MOST_TIME} of the time',
        met=our_time <= MOST_TIME * base_time,
    )


def count_calls(head: AnomalyMaskHead) -> list[int]:
    """A list that grows by one with each frame that the image encoder sees."""
    calls: list[int] = []
    head.segmenter.image_encoder.register_forward_pre_hook(lambda _, images: calls.extend([1] * len(images[0])))
    return calls


def now(device: torch.device) -> float:
    """The time at which all work given to the device is done."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure_memory(segmenter: dict[str, Any], size: Size, device: torch.device) -> Row:
    """Peak memory of ``predict`` at the two sizes."""
    small, large = (peak_of(segmenter, shape, device) for shape in (size.small, size.large))
    masks = WINDOW * size.large[0] * size.large[1] * torch.float32.itemsize / MEGABYTE
    names = [f'{width}x{height}' for height, width in (size.small, size.large)]
    return Row(
        name=f'memory of predict, {names[0]}, {names[1]}',
        base=f'{small:.0f} MB',
        ours=f'{large:.0f} MB',
        ratio=large / small,
        rule=f'at most {MOST_GROWTH} times and {masks:.0f} MB for the masks',
        met=large <= MOST_GROWTH * small + masks,
    )


def peak_of(segmenter: dict[str, Any], shape: tuple[int, int], device: torch.device) -> float:
    """Megabytes that ``predict`` needs beyond what was there before."""
    if device.type == 'cuda':
        return predict_once(segmenter, shape, device)
    context = multiprocessing.get_context('spawn')  # a forked process would begin with our memory
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_peak, args=(sender, segmenter, shape))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise RuntimeError('the process that measures memory died') from None
    finally:
        process.join()


def send_peak(sender: Connection, segmenter: dict[str, Any], shape: tuple[int, int]) -> None:
    """Measure on the CPU, in a process of its own."""
    sender.send(predict_once(segmenter, shape, torch.device('cpu')))


@torch.inference_mode()
def predict_once(segmenter: dict[str, Any], shape: tuple[int, int], device: torch.device) -> float:
    """Megabytes of the first window at one size; a window of few pixels has gone before."""
    head = build_head(segmenter, device)
    prompts = make_prompts(head, device)
    clip = torch.randint(0, 256, (1, 3, *shape), dtype=torch.uint8).to(device)
    one = head.encode([clip])
    features = type(one).join([one] * WINDOW, [WINDOW])
    few, sample = make_sample(0, (32, 32)), make_sample(0, shape)
    head.predict(features, prompts, [few])
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        head.predict(features, prompts, [sample])
        return (torch.cuda.max_memory_allocated(device) - before) / MEGABYTE
    ctypes.CDLL('libc.so.6').malloc_trim(0)  # memory that is free already must not hide what is needed
    with open('/proc/self/clear_refs', 'w') as file:
        file.write('5')  # the peak so far is forgotten
    resident = read_status('VmRSS')
    head.predict(features, prompts, [sample])
    return (read_status('VmHWM') - resident) / MEGABYTE


def read_status(field: str) -> int:
    """A size in bytes from what Linux says of this process."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f'{field}:'))


if __name__ == '__main__':
    run_tool(main)
