"""Which named words are true of a sample, as the losses about words read it."""

from torch import Tensor

from lavida_mm.structures import VADDataSample

__all__ = ['read_category_labels']


def read_category_labels(sample: VADDataSample, loss: str) -> Tensor:
    """1 for each named word of a sample that is true, (n,).

    Args:
        sample: with ``categories`` and ``gt_category_labels``.
        loss: name of the loss that needs them, for the error.

    Raises:
        ValueError: labels are missing, or not one per word.
    """
    number = len(sample.categories)
    if 'gt_category_labels' not in sample or len(sample.gt_category_labels) != number:
        raise ValueError(
            f'sample {sample.get("video_id", "?")}: {loss} needs gt_category_labels with one entry for each of the '
            f'{number} named words'
        )
    labels: Tensor = sample.gt_category_labels
    return labels
