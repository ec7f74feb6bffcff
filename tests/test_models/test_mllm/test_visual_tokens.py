"""Our sizes and resized frames against the image and video processors of transformers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen2VLVideoProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from lavida_mm.models.mllm.visual_tokens import (
    PatchGrid,
    count_visual_tokens,
    fit_frame_size,
    resize_frames,
)
from lavida_mm.utils.errors import DataError

TINY = PatchGrid(12, 2, 2)


@pytest.mark.parametrize('size', [(60, 75), (333, 257)])
def test_resized_frames_are_those_of_the_processor_but_for_a_gray_level(make_clip, size):
    budget = (4, 36)
    processor = Qwen2VLVideoProcessor(
        size={'shortest_edge': budget[0] * 24**2, 'longest_edge': budget[1] * 24**2},
        patch_size=12,
        cap_pixels_per_frame=False,
    )
    frames = torch.nn.functional.interpolate(make_clip(2, 12, 12).float(), size=size, mode='bilinear').byte()
    theirs = processor([frames], return_tensors='pt')
    resized = resize_frames(frames, fit_frame_size(*size, budget, TINY))
    assert resized.dtype == torch.uint8
    ours = processor([resized], do_resize=False, return_tensors='pt')
    assert ours['video_grid_thw'].tolist() == theirs['video_grid_thw'].tolist()
    gray_level = 1 / 255 / min(processor.image_std)
    assert (ours['pixel_values_videos'] - theirs['pixel_values_videos']).abs().max() <= 1.01 * gray_level


def test_frames_of_the_right_size_are_not_touched(make_clip):
    clip = make_clip(2)
    assert resize_frames(clip, (96, 96)) is clip


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
