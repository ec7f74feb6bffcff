"""The way to the segmenter's canvas and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from segment_anything.utils.transforms import ResizeLongestSide

from lavida_mm.models.mask_heads.geometry import fit_frames, fit_masks, fitted_shape, restore_masks

MEAN, STD = torch.full((3, 1, 1), 10.0), torch.full((3, 1, 1), 2.0)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_pad_shape_is_segment_anythings(height, width):
    expected = ResizeLongestSide.get_preprocess_shape(height, width, 1024)
    assert fitted_shape((height, width), 1024, 'pad') == tuple(max(1, side) for side in expected)
    assert fitted_shape((height, width), 1024, 'squash') == (1024, 1024)


def test_frames_are_normalised_then_padded():
    frames = torch.randint(0, 256, (2, 3, 24, 32), dtype=torch.uint8)
    fitted = fit_frames(frames, 32, 'pad', MEAN, STD)
    torch.testing.assert_close(fitted[:, :, :24], (frames.float() - 10) / 2)
    assert not fitted[:, :, 24:].any()


@pytest.mark.parametrize('resize', ['pad', 'squash'])
@pytest.mark.parametrize('shape', [(64, 64), (48, 64), (64, 31), (96, 128), (37, 91), (20, 20)])
def test_frames_and_masks_take_the_same_way(resize, shape):
    """A mask that is drawn in a frame's pixels stays on those pixels."""
    masks = torch.zeros(1, *shape, dtype=torch.bool)
    masks[:, shape[0] // 4 : shape[0] // 2, shape[1] // 3 : shape[1] // 3 * 2] = True
    frames = (masks[:, None] * 255).to(torch.uint8).expand(-1, 3, -1, -1)
    fitted = fit_frames(frames, 64, resize, torch.zeros(3, 1, 1), torch.full((3, 1, 1), 255.0))
    torch.testing.assert_close(fit_masks(masks, 64, resize, 64), fitted[:, 0], atol=1e-6, rtol=0)


@pytest.mark.parametrize('resize', ['pad', 'squash'])
@pytest.mark.parametrize('shape', [(64, 64), (64, 48), (96, 128), (301, 201), (40, 50)])
def test_restore_undoes_fit(resize, shape):
    rows, columns = torch.meshgrid(torch.arange(shape[0]), torch.arange(shape[1]), indexing='ij')
    masks = ((rows / shape[0] - 0.4) ** 2 + (columns / shape[1] - 0.6) ** 2 < 0.06)[None]
    logits = fit_masks(masks, 64, resize, 64) - 0.5
    restored = restore_masks(logits, 64, resize, shape) > 0
    assert restored.shape == masks.shape
    wrong = (restored != masks).float().mean().item()
    # Twice too coarse a canvas may miss the outline by a pixel or two, no more.
    assert wrong <= (0.0 if max(shape) == 64 and (resize == 'pad' or shape == (64, 64)) else 0.02)


@pytest.mark.parametrize('resize', ['pad', 'squash'])
def test_restore_is_the_inverse_of_the_geometry(resize):
    """A ramp over the canvas reads, on the frame, the canvas coordinate of each of its pixels."""
    canvas, shape = 64, (30, 80)
    height, width = fitted_shape(shape, canvas, resize)
    ramp = (torch.arange(canvas) + 0.5)[None, None, :].expand(1, canvas, -1)
    found = restore_masks(ramp, canvas, resize, shape)[0]
    expected = (torch.arange(80) + 0.5) * width / 80
    inner = slice(2, -2)  # the border's samples lie outside the ramp
    torch.testing.assert_close(found[7, inner], expected[inner])
    found = restore_masks(ramp.transpose(1, 2), canvas, resize, shape)[0]
    expected = (torch.arange(30) + 0.5) * height / 30
    torch.testing.assert_close(found[inner, 7], expected[inner])


def test_masks_are_averaged_down():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, :2, :3] = True
    found = fit_masks(masks, 8, 'pad', 4)
    expected = torch.zeros(4, 4)
    expected[0, 0], expected[0, 1] = 1.0, 0.5
    torch.testing.assert_close(found[0], expected)


def test_restore_goes_on_to_another_output_shape():
    logits = torch.randn(2, 16, 16)
    found = restore_masks(logits, 64, 'pad', (32, 64), (90, 180))
    assert found.shape == (2, 90, 180)
    upper = torch.nn.functional.interpolate(logits[:, None], size=(64, 64), mode='bilinear')[:, :, :32]
    expected = torch.nn.functional.interpolate(upper, size=(90, 180), mode='bilinear')[:, 0]
    torch.testing.assert_close(found, expected)
