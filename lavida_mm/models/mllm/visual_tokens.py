"""From frames to the size a vision tower cuts, and how many tokens they become."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lavida_mm.utils.errors import DataError

__all__ = ['Grid', 'PatchGrid', 'check_pixel_budget', 'count_visual_tokens', 'fit_frame_size', 'resize_frames']

Grid = tuple[int, int, int]  # numbers of patches in time, height and width

MAX_ASPECT_RATIO = 200  # beyond it the towers were never trained, and one side would vanish


class PatchGrid(NamedTuple):
    """How a vision tower cuts a clip.

    Attributes:
        patch: side of a patch in pixels.
        merge: side, in patches, of the square that becomes one token.
        temporal: frames that share one patch.
    """

    patch: int = 14
    merge: int = 2
    temporal: int = 2

    @property
    def unit(self) -> int:
        """Side in pixels of the square that becomes one token: 28 in Qwen2-VL."""
        return self.patch * self.merge


def check_pixel_budget(name: str, budget: tuple[int, int]) -> tuple[int, int]:
    """Return the (least, most) units per frame as a tuple, or raise ValueError with the name of the setting."""
    is_pair = isinstance(budget, list | tuple) and len(budget) == 2 and all(type(side) is int for side in budget)
    if not is_pair or not 1 <= budget[0] <= budget[1]:
        raise ValueError(f'{name} must be two integers, 1 <= least <= most, in units of one token, got {budget}')
    return int(budget[0]), int(budget[1])


def fit_frame_size(height: int, width: int, budget: tuple[int, int], grid: PatchGrid) -> tuple[int, int]:
    """The size nearest to (height, width) that is cut into whole tokens and lies within the budget.

    Args:
        height, width: of the frame as given.
        budget: least and most units (tokens per grid) of one frame.
        grid: how the tower cuts.

    Returns:
        height and width, multiples of ``grid.unit``; the aspect ratio is kept as far as they allow.

    Raises:
        DataError: the frame has no pixel, or one side is more than 200 times the other.
    """
    if min(height, width) < 1:
        raise DataError(f'a frame must have at least one pixel, got height {height}, width {width}')
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise DataError(f'a frame may be at most {MAX_ASPECT_RATIO} times longer than wide, got {height} x {width}')
    least, most = budget
    rows, columns = round(height / grid.unit), round(width / grid.unit)
    if rows * columns > most:
        shrink = math.sqrt(height * width / (most * grid.unit**2))
        rows = max(1, math.floor(height / shrink / grid.unit))
        columns = max(1, math.floor(width / shrink / grid.unit))
    elif rows * columns < least:
        grow = math.sqrt(least * grid.unit**2 / (height * width))
        rows, columns = math.ceil(height * grow / grid.unit), math.ceil(width * grow / grid.unit)
    return rows * grid.unit, columns * grid.unit


def count_visual_tokens(
    num_frames: int, height: int, width: int, budget: tuple[int, int], grid: PatchGrid | None = None
) -> int:
    """How many visual tokens a clip hands to the language model, before compression.

    Args:
        num_frames: T; an odd number is padded to a multiple of ``grid.temporal``.
        height, width: of the frames as given.
        budget: least and most units of one frame, e.g. (256, 512) for units of 28 x 28 pixels in training.
        grid: how the tower cuts; Qwen2-VL's if left out.
    """
    grid = grid or PatchGrid()
    fitted_height, fitted_width = fit_frame_size(height, width, budget, grid)
    return math.ceil(num_frames / grid.temporal) * (fitted_height // grid.unit) * (fitted_width // grid.unit)


def resize_frames(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize to whole grey levels, as the image processors do, which resize bytes.

    Args:
        frames: uint8 (T, 3, H, W), RGB.
        size: height and width wanted.

    Returns:
        (T, 3, height, width) in 0..255; the frames themselves where they have that size.
    """
    if frames.shape[-2:] == size:
        return frames
    resized = F.interpolate(frames.float(), size=size, mode='bicubic', align_corners=False, antialias=True)
    return resized.round_().clamp_(0, 255).to(torch.uint8)
