import numpy as np

from lavida_mm.datasets.pasting.cutout import Cutout, cut_out, scale_cutout


def disc(size: int) -> np.ndarray:
    rows, columns = np.ogrid[:size, :size]
    return (rows - size / 2 + 0.5) ** 2 + (columns - size / 2 + 0.5) ** 2 < (size / 2) ** 2


def test_the_frame_that_shows_most_is_cut_to_its_box():
    frames = np.arange(2 * 6 * 8 * 3, dtype=np.uint8).reshape(2, 6, 8, 3)
    masks = np.zeros((2, 6, 8), bool)
    masks[0, 1, 1] = True
    masks[1, 2:5, 3:7] = True
    masks[1, 2, 3] = False
    cutout = cut_out(frames, masks, ('thing',))
    assert np.array_equal(cutout.pixels, frames[1, 2:5, 3:7])
    assert cutout.mask.shape == (3, 4) and not cutout.mask[0, 0] and cutout.mask.sum() == 11
    frames[:] = 0
    assert cutout.pixels.any()  # a copy: the whole frame is not kept alive for it


def test_scaling_keeps_shape_and_colour_without_a_rim_of_the_old_background():
    mask = disc(40)
    pixels = np.where(mask[..., None], (200, 30, 60), (0, 255, 0)).astype(np.uint8)
    for side in (13, 40, 90):
        small, small_mask = scale_cutout(Cutout(pixels, mask, ()), side, flip=False)
        assert small.shape == (side, side, 3)
        assert abs(small_mask.mean() - np.pi / 4) < 0.03
        assert np.abs(small[small_mask].astype(int) - (200, 30, 60)).max() <= 1


def test_flip_mirrors_left_and_right():
    mask = np.asarray([[True, False, False], [True, True, False]])
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    flipped, flipped_mask = scale_cutout(Cutout(pixels, mask, ()), 3, flip=True)
    assert flipped_mask.tolist() == [[False, False, True], [False, True, True]]
    assert flipped[1, 2].tolist() == [9, 10, 11]


def test_the_longer_side_is_scaled_and_the_shorter_is_never_nothing():
    thin = Cutout(np.full((2, 60, 3), 9, np.uint8), np.ones((2, 60), bool), ())
    assert scale_cutout(thin, 15, flip=False)[1].shape == (1, 15)
    assert scale_cutout(thin, 120, flip=False)[1].shape == (4, 120)
