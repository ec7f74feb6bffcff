"""Counts what a training is fed: positives, masks, words, and how often each source comes."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lavida_mm.structures import VADDataSample

__all__ = ['ExposureStats', 'SourceStats']


@dataclass
class SourceStats:
    """Counts of one source.

    Attributes:
        samples: samples drawn.
        positives: those of which a frame is anomalous.
        frames: frames drawn.
        anomalous_frames: those whose mask has a pixel.
        areas: share of the picture that the mask covers, of each anomalous frame.
        words_per_prompt: words of each prompt.
        targets: how often each word was a target.
        distractors: how often each word was named and no target.
    """

    samples: int = 0
    positives: int = 0
    frames: int = 0
    anomalous_frames: int = 0
    areas: list[float] = field(default_factory=list)
    words_per_prompt: list[int] = field(default_factory=list)
    targets: Counter[str] = field(default_factory=Counter)
    distractors: Counter[str] = field(default_factory=Counter)

    def add(self, sample: VADDataSample) -> None:
        """Count one sample."""
        labels = sample.gt_frame_labels > 0
        self.samples += 1
        self.positives += int(labels.any())
        self.frames += len(labels)
        self.anomalous_frames += int(labels.sum())
        covered = sample.gt_masks.flatten(1).float().mean(dim=1)  # (T,)
        self.areas += covered[labels].tolist()
        self.words_per_prompt.append(len(sample.categories))
        for word, target in zip(sample.categories, sample.gt_category_labels.tolist(), strict=True):
            (self.targets if target else self.distractors)[word] += 1

    def to_dict(self, most: int) -> dict[str, Any]:
        """Plain figures, with the most frequent words."""
        return {
            'samples': self.samples,
            'positives': self.positives,
            'frames': self.frames,
            'anomalous_frames': self.anomalous_frames,
            'mask_area': _spread(self.areas),
            'words_per_prompt': _spread(self.words_per_prompt),
            'num_target_words': len(self.targets),
            'targets': dict(self.targets.most_common(most)),
            'num_distractor_words': len(self.distractors),
            'distractors': dict(self.distractors.most_common(most)),
        }


class ExposureStats:
    """Counts of all sources.

    Args:
        shares: configured share of each source; a source that was never drawn is in the table all the same.
    """

    def __init__(self, shares: Mapping[str, float]):
        self.shares = dict(shares)
        self.sources: dict[str, SourceStats] = {name: SourceStats() for name in shares}

    def add(self, sample: VADDataSample) -> None:
        """Count one sample, by its ``source``."""
        self.sources.setdefault(str(sample.get('source', '?')), SourceStats()).add(sample)

    @property
    def num_samples(self) -> int:
        """Samples counted."""
        return sum(source.samples for source in self.sources.values())

    def to_dict(self, most: int = 20) -> dict[str, Any]:
        """Plain figures per source, sampled share beside configured share.

        Args:
            most: words that are listed of each kind.
        """
        total = max(self.num_samples, 1)
        return {
            name: {
                'configured_share': self.shares.get(name),
                'sampled_share': source.samples / total,
                **source.to_dict(most),
            }
            for name, source in self.sources.items()
        }

    def to_markdown(self) -> str:
        """One row per source."""
        lines = [
            '| source | samples | share | configured | positives | anomalous frames | mask area, median | words per '
            'prompt | target words |',
            '| --- |' + ' ---: |' * 8,
        ]
        for name, row in self.to_dict().items():
            if not row['samples']:
                lines.append(f'| {name} | 0 | 0.0 % | {_percent(row["configured_share"])} |' + ' – |' * 5)
                continue
            area, words = row['mask_area'], row['words_per_prompt']
            lines.append(
                f'| {name} | {row["samples"]} | {_percent(row["sampled_share"])} | '
                f'{_percent(row["configured_share"])} | {_percent(row["positives"] / row["samples"])} | '
                f'{_percent(row["anomalous_frames"] / row["frames"])} | '
                f'{_percent(area and area["median"])} | '
                f'{words["min"]:g} to {words["max"]:g} | {row["num_target_words"]} |'
            )
        return '\n'.join(lines) + '\n'


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    """Least, median and most; None of nothing."""
    if not values:
        return None
    return {'min': min(values), 'median': statistics.median(values), 'max': max(values)}


def _percent(share: float | None) -> str:
    return '–' if share is None else f'{share:.1%}'.replace('%', ' %')
