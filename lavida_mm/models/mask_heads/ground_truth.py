"""Ground truth of a batch, as the losses of the mask head want it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lavida_mm.models.losses.category_labels import read_category_labels
from lavida_mm.structures import VADDataSample

__all__ = ['check_frames', 'read_named_words', 'read_targets']


def check_frames(lengths: Sequence[int], num_frames: int) -> None:
    """Raise ValueError where clips of these lengths are not the frames of which there are features."""
    if sum(lengths) != num_frames:
        raise ValueError(f'the samples hold {sum(lengths)} frames {list(lengths)}, the features {num_frames}')


def read_targets(
    data_samples: Sequence[VADDataSample],
    num_frames: int,
    fit: Callable[[Tensor, int], Tensor],
    size: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Labels and masks of all frames, as the segmenter sees them.

    Args:
        data_samples: with ``gt_frame_labels``, (T,), and ``gt_masks``, (T, H, W), at the frames' size.
        num_frames: F, of all samples together.
        fit: brings masks to the segmenter's square.
        size: its side.
        device: where they go.

    Returns:
        Labels, (F,), and masks, (F, size, size).

    Raises:
        ValueError: ground truth is missing or does not match the frames.
    """
    labels, masks = [], []
    for sample in data_samples:
        name = sample.get('video_id', '?')
        for field in ('gt_frame_labels', 'gt_masks'):
            if field not in sample:
                raise ValueError(f'sample {name}: {field} is needed for the loss and missing')
        if len(sample.gt_masks) != len(sample.gt_frame_labels):
            raise ValueError(
                f'sample {name}: gt_masks and gt_frame_labels must have one entry per frame, got '
                f'{len(sample.gt_masks)} and {len(sample.gt_frame_labels)}'
            )
        image_shape = sample.get('img_shape', None)
        if image_shape is not None and tuple(sample.gt_masks.shape[1:]) != tuple(image_shape):
            raise ValueError(
                f"sample {name}: gt_masks must have the frames' size {tuple(image_shape)}, got "
                f'{tuple(sample.gt_masks.shape[1:])}'
            )
        positive = sample.gt_frame_labels > 0
        if positive.any() and not sample.gt_masks[positive].any():
            raise ValueError(
                f'sample {name}: gt_masks must show the object in a frame that gt_frame_labels calls anomalous '
                f'({positive.nonzero()[:, 0].tolist()}), but they are all empty'
            )
        labels.append(sample.gt_frame_labels.to(device))
        masks.append(fit(sample.gt_masks.to(device), size))
    check_frames([len(part) for part in labels], num_frames)
    return torch.cat(labels), torch.cat(masks)


def read_named_words(data_samples: Sequence[VADDataSample], logits: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Which columns of the words' logits are words at all, and which of these are true.

    Args:
        data_samples: with ``categories`` and ``gt_category_labels``, (n,).
        logits: of each word in each frame, (F, n).
        present: 1 where a frame holds the object, else 0, (F,).

    Returns:
        named and true, bool (F, n) each.

    Raises:
        ValueError: there are no words or too many, or a sample shows the object and none of its words is true.
    """
    named = torch.zeros_like(logits, dtype=torch.bool)
    true = named.clone()
    start = 0
    for sample in data_samples:
        frames = slice(start, start + len(sample.gt_frame_labels))
        start = frames.stop
        words = _read_words(sample, logits.shape[1])
        if present[frames].any() and not words.any():
            raise ValueError(
                f'sample {sample.get("video_id", "?")}: gt_category_labels must be 1 for a word, since the sample '
                f'shows the object, but is 0 for all of {list(sample.categories)}'
            )
        named[frames, : len(words)] = True
        true[frames, : len(words)] = words.to(logits.device) > 0
    return named, true


def _read_words(sample: VADDataSample, num_columns: int) -> Tensor:
    """1 for each named word of a sample that is true, (n,)."""
    name, number = sample.get('video_id', '?'), len(sample.categories)
    if number == 0:
        raise ValueError(f'sample {name}: categories must name at least one word, got none')
    if number > num_columns:
        raise ValueError(f'sample {name}: categories name {number} words, but the projector was given {num_columns}')
    return read_category_labels(sample, 'loss_category')
