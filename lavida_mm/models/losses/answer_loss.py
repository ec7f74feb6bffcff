"""Is each named word true of the clip?"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from lavida_mm.models.losses.category_labels import read_category_labels
from lavida_mm.models.losses.precision import at_least_float32
from lavida_mm.structures import VADDataSample

__all__ = ['answer_loss', 'find_answers']

UNSURE = -1


def find_answers(data_samples: Sequence[VADDataSample], device: torch.device) -> Tensor:
    """What is true of each named word: 1 or 0; ``UNSURE`` where a sample has fewer words, int64 (B, n).

    A target that shows in half of the clip's frames or fewer is neither there nor absent: it is left out.

    Args:
        data_samples: with ``categories``, ``gt_category_labels`` (n,) and, where frames differ, ``gt_frame_labels``
            (T,).
        device: of the result.

    Raises:
        ValueError: labels are missing, or not one per word.
    """
    rows = []
    for sample in data_samples:
        labels = read_category_labels(sample, 'loss_answer').long().to(device)
        shown = sample.get('gt_frame_labels')
        if shown is not None and 2 * int((shown > 0).sum()) <= len(shown):
            labels = torch.where(labels > 0, UNSURE, labels)
        rows.append(labels)
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=UNSURE)


def answer_loss(logits: Tensor, answers: Tensor) -> Tensor:
    """Mean binary cross entropy of "it is true" over the words whose answer is known, in float32, ().

    Args:
        logits: of each word being true, (B, n).
        answers: 1, 0, or ``UNSURE``, (B, n).
    """
    known = answers != UNSURE
    if not known.any():
        return 0.0 * logits.float().sum()
    return F.binary_cross_entropy_with_logits(at_least_float32(logits[known]), answers[known].to(torch.float32))
