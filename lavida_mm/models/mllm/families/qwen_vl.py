"""The Qwen families: patches packed in one sequence, and rotary positions in time, height and width."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lavida_mm.models.mllm.families.base_family import MLLMFamily, VisualInput, VisualTokens, see_video, stack_pixels
from lavida_mm.models.mllm.visual_tokens import PatchGrid, count_visual_tokens, fit_frame_size, resize_frames
from lavida_mm.registry import MLLM_FAMILIES

__all__ = ['Qwen2VLFamily', 'Qwen3VLFamily', 'Qwen25VLFamily']

TEXT, IMAGE, VIDEO = 0, 1, 2  # the kinds of tokens by which transformers lays out rotary positions


@MLLM_FAMILIES.register_module(name='qwen2_vl')
class Qwen2VLFamily(MLLMFamily):
    """Qwen2-VL (Wang et al. 2024): frames of any size, two of which share a patch."""

    vision_tower = ('model.visual',)

    @property
    def patch_grid(self) -> PatchGrid:
        """How the tower cuts a clip."""
        vision = self.config.vision_config
        return PatchGrid(vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)

    def count_tokens(self, num_frames: int, height: int, width: int, budget: tuple[int, int]) -> int:
        """Visual tokens of a clip whose frames are fitted into the budget."""
        return count_visual_tokens(num_frames, height, width, budget, self.patch_grid)

    def describe_frames(self) -> str | None:
        """Budgets hold."""
        return None

    def prepare(self, processor: Any, frames: Tensor, budget: tuple[int, int]) -> VisualInput:
        """Fit the frames into the budget; the processor normalises and cuts them."""
        is_video = len(frames) > 1
        size = fit_frame_size(frames.shape[-2], frames.shape[-1], budget, self.patch_grid)
        frames = resize_frames(frames, size)
        if is_video:
            seen, text = see_video(processor, frames, do_resize=False, cap_pixels_per_frame=False)
            pixels, grids = seen['pixel_values_videos'], seen['video_grid_thw']
        else:
            seen = processor.image_processor([frames[0]], do_resize=False, return_tensors='pt')
            pixels, grids = seen['pixel_values'], seen['image_grid_thw']
            text = processor.replace_image_token(seen, 0)
        grid = tuple(grids[0].tolist())
        return VisualInput(
            pixels=pixels,
            text=text,
            placeholder=self.config.video_token_id if is_video else self.config.image_token_id,
            num_tokens=grid[0] * grid[1] * grid[2] // self.patch_grid.merge**2,
            is_video=is_video,
            grid=grid,
        )

    def embed(self, model: Any, samples: list[VisualInput], kept: list[Tensor] | None = None) -> list[VisualTokens]:
        """Visual tokens, and those of the early layers where the tower has any."""
        tower = model.get_submodule(self.vision_tower[0])
        patches = stack_pixels(samples).to(tower.dtype)
        grids = torch.tensor([sample.grid for sample in samples], device=patches.device)  # (B, 3)
        counts = [sample.num_tokens for sample in samples]
        layout: dict[str, Any] = {}
        if kept is not None:
            starts = torch.tensor([0, *counts[:-1]]).cumsum(0).tolist()
            units = torch.cat([indices + start for indices, start in zip(kept, starts, strict=True)])  # (sum L',)
            counts = [len(indices) for indices in kept]
            layout = self.sparse_layout(tower, grids, units)
            patches = patches[self.rows_of(units)]
        seen = tower(patches, grid_thw=grids, **layout)
        tokens = seen.pooler_output.split(counts)
        early = [features.split(counts) for features in getattr(seen, 'deepstack_features', None) or []]
        return [VisualTokens(part, tuple(layer[row] for layer in early)) for row, part in enumerate(tokens)]

    def rows_of(self, units: Tensor) -> Tensor:
        """The patches of units: rows (L' * merge**2,) of the packed sequence."""
        merged = self.patch_grid.merge**2
        return (units[:, None] * merged + torch.arange(merged, device=units.device)).flatten()

    def sparse_layout(self, tower: Any, grids: Tensor, units: Tensor) -> dict[str, Tensor]:
        """What the tower otherwise works out from the grids, for the chosen units alone.

        Args:
            tower: the vision tower.
            grids: (B, 3).
            units: the chosen ones of all samples, sorted, (sum L',).

        Returns:
            places of their patches in height and width, and where each frame's patches begin and end.
        """
        from transformers.vision_utils import get_vision_position_ids

        merge = self.patch_grid.merge
        per_frame = (grids[:, 1] * grids[:, 2] // merge**2).repeat_interleave(grids[:, 0])  # units of each frame
        frame_of = torch.arange(len(per_frame), device=units.device).repeat_interleave(per_frame)
        counts = frame_of[units].bincount(minlength=len(per_frame)) * merge**2
        return {
            'position_ids': get_vision_position_ids(grids, merge)[self.rows_of(units)],
            'cu_seqlens': ends_of(counts),
        }

    def positions(self, model: Any, ids: Tensor, mask: Tensor, samples: list[VisualInput]) -> Tensor:
        """Positions in time, height and width, (3, B, L), as the model itself lays them out.

        In Qwen2.5-VL, which counts time in seconds, one grid of two frames lasts one second, as at NOMINAL_FPS.
        """
        kinds = torch.full_like(ids, TEXT)
        kinds[ids == self.config.image_token_id] = IMAGE
        kinds[ids == self.config.video_token_id] = VIDEO
        tables = {
            moving: torch.tensor([sample.grid for sample in samples if sample.is_video == moving], device=ids.device)
            for moving in (False, True)
        }
        positions, _ = model.model.get_rope_index(
            ids,
            mm_token_type_ids=kinds,
            image_grid_thw=tables[False] if len(tables[False]) else None,
            video_grid_thw=tables[True] if len(tables[True]) else None,
            attention_mask=mask,
        )
        return positions


@MLLM_FAMILIES.register_module(name='qwen2_5_vl')
class Qwen25VLFamily(Qwen2VLFamily):
    """Qwen2.5-VL (Bai et al. 2025): most layers of the tower attend within windows."""

    def sparse_layout(self, tower: Any, grids: Tensor, units: Tensor) -> dict[str, Tensor]:
        """Also the windows, and the order of the chosen units in them."""
        from transformers.vision_utils import get_vision_window_index

        merge = self.patch_grid.merge
        order, ends = get_vision_window_index(grids, merge, tower.window_size, self.patch_grid.patch)
        order, ends = order.to(units.device), ends.to(units.device) // merge**2
        window_of = torch.arange(len(ends) - 1, device=units.device).repeat_interleave(ends.diff())
        rank = torch.full((len(order),), -1, device=units.device)
        rank[units] = torch.arange(len(units), device=units.device)
        chosen = rank[order] >= 0
        counts = window_of[chosen].bincount(minlength=len(ends) - 1) * merge**2
        return {
            **super().sparse_layout(tower, grids, units),
            'window_index': rank[order][chosen],
            'cu_window_seqlens': ends_of(counts),
        }


@MLLM_FAMILIES.register_module(name='qwen3_vl')
class Qwen3VLFamily(Qwen2VLFamily):
    """Qwen3-VL (2025): learned places in the tower, times in the prompt, and features added to the early layers."""

    def sparse_layout(self, tower: Any, grids: Tensor, units: Tensor) -> dict[str, Tensor]:
        """Also the learned places of the chosen units' patches."""
        from transformers.vision_utils import get_vision_interpolation_indices_and_weights

        indices, weights = get_vision_interpolation_indices_and_weights(
            grids,
            num_grid_per_side=tower.num_grid_per_side,
            mode=tower.interpolation_mode,
            align_corners=tower.interpolation_align_corners,
            spatial_merge_size=self.patch_grid.merge,
        )
        rows = self.rows_of(units)
        return {
            **super().sparse_layout(tower, grids, units),
            'interp_indices': indices[rows],
            'interp_weights': weights[rows],
        }

    def layer_inputs(self, is_visual: Tensor, deepstack: tuple[Tensor, ...]) -> dict[str, Any]:
        """The features of the tower's early layers."""
        return {'visual_pos_masks': is_visual, 'deepstack_visual_embeds': list(deepstack)}


def ends_of(counts: Tensor) -> Tensor:
    """Where segments of these lengths end, starting with 0; empty ones are left out: int32."""
    return F.pad(counts[counts > 0].cumsum(0), (1, 0)).to(torch.int32)
