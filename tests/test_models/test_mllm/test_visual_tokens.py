"""Our tensor path from frames to patches against the image and video processors of transformers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoProcessor, Qwen2VLVideoProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from lavida_mm.models.mllm.visual_tokens import (
    PatchGrid,
    count_visual_tokens,
    fit_frame_size,
    normalize_frames,
    patchify,
)
from lavida_mm.utils.errors import DataError

TINY = PatchGrid(12, 2, 2)


def our_patches(clip, processor, size):
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    return patchify(normalize_frames(clip, size, mean, std), TINY)


@pytest.mark.parametrize('num_frames', [2, 3, 8])
@pytest.mark.parametrize('size', [(96, 96), (48, 144)])
def test_patches_are_those_of_the_video_processor(tiny_folders, make_clip, num_frames, size):
    processor = AutoProcessor.from_pretrained(tiny_folders['qwen2_vl']).video_processor
    clip = make_clip(num_frames, *size)
    theirs = processor([clip], return_tensors='pt')
    patches, grid = our_patches(clip, processor, size)
    torch.testing.assert_close(patches, theirs['pixel_values_videos'], rtol=1e-5, atol=1e-5)
    assert [list(grid)] == theirs['video_grid_thw'].tolist()


def test_patches_are_those_of_the_image_processor(tiny_folders, make_clip):
    processor = AutoProcessor.from_pretrained(tiny_folders['qwen2_vl']).image_processor
    image = make_clip(1, 72, 96)
    theirs = processor([image[0]], return_tensors='pt')
    patches, grid = our_patches(image, processor, (72, 96))
    torch.testing.assert_close(patches, theirs['pixel_values'], rtol=1e-5, atol=1e-5)
    assert [list(grid)] == theirs['image_grid_thw'].tolist()


@pytest.mark.parametrize('size', [(60, 75), (333, 257)])
def test_resized_frames_differ_by_a_gray_level_at_most(make_clip, size):
    budget = (4, 36)
    processor = Qwen2VLVideoProcessor(
        size={'shortest_edge': budget[0] * 24**2, 'longest_edge': budget[1] * 24**2},
        patch_size=12,
        cap_pixels_per_frame=False,
    )
    frames = torch.nn.functional.interpolate(make_clip(2, 12, 12).float(), size=size, mode='bilinear').byte()
    theirs = processor([frames], return_tensors='pt')
    patches, grid = our_patches(frames, processor, fit_frame_size(*size, budget, TINY))
    assert [list(grid)] == theirs['video_grid_thw'].tolist()
    gray_level = 1 / 255 / min(processor.image_std)
    assert (patches - theirs['pixel_values_videos']).abs().max() <= 1.01 * gray_level


@settings(max_examples=200, deadline=None)
@given(height=st.integers(10, 2000), width=st.integers(10, 2000), least=st.integers(1, 300), more=st.integers(0, 1500))
def test_size_is_that_of_the_processors(height, width, least, more):
    ours = fit_frame_size(height, width, (least, least + more), PatchGrid())
    theirs = smart_resize(height, width, 28, min_pixels=least * 784, max_pixels=(least + more) * 784)
    assert ours == theirs


def test_token_counts_of_the_paper():
    # 8 frames pair up to 4 grids: 4 x 512 in training and 4 x 1,536 at test are the paper's upper ends.
    assert count_visual_tokens(8, 448, 896, (256, 512)) == 4 * 16 * 32 == 2048
    assert count_visual_tokens(8, 28 * 32, 28 * 48, (1280, 1536)) == 6144
    # 720 x 1280 in training: floor(720 / sqrt(921600 / 512)) = floor(16.97) rows, floor(30.17) columns.
    assert count_visual_tokens(8, 720, 1280, (256, 512)) == 4 * 16 * 30
    assert count_visual_tokens(1, 280, 280, (32, 1024)) == 100
    assert count_visual_tokens(7, 448, 896, (256, 512)) == 2048


def test_sizes_stay_within_the_budget_and_shape():
    assert fit_frame_size(10, 10, (4, 16), TINY) == (48, 48)
    assert fit_frame_size(1000, 1000, (4, 16), TINY) == (96, 96)
    assert fit_frame_size(24 * 3, 24 * 5, (4, 16), TINY) == (72, 120)
    # One row at least: 12 x 2000 pixels shrunk to 8 units would be sqrt(12 * 8 / 2000) = 0.2 rows, 36.5 columns.
    assert fit_frame_size(12, 2000, (1, 8), PatchGrid(6, 2, 2)) == (12, 12 * 36)


@pytest.mark.parametrize(('size', 'message'), [((3, 601), '200 times'), ((0, 10), 'at least one pixel')])
def test_frames_that_have_no_shape(size, message):
    with pytest.raises(DataError, match=message):
        fit_frame_size(*size, (4, 16), TINY)
