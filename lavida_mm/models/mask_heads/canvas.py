"""The square picture that a segmenter's network sees."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lavida_mm.models.mask_heads.geometry import RESIZE_MODES, fit_frames, fit_masks, restore_masks

__all__ = ['PIXEL_MEAN', 'PIXEL_STD', 'Canvas']

PIXEL_MEAN = (123.675, 116.28, 103.53)  # ImageNet's, as all released segmenters here want it
PIXEL_STD = (58.395, 57.12, 57.375)


class Canvas(nn.Module):
    """Frames of any size resized and normalised for a segmenter, and its masks put back on them.

    Args:
        image_size: side of the canvas in pixels.
        unit: what ``image_size`` must be a multiple of.
        resize: ``pad`` keeps the aspect ratio, as SAM does; ``squash`` does not, as SAM 2 and the authors of LAVIDA
            do it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, image_size: int, unit: int, resize: str) -> None:
        super().__init__()
        if resize not in RESIZE_MODES:
            raise ValueError(f'resize must be one of {RESIZE_MODES}, got {resize!r}')
        if image_size < unit or image_size % unit:
            raise ValueError(f"image_size must be a positive multiple of the encoder's stride {unit}, got {image_size}")
        self.image_size = image_size
        self.resize = resize
        self.register_buffer('mean', torch.tensor(PIXEL_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(PIXEL_STD).view(3, 1, 1), persistent=False)

    def fit(self, clips: Sequence[Tensor]) -> Tensor:
        """Normalised frames of all clips.

        Args:
            clips: RGB frames in [0, 255], (T_i, 3, H_i, W_i) each; sizes may differ between clips.

        Returns:
            Frames, (F, 3, S, S) with F the sum of the T_i.

        Raises:
            ValueError: a clip has another form.
        """
        for index, clip in enumerate(clips):
            if clip.ndim != 4 or clip.shape[1] != 3 or 0 in clip.shape:
                raise ValueError(f'clip {index} must have shape (T, 3, H, W), got {tuple(clip.shape)}')
        return torch.cat(
            [fit_frames(clip.to(self.mean.device), self.image_size, self.resize, self.mean, self.std) for clip in clips]
        )

    def fit_masks(self, masks: Tensor, size: int) -> Tensor:
        """Masks (T, H, W) of the frames where the segmenter sees them: shares in [0, 1], (T, size, size)."""
        return fit_masks(masks, self.image_size, self.resize, size)

    def restore(self, mask_logits: Tensor, size: tuple[int, int], output_size: tuple[int, int] | None = None) -> Tensor:
        """Mask logits (T, h', w') back on frames of ``size``, at ``output_size``, by default the same."""
        return restore_masks(mask_logits, self.image_size, self.resize, size, output_size)
