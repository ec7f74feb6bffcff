import numpy as np
import pytest

from lavida_mm.datasets.pasting.blending import BLENDINGS, blend


def dilate(mask: np.ndarray, margin: int) -> np.ndarray:
    """By a square, with loops."""
    out = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        out[max(row - margin, 0) : row + margin + 1, max(column - margin, 0) : column + margin + 1] = True
    return out


def scene(seed: int):
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    visible, hidden = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    top, left = rng.integers(0, 25), rng.integers(0, 35)
    visible[top : top + rng.integers(1, 20), left : left + rng.integers(1, 20)] = True
    hidden[:, rng.integers(0, 40) :] = True
    visible &= ~hidden
    pixels = np.where(visible[..., None], rng.integers(0, 256, frame.shape), 0).astype(np.uint8)
    return frame, pixels, visible, hidden


@pytest.mark.parametrize('blending', BLENDINGS)
@pytest.mark.parametrize('margin', [0, 1, 3])
def test_pixels_beyond_the_margin_and_hidden_ones_stay_bit_by_bit(blending, margin):
    for seed in range(40):
        frame, pixels, visible, hidden = scene(seed)
        before = frame.copy()
        blend(frame, pixels, visible, hidden, margin=margin, blending=blending)
        untouched = ~dilate(visible, margin) | hidden
        assert np.array_equal(frame[untouched], before[untouched])


def test_feathering_keeps_the_object_and_fades_out_beside_it():
    frame, pixels = np.full((20, 20, 3), 100, np.uint8), np.zeros((20, 20, 3), np.uint8)
    visible = np.zeros((20, 20), bool)
    visible[5:15, 5:15] = True
    pixels[visible] = 200
    blend(frame, pixels, visible, np.zeros_like(visible), margin=2, blending='feather')
    assert (frame[visible] == 200).all()
    # A straight edge under a kernel of 5: 2/5 and 1/5 of it lie on the object, doubled 0.8 and 0.4.
    assert frame[10, 13:19, 0].tolist() == [200, 200, 180, 140, 100, 100]


def test_margin_0_copies_the_pixels():
    frame, pixels, visible, hidden = scene(4)
    expected = np.where(visible[..., None], pixels, frame)
    blend(frame, pixels, visible, hidden, margin=0, blending='feather')
    assert np.array_equal(frame, expected)


def test_seamless_blending_takes_on_the_light_of_the_frame():
    frame, pixels = np.full((40, 40, 3), 60, np.uint8), np.zeros((40, 40, 3), np.uint8)
    visible = np.zeros((40, 40), bool)
    visible[10:30, 10:30] = True
    pixels[visible] = 200
    pixels[15:25, 15:25] = 230  # 30 brighter than its surroundings
    blend(frame, pixels, visible, np.zeros_like(visible), margin=1, blending='seamless')
    assert abs(int(frame[12, 12, 0]) - 60) <= 6
    assert 15 <= int(frame[20, 20, 0]) - int(frame[12, 12, 0]) <= 35


def test_nothing_visible_changes_nothing():
    frame, pixels, visible, hidden = scene(1)
    before = frame.copy()
    blend(frame, pixels, np.zeros_like(visible), hidden, margin=2, blending='seamless')
    assert np.array_equal(frame, before)


def test_seamless_blending_leaves_a_thin_object_visible():
    frame, pixels = np.full((30, 30, 3), 60, np.uint8), np.full((30, 30, 3), 200, np.uint8)
    visible = np.eye(30, dtype=bool)
    blend(frame, pixels, visible, np.zeros_like(visible), margin=0, blending='seamless')
    assert (frame[visible] == 200).all()
