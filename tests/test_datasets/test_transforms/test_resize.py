import numpy as np
import pytest

from lavida_mm.datasets.transforms import ResizeFrames


def clip(height=8, width=12):
    frames = np.zeros((2, height, width, 3), np.uint8)
    masks = np.zeros((3, 2, height, width), bool)
    frames[1, : height // 2] = 200
    masks[1, 1, : height // 2] = True
    return dict(
        frames=frames, object_masks=masks, ori_shape=(height, width), gt_masks=np.zeros((2, height, width), bool)
    )


@pytest.mark.parametrize(
    ('scale', 'keep_ratio', 'expected'),
    [((4, 4), False, (4, 4)), ((16, 16), False, (16, 16)), ((16, 48), True, (16, 24)), ((4, 6), True, (4, 6))],
)
def test_masks_follow_the_frames(scale, keep_ratio, expected):
    out = ResizeFrames(scale=scale, keep_ratio=keep_ratio).transform(clip())
    assert out['frames'].shape == (2, *expected, 3)
    assert out['object_masks'].shape == (3, 2, *expected)
    assert out['object_masks'].dtype == bool
    half = expected[0] // 2
    assert out['object_masks'][1, 1, :half].all() and not out['object_masks'][1, 1, half:].any()
    assert not out['object_masks'][0].any() and not out['object_masks'][1, 0].any()
    assert (out['frames'][1, 0] == 200).all() and (out['frames'][1, -1] == 0).all()
    assert out['ori_shape'] == (8, 12) and out['gt_masks'].shape == (2, 8, 12)


def test_clip_without_objects():
    results = clip()
    results['object_masks'] = np.zeros((0, 2, 8, 12), bool)
    assert ResizeFrames(scale=(4, 4)).transform(results)['object_masks'].shape == (0, 2, 4, 4)


@pytest.mark.parametrize('scale', [(4,), (0, 4)])
def test_scale_out_of_range(scale):
    with pytest.raises(ValueError, match='scale must be a height and a width'):
        ResizeFrames(scale=scale)
