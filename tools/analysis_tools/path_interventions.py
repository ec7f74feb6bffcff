"""Interventions on a detector from outside: parts silenced, states swapped, frames moved. The model knows of none."""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from path_settings import Setting

from lavida_mm.utils.errors import DataError, UsageError

Key = tuple[str, int]  # video and number of the first frame of a window
Batch = dict[str, Any]
Step = Callable[[Batch], list[Any]]


def order_frames(num_frames: int, video_id: str, first: int, seed: int = 0) -> np.ndarray:
    """An order of the frames of a window, never their own where there are two or more.

    Args:
        num_frames: T.
        video_id: name of the video.
        first: number of the window's first frame.
        seed: equal seeds give equal orders, whatever came before.

    Returns:
        places of the frames in the window, (T,).
    """
    rng = np.random.default_rng([seed, zlib.crc32(video_id.encode()), first])
    own = np.arange(num_frames)
    order = rng.permutation(num_frames)
    while num_frames > 1 and (order == own).all():
        order = rng.permutation(num_frames)
    return order


def choose_donors(keys: Sequence[Key], seed: int = 0) -> dict[Key, Key]:
    """For each window a window of another video; each is chosen once.

    Windows lie in a circle, video by video, both in random order, and each looks ahead by the length of the longest
    video.

    Args:
        keys: the windows of all videos.
        seed: equal seeds give equal choices.

    Raises:
        UsageError: one video has more than half of the windows.
    """
    rng = np.random.default_rng(seed)
    windows: dict[str, list[Key]] = {}
    for key in keys:
        windows.setdefault(key[0], []).append(key)
    longest = max(len(group) for group in windows.values())
    if 2 * longest > len(keys):
        raise UsageError(
            f'<SEG> states can be shuffled between videos where none has more than half of the windows, got {longest} '
            f'of {len(keys)}'
        )
    videos = [list(windows)[place] for place in rng.permutation(len(windows))]
    circle = [windows[video][place] for video in videos for place in rng.permutation(len(windows[video]))]
    return {key: circle[(place + longest) % len(circle)] for place, key in enumerate(circle)}


def reorder(batch: Batch, orders: Sequence[np.ndarray]) -> Batch:
    """A batch with the frames of each clip in another order; frame numbers and ground truth stay where they are.

    Args:
        batch: ``inputs``, B clips (T, 3, H, W), and ``data_samples``.
        orders: place that each frame comes from, (T,) each; a place may come twice.
    """
    clips = [clip[torch.from_numpy(order)] for clip, order in zip(batch['inputs'], orders, strict=True)]
    return {**batch, 'inputs': clips}


def take_predictions(sample: Any, predicted: Sequence[Any], sources: Sequence[tuple[int, int]]) -> Any:
    """A sample with the predictions of its frames, gathered from several passes.

    Args:
        sample: the sample as it was before any pass.
        predicted: what each pass made of it.
        sources: for each of the T frames, the pass and the place in it that tell of the frame.
    """
    result = sample.clone()
    for name in predicted[0].keys():  # noqa: SIM118  # a sample, which is no mapping
        if name.startswith('pred_'):
            rows = [getattr(predicted[number], name)[place] for number, place in sources]
            setattr(result, name, torch.stack(rows))
    return result


def step_shuffled(step: Step, batch: Batch, seed: int = 0) -> list[Any]:
    """What a model says where the frames of each window come in another order; each frame keeps its own prediction."""
    samples = batch['data_samples']
    orders = [
        order_frames(len(clip), *key, seed) for clip, key in zip(batch['inputs'], find_keys(samples), strict=True)
    ]
    predicted = step(reorder(batch, orders))
    return [
        take_predictions(sample, [found], [(0, place) for place in np.argsort(order).tolist()])
        for sample, found, order in zip(samples, predicted, orders, strict=True)
    ]


def step_repeated(step: Step, batch: Batch) -> list[Any]:
    """What a model says of each frame in a window that holds this frame only: one pass per frame that counts.

    Each pass bears a name of its own as its video, so that no memory of other frames reaches it.
    """
    samples = batch['data_samples']
    lengths = [len(clip) for clip in batch['inputs']]
    spans = [find_span(sample, length) for sample, length in zip(samples, lengths, strict=True)]
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    passes = []
    for place in range(first, last):
        orders = [np.full(length, min(place, length - 1)) for length in lengths]
        alone = [sample.clone() for sample in samples]
        for sample in alone:
            sample.set_metainfo({'video_id': f'{sample.video_id}, frame {sample.frame_inds[0] + place} alone'})
        passes.append(step({**reorder(batch, orders), 'data_samples': alone}))
    results = []
    for number, (sample, length) in enumerate(zip(samples, lengths, strict=True)):
        places = [min(max(place, first), last - 1) for place in range(length)]
        predicted = [found[number] for found in passes]
        results.append(take_predictions(sample, predicted, [(place - first, place) for place in places]))
    return results


def find_span(sample: Any, length: int) -> tuple[int, int]:
    """The places of a window whose scores count, [start, end)."""
    return int(sample.get('first_scored', 0)), int(sample.get('num_valid', length))


def find_keys(samples: Sequence[Any]) -> list[Key]:
    """By what the windows of a batch are known."""
    return [(str(sample.video_id), int(sample.frame_inds[0])) for sample in samples]


@dataclass
class SegStates:
    """The ``<SEG>`` state of each window under the right words, and what the MLLM says of each of them.

    Attributes:
        rows: state of each window; on the CPU, float32 (D,).
        answers: logits of each window's words, float32 (n,); empty where the MLLM isn't asked word by word.
    """

    rows: dict[Key, torch.Tensor] = field(default_factory=dict)
    answers: dict[Key, torch.Tensor] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write all to a file, which is whole or absent."""
        from lavida_mm.utils.atomic import atomic_path

        with atomic_path(path) as temporary, open(temporary, 'wb') as file:
            np.savez(
                file,
                videos=np.array([video for video, _ in self.rows]),
                frames=np.array([frame for _, frame in self.rows], dtype=np.int64),
                states=torch.stack(list(self.rows.values())).numpy(),
                counts=np.array([len(self.answers.get(key, ())) for key in self.rows], dtype=np.int64),
                answers=torch.cat([self.answers.get(key, torch.zeros(0)) for key in self.rows]).numpy(),
            )

    @classmethod
    def read(cls, path: Path) -> 'SegStates':
        """Read what ``write`` wrote.

        Raises:
            DataError: the file is damaged.
        """
        try:
            with open(path, 'rb') as stream, np.load(stream, allow_pickle=False) as file:
                keys = list(zip(file['videos'].tolist(), file['frames'].tolist(), strict=True))
                answers = torch.from_numpy(file['answers']).split(file['counts'].tolist())
                return cls(
                    dict(zip(keys, torch.from_numpy(file['states']), strict=True)),
                    {key: logits for key, logits in zip(keys, answers, strict=True) if len(logits)},
                )
        except (ValueError, KeyError, EOFError, OSError, RuntimeError, zipfile.BadZipFile) as error:
            raise DataError(f'{path}: damaged, delete its folder and run again: {error}') from error


@contextmanager
def hook(module: Any, change: Callable[[Any], Any]) -> Iterator[None]:
    """Let a module hand on what ``change`` makes of its output."""
    handle = module.register_forward_hook(lambda module, inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def read_answers(output: Any) -> torch.Tensor | None:
    """What an MLLM says of each word, (B, n); None where it isn't asked word by word."""
    answers: torch.Tensor | None = getattr(output, 'answers', None)
    return answers


@contextmanager
def silence(model: Any, part: str) -> Iterator[None]:
    """Zero what a part hands on: the ``<SEG>`` states and answers of 'mllm', the features of 'text_encoder'."""

    def zero(output: Any) -> Any:
        if isinstance(output, torch.Tensor):
            return torch.zeros_like(output)
        zeros = {'seg_states': torch.zeros_like(output.seg_states)}
        if (answers := read_answers(output)) is not None:
            zeros['answers'] = torch.zeros_like(answers)
        return replace(output, **zeros)

    with hook(getattr(model, part), zero):
        yield


@contextmanager
def keep(model: Any, ratio: float) -> Iterator[None]:
    """Set the compressor's keep ratio for a while."""
    before = model.compressor.keep_ratio
    model.compressor.keep_ratio = ratio
    try:
        yield
    finally:
        model.compressor.keep_ratio = before


@contextmanager
def record(model: Any, step: Step, states: SegStates) -> Iterator[Step]:
    """A step that keeps the ``<SEG>`` states and answers that it meets."""
    met: list[Any] = []

    def recorded(batch: Batch) -> list[Any]:
        met.clear()
        found = step(batch)
        samples = iter(batch['data_samples'])
        for output in met:
            answers = read_answers(output)
            for row, state in enumerate(output.seg_states.detach().float().cpu()):
                sample = next(samples)
                (key,) = find_keys([sample])
                states.rows[key] = state
                if answers is not None:
                    states.answers[key] = answers[row, : len(sample.categories)].detach().float().cpu()
        return found

    with hook(model.mllm, lambda output: met.append(output)):
        yield recorded


@contextmanager
def swap(model: Any, step: Step, states: SegStates, seed: int = 0) -> Iterator[Step]:
    """A step in which each window gets the ``<SEG>`` state and the answers of a window of another video.

    Where that one has fewer words, its answers come again from the first on.
    """
    donors = choose_donors(list(states.rows), seed)
    current: list[Any] = []

    def exchange(output: Any) -> Any:
        givers = [donors[key] for key in find_keys(current)]
        own = output.seg_states
        taken = {'seg_states': torch.stack([states.rows[key] for key in givers]).to(own.device, own.dtype)}
        if (answers := read_answers(output)) is not None:
            taken['answers'] = answers.clone()
            for row, (sample, key) in enumerate(zip(current, givers, strict=True)):
                number, given = len(sample.categories), states.answers[key].to(answers)
                taken['answers'][row, :number] = given[torch.arange(number) % len(given)]
        return replace(output, **taken)

    def swapped(batch: Batch) -> list[Any]:
        current[:] = batch['data_samples']
        return step(batch)

    with hook(model.mllm, exchange):
        yield swapped


@contextmanager
def intervene(model: Any, setting: Setting, states: SegStates) -> Iterator[Step]:
    """A step, from a batch to its samples with predictions, in which a setting holds.

    Args:
        model: the detector.
        setting: what to do.
        states: taken where ``<SEG>`` states are swapped.
    """
    with ExitStack() as stack:
        step: Step = model.test_step
        if setting.zeroed is not None:
            stack.enter_context(silence(model, setting.zeroed))
        if setting.keep_ratio is not None:
            stack.enter_context(keep(model, setting.keep_ratio))
        if setting.swapped:
            step = stack.enter_context(swap(model, step, states))
        if setting.frames == 'shuffled':
            yield lambda batch: step_shuffled(step, batch)
        elif setting.frames == 'repeated':
            yield lambda batch: step_repeated(step, batch)
        else:
            yield step
