"""How well a model detects with each compressor and ratio, and what of the clips survives until its heads."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from statistics import fmean, stdev
from typing import Any

import torch
import torch.nn.functional as F
from bench import Bench, find_figures
from compression_settings import ALL_TOKENS, Setting, Tape
from torch import Tensor

from lavida_mm.models.mllm.visual_tokens import Grid, PatchGrid

MEASURES = {
    'seg_change': 'change of `<SEG>`',
    'target_error': 'target error',
    'background_error': 'background error',
}


def touched_tokens(masks: Tensor, grid: Grid, cut: PatchGrid) -> Tensor:
    """Which visual tokens of a clip see a pixel of a mask.

    Args:
        masks: of the frames shown, bool (T, H, W); their frames are resized, not cropped.
        grid: numbers of patches in time, height and width.
        cut: how the tower cuts.

    Returns:
        bool (L,) in the order of the tokens: time, row, column.
    """
    steps, rows, columns = grid[0], grid[1] // cut.merge, grid[2] // cut.merge
    cells = F.adaptive_max_pool2d(masks.float(), (rows, columns))  # (T, rows, columns)
    padding = cells[-1:].expand(steps * cut.temporal - len(cells), -1, -1)  # the tower repeats the last frame
    return (torch.cat([cells, padding]).unflatten(0, (steps, cut.temporal)).amax(dim=1) > 0).flatten()


def distances_to_nearest(tokens: Tensor, kept: Tensor) -> Tensor:
    """Distance of each token to the nearest kept one, relative to the tokens' mean distance from their mean.

    Args:
        tokens: (L, C).
        kept: (R, C).

    Returns:
        float64 (L,); NaN where all tokens are equal.
    """
    wide = tokens.double()
    spread = (wide - wide.mean(dim=0)).norm(dim=1).mean()
    return torch.cdist(wide, kept.double()).amin(dim=1) / spread


class Probe:
    """Sees what passes between the parts in one pass.

    Attributes:
        states: at ``<SEG>``, (B, D).
        tokens: visual tokens of each sample before compression, (L_i, C).
        merges: what the compressor made of them.
        filtered: which visual tokens of each sample were computed; None: all.
    """

    def __init__(self) -> None:
        self.states: Tensor = torch.empty(0)
        self.tokens: Sequence[Tensor] = ()
        self.merges: Sequence[Any] = ()
        self.filtered: Sequence[Tensor] | None = None

    def see_read(self, module: Any, inputs: Any, output: Any) -> None:
        """Forward hook of the multimodal LLM."""
        self.states = output.seg_states.float()

    def see_merge(self, module: Any, inputs: Any, output: Any) -> None:
        """Forward hook of a compressor."""
        self.tokens, self.merges = inputs[0], output

    def see_filter(self, module: Any, inputs: Any, output: Any) -> None:
        """Forward hook of the token filter."""
        self.filtered = output


class Losses:
    """Collects, clip by clip, what a setting loses on the way.

    Attributes:
        values: of each measure, one per clip where it is defined.
    """

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {name: [] for name in MEASURES}

    def add(self, probe: Probe, full: Tensor, touched: Sequence[Tensor | None]) -> None:
        """Take over a batch.

        Args:
            probe: what was seen.
            full: states at ``<SEG>`` with all tokens, (B, D).
            touched: per sample, which of its tokens the true mask touches, bool (L_i,), or None.
        """
        change = (probe.states - full).norm(dim=1) / full.norm(dim=1)  # (B,)
        self.values['seg_change'] += change.tolist()
        for tokens, merge, target in zip(probe.tokens, probe.merges, touched, strict=True):
            if target is None or not target.any() or target.all():
                continue
            distances = distances_to_nearest(tokens, merge.apply(tokens))
            if distances.isfinite().all():
                self.values['target_error'].append(distances[target].mean().item())
                self.values['background_error'].append(distances[~target].mean().item())

    def means(self) -> dict[str, float]:
        """The mean of each measure over the clips; those that no clip defines are left out."""
        return {name: fmean(values) for name, values in self.values.items() if values}


def find_touched(mllm: Any, data_samples: Sequence[Any], shown: Sequence[Any], probe: Probe) -> list[Tensor | None]:
    """Per sample, which of its computed visual tokens the true mask touches, bool (L_i,).

    None where there are no masks, and in families whose tokens do not lie on one grid of the clip.

    Args:
        mllm: the multimodal LLM.
        data_samples: with their masks.
        shown: what the vision tower was given for each sample.
        probe: for the tokens that a filter has left.
    """
    touched: list[Tensor | None] = []
    for number, (sample, visual) in enumerate(zip(data_samples, shown, strict=True)):
        if visual.grid is None or 'gt_masks' not in sample:
            touched.append(None)
            continue
        cells = touched_tokens(mllm.choose_frames(sample.gt_masks), visual.grid, mllm.family.patch_grid)
        touched.append(cells if probe.filtered is None else cells[probe.filtered[number]])
    return touched


def score(
    bench: Bench, loader: Any, compressors: Mapping[Setting, Any], advance: Callable[[], Any]
) -> dict[Setting, dict[str, float]]:
    """The figures of all settings, in one pass over the test set.

    What no setting changes is computed once per batch: the vision tower, the words, the segmenter's features.

    Args:
        bench: the model.
        loader: of the test set.
        compressors: that of each setting; all tokens come first.
        advance: called after each batch.

    Returns:
        per setting, the metric's figures by plain names, and the means of MEASURES.
    """
    assert next(iter(compressors)) == ALL_TOKENS
    model, probe = bench.model, Probe()
    mllm = model.mllm
    tape = Tape(
        [
            (mllm.family, 'prepare'),
            (mllm.family, 'embed'),
            (mllm.family, 'positions'),
            (mllm.writer, 'write_prompt'),
            (model.mask_head, 'encode'),
            (model.text_encoder, 'forward'),
        ]
    )
    metrics = {setting: bench.build_metric(loader) for setting in compressors}
    losses = {setting: Losses() for setting in compressors}
    own = model.compressor
    with torch.no_grad(), tape.running(), ExitStack() as hooks:
        hooks.callback(setattr, model, 'compressor', own)
        hooks.callback(mllm.register_forward_hook(probe.see_read).remove)
        if model.token_filter is not None:
            hooks.callback(model.token_filter.register_forward_hook(probe.see_filter).remove)
        for compressor in compressors.values():
            hooks.callback(compressor.register_forward_hook(probe.see_merge).remove)
        for batch in loader:
            tape.erase()
            data = model.data_preprocessor(batch, False)
            full, touched = torch.empty(0), []
            for setting, compressor in compressors.items():
                tape.rewind()
                model.compressor = compressor
                metrics[setting].process(batch, model(**data, mode='predict'))
                if setting == ALL_TOKENS:
                    full = probe.states
                    touched = find_touched(mllm, data['data_samples'], tape.answers['prepare'], probe)
                losses[setting].add(probe, full, touched)
            advance()
    return {setting: {**find_figures(metric, loader), **losses[setting].means()} for setting, metric in metrics.items()}


def summarise(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean of each figure over checkpoints, and their sample standard deviation where there are two or more."""
    names = [name for name in runs[0] if all(name in run and math.isfinite(run[name]) for run in runs)]
    columns = {name: [run[name] for run in runs] for name in names}
    summary = {'mean': {name: fmean(values) for name, values in columns.items()}}
    if len(runs) > 1:
        summary['std'] = {name: stdev(values) for name, values in columns.items()}
    return summary
