"""Leave out, before the vision tower runs, what has not changed since the first frame (docs/method.md, section 3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from lavida_mm.registry import MODELS

__all__ = ['StaticTokenFilter', 'changed_units', 'cosine_distances']

WHEN = ('always', 'test')


def cosine_distances(first: Tensor, second: Tensor) -> Tensor:
    """One minus the cosine of each pair of rows; two rows of zeros are equal, and nothing else is like zeros.

    Args:
        first, second: (N, P) each.

    Returns:
        float32 in [0, 2], (N,).
    """
    directions, zeros = [], []
    for rows in (first.float(), second.float()):
        largest = rows.abs().amax(dim=1, keepdim=True)
        zeros.append(largest[:, 0] == 0)
        directions.append(F.normalize(rows / largest.masked_fill(largest == 0, 1), dim=1))  # squares must not vanish
    cosines = (directions[0] * directions[1]).sum(dim=1)
    return (1 - cosines).clamp(0, 2).masked_fill(zeros[0] & zeros[1], 0)


@torch.no_grad()
def changed_units(patches: Tensor, grid: tuple[int, int, int], merge: int, threshold: float) -> Tensor:
    """Find the units that differ from the same unit of the first grid; those of the first grid count as changed.

    A unit is a square of merge x merge patches, which follow each other in ``patches`` and become one token.

    Args:
        patches: patches of one sample in the order of time, unit row, unit column, row in the unit, column in the
            unit, (N, P).
        grid: numbers of patches in time, height and width; their product is N.
        merge: side of a unit in patches.
        threshold: least distance of a changed unit: one minus the cosine, averaged over the unit's patches.

    Returns:
        sorted indices (L',) among the N / merge**2 units.

    Raises:
        ValueError: patches, grid and merge do not fit together.
    """
    times, height, width = grid
    if min(merge, times) < 1 or height % merge or width % merge or times * height * width != len(patches):
        raise ValueError(
            f'a grid of {times} x {height} x {width} patches in units of {merge} x {merge} does not fit '
            f'{len(patches)} patches'
        )
    first, *later = patches.chunk(times)  # times x (H W, P)
    distances = [patches.new_full((len(first) // merge**2,), torch.inf, dtype=torch.float32)]
    distances += [cosine_distances(part, first).view(-1, merge**2).mean(dim=1) for part in later]
    return (~(torch.cat(distances) < threshold)).nonzero().flatten()


@MODELS.register_module()
class StaticTokenFilter(BaseModule):
    """Says which units of a clip are worth a token: those of its first grid and those that have changed since.

    Args:
        threshold: least mean cosine distance of a changed unit, in [0, 2]; 0 keeps all.
        when: 'always', or 'test' to keep all in training, as the paper's authors do.
    """

    def __init__(self, *, threshold: float = 0.01, when: str = 'always', init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 2:
            raise ValueError(f'threshold must be a number in [0, 2], got {threshold!r}')
        if when not in WHEN:
            raise ValueError(f'when must be one of {", ".join(WHEN)}, got {when!r}')
        self.threshold = threshold
        self.when = when

    def forward(self, patches: Sequence[Tensor], grids: Sequence[tuple[int, int, int]], merge: int) -> list[Tensor]:
        """Sorted indices (L'_i,) of the units that are kept, for each sample of a batch; see ``changed_units``.

        Args:
            patches: of each sample, (N_i, P).
            grids: numbers of patches of each sample in time, height and width.
            merge: side of a unit in patches.

        Raises:
            ValueError: patches, grid and merge of a sample do not fit together. The sample is named, counted from 0.
        """
        threshold = 0.0 if self.training and self.when == 'test' else self.threshold
        kept = []
        for number, (sample, grid) in enumerate(zip(patches, grids, strict=True)):
            try:
                kept.append(changed_units(sample, grid, merge, threshold))
            except ValueError as error:
                raise ValueError(f'sample {number} of the batch: {error}') from error
        return kept

    def extra_repr(self) -> str:
        """The settings, for the printed model."""
        return f'threshold={self.threshold}, when={self.when!r}'
