"""How long each part of a forward pass takes, and how much memory, with each compressor and ratio."""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import torch
from compression_settings import Setting, replaced

WARM_UPS = 1
PARTS = ('vision', 'compressor', 'language', 'segmenter', 'decoder')


def part_calls(model: Any, compressor: Any) -> list[tuple[Any, str, str]]:
    """Objects and methods in which the time of a part passes, with the part's name."""
    from lavida_mm.models.compressors import TokenMerge

    return [
        (model.mllm.family, 'embed', 'vision'),
        (compressor, 'forward', 'compressor'),
        (TokenMerge, 'apply', 'compressor'),
        (model.mllm.family, 'read', 'language'),
        (model.mask_head, 'encode', 'segmenter'),
        (model.projector, 'forward', 'decoder'),
        (model.mask_head, 'predict', 'decoder'),
    ]


class Stopwatch:
    """Adds up the seconds of each part.

    Args:
        device: whose work is waited for.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = dict.fromkeys(PARTS, 0.0)

    def now(self) -> float:
        """The time at which all work that was given to the device is done."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def time(self, part: str) -> Callable[[Callable], Callable]:
        """Wrap a method so that its time counts for a part."""

        def wrap(method: Callable) -> Callable:
            def timed(*args: Any, **kwargs: Any) -> Any:
                start = self.now()
                answer = method(*args, **kwargs)
                self.seconds[part] += self.now() - start
                return answer

            return timed

        return wrap


class PeakMemory:
    """The largest memory at one time since its making.

    On CUDA the bytes in tensors (``max_memory_allocated``); on the CPU the growth of the process's resident set,
    which leaves out what the allocator had kept from before. None where neither can be read.

    Args:
        device: where the model is.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.before: int | None = None
        if device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats(device)
            return
        try:
            Path('/proc/self/clear_refs').write_text('5')  # the peak becomes what is resident now
            self.before = read_status('VmRSS')
        except OSError:  # not Linux, or not allowed
            pass

    def read(self) -> int | None:
        """Bytes."""
        if self.device.type == 'cuda':
            return torch.cuda.max_memory_allocated(self.device)
        return None if self.before is None else max(0, read_status('VmHWM') - self.before)


def read_status(name: str) -> int:
    """A figure of /proc/self/status, in bytes."""
    found = re.search(rf'^{name}:\s+(\d+) kB', Path('/proc/self/status').read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def describe_memory(device: torch.device) -> str:
    """What the memory column holds."""
    if device.type == 'cuda':
        return 'largest memory in tensors (torch.cuda.max_memory_allocated), weights included'
    return "growth of the process's peak resident set, weights not included"


def make_clip(num_frames: int, size: tuple[int, int], words: list[str]) -> dict[str, list[Any]]:
    """A batch of one random clip as the data loader gives it."""
    import numpy as np

    from lavida_mm.structures import VADDataSample

    generator = torch.Generator().manual_seed(0)
    clip = torch.randint(0, 256, (num_frames, 3, *size), dtype=torch.uint8, generator=generator)
    meta = dict(
        video_id='random',
        frame_inds=np.arange(num_frames),
        img_shape=size,
        ori_shape=size,
        categories=words,
        template=0,
    )
    return {'inputs': [clip], 'data_samples': [VADDataSample(metainfo=meta)]}


def measure(
    model: Any,
    compressors: Mapping[Setting, Any],
    batch: dict[str, list[Any]],
    repeats: int,
    advance: Callable[[], Any] = lambda: None,
) -> dict[Setting, dict[str, Any]]:
    """Median seconds of each part, of all else and of the whole pass, and the peak memory in bytes.

    Args:
        model: with its weights.
        compressors: that of each setting.
        batch: what is looked at.
        repeats: measured passes, after one that warms up.
        advance: called after each setting.
    """
    device = next(model.parameters()).device
    own, rows = model.compressor, {}
    try:
        for setting, compressor in compressors.items():
            model.compressor = compressor
            rows[setting] = measure_setting(model, batch, repeats, device)
            advance()
    finally:
        model.compressor = own
    return rows


def measure_setting(model: Any, batch: dict[str, list[Any]], repeats: int, device: torch.device) -> dict[str, Any]:
    """The same with the compressor that the model has."""
    passes: list[dict[str, float]] = []
    for number in range(WARM_UPS + repeats):
        if number == WARM_UPS:
            memory = PeakMemory(device)
        watch = Stopwatch(device)
        with torch.no_grad(), ExitStack() as stack:
            for owner, name, part in part_calls(model, model.compressor):
                stack.enter_context(replaced(owner, name, watch.time(part)))
            start = watch.now()
            model.test_step(batch)
            whole = watch.now() - start
        passes.append({**watch.seconds, 'rest': whole - sum(watch.seconds.values()), 'whole': whole})
    measured = passes[WARM_UPS:]
    return {**{part: median(run[part] for run in measured) for part in measured[0]}, 'memory': memory.read()}
