"""Floating-point operations of a forward pass, counted by torch's own counter on shapes alone.

The parts run on the ``meta`` device, so that a model of any size takes a second and no weights. Counted are matrix
products and convolutions, a multiplication and an addition as two operations; attention in full, also where it is
causal, so that a kernel that skips what lies above the diagonal does half of it.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.fx.experimental import _config as shape_config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from lavida_mm.models.compressors import TokenCompressor
from lavida_mm.models.mllm import MLLMBackbone, VisualInput
from lavida_mm.models.mllm.visual_tokens import fit_frame_size

__all__ = ['Flops', 'count_compressor', 'count_head', 'count_language', 'count_segmenter', 'count_vision']

RGB = 3
NARROW = 64  # channels of the tokens on which a compressor is counted
ATTENTION_OPERATORS = ('aten.bmm', 'aten.baddbmm', 'aten._scaled_dot_product')  # what multiplies states with states


class Flops(NamedTuple):
    """Operations of one pass through a part.

    Attributes:
        total: all of them.
        attention: those of them that grow with the square of the length.
    """

    total: int
    attention: int


class _EveryConditionHolds(TorchDispatchMode):
    """Answers code that looks at values where there are only shapes: masks are full."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return True if args[0].dtype == torch.bool else 1
        return func(*args, **(kwargs or {}))


@contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    with (
        torch.no_grad(),
        shape_config.patch(meta_nonzero_assume_all_nonzero=True),  # type: ignore[attr-defined]
        FlopCounterMode(display=False) as counter,
        _EveryConditionHolds(),
    ):
        yield counter


def _read(counter: FlopCounterMode) -> Flops:
    counts = counter.get_flop_counts()['Global']
    attention = sum(count for operator, count in counts.items() if str(operator).startswith(ATTENTION_OPERATORS))
    return Flops(sum(counts.values()), attention)


def count_vision(mllm: MLLMBackbone, num_frames: int, height: int, width: int, *, training: bool) -> Flops:
    """The vision tower and what connects it to the language model, for one clip.

    Args:
        mllm: built on the meta device.
        num_frames: T of the clip.
        height, width: of its frames as given.
        training: by the pixel budget of training or of the test.
    """
    family: Any = mllm.family
    shown = min(num_frames, mllm.llm_sample_frames or num_frames)
    budget = mllm.pixel_budget(num_frames > 1, training)
    num_tokens = family.count_tokens(shown, height, width, budget)
    cut = family.patch_grid
    if cut is None:
        side = family.config.vision_config.image_size
        sides = tuple(side) if isinstance(side, (list, tuple)) else (side, side)
        pixels = torch.empty(shown, RGB, *sides, device='meta')
        with _counting() as counter:
            family.embed(mllm.model, [VisualInput(pixels, '', 0, num_tokens, is_video=num_frames > 1)])
        return _read(counter)
    fitted = fit_frame_size(height, width, budget, cut)
    grid = (math.ceil(shown / cut.temporal), fitted[0] // cut.patch, fitted[1] // cut.patch)
    patches = torch.empty(math.prod(grid), RGB * cut.temporal * cut.patch**2, device='meta')
    tower = mllm.vision_parts[0]
    grids = torch.tensor([grid])
    layout = family.sparse_layout(tower, grids, torch.arange(num_tokens))  # of all units
    layout = {name: rows if name.startswith('cu_') else rows.to('meta') for name, rows in layout.items()}
    with _counting() as counter:
        tower(patches, grid_thw=grids, **layout)
    return _read(counter)


def count_language(mllm: MLLMBackbone, length: int) -> Flops:
    """The language model with its adapters and without its head, for one sequence of ``length`` tokens."""
    parameter = next(mllm.language_model.parameters())
    embeddings = torch.empty(1, length, mllm.hidden_size, device='meta', dtype=parameter.dtype)
    ones = torch.ones(1, length, dtype=torch.long, device='meta')
    axes = 3 if mllm.family.patch_grid else 1  # of the rotary positions
    with _counting() as counter:
        mllm.family.read(mllm.language_model, embeddings, ones, ones.expand(axes, -1, -1), ones.bool(), ())
    return _read(counter)


def count_head(mllm: MLLMBackbone, num_states: int) -> Flops:
    """The head over the vocabulary, at ``num_states`` tokens."""
    head = mllm.model.get_output_embeddings()
    with _counting() as counter:
        head(torch.empty(num_states, mllm.hidden_size, device='meta', dtype=head.weight.dtype))
    return _read(counter)


def count_segmenter(mask_head: Any, num_frames: int, height: int, width: int) -> Flops:
    """The segmenter's image encoder, for one clip of T frames."""
    with _counting() as counter:
        mask_head.encode([torch.empty(num_frames, RGB, height, width, dtype=torch.uint8, device='meta')])
    return _read(counter)


def count_compressor(compressor: TokenCompressor, num_tokens: int, num_channels: int) -> Flops:
    """A compressor's products of tokens with tokens.

    It decides by values and cannot run on the meta device: it runs on random tokens of few channels, to whose number
    these products are proportional.

    Args:
        compressor: of any kind.
        num_tokens: L.
        num_channels: C.
    """
    channels = min(NARROW, num_channels)
    tokens = torch.randn(num_tokens, channels, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        compressor([tokens])[0].apply(tokens)
    total = counter.get_total_flops() * num_channels // channels
    return Flops(total, total)
