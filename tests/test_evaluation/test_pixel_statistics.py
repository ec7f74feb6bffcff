import numpy as np
import pytest

from lavida_mm.evaluation.pixel_statistics import PixelStatistics


def make_packed():
    pixels, rng = PixelStatistics(), np.random.default_rng(0)
    for frame in (0, 4):
        pixels.update('v', frame, rng.random((6, 8)), rng.random((6, 8)) < 0.3)
    return pixels, pixels.pack()


def test_packed_counts_come_back():
    pixels, packed = make_packed()
    other = PixelStatistics()
    other.add_packed('v', packed)
    assert other.figures() == pixels.figures()


@pytest.mark.parametrize(
    ('field', 'damage'),
    [
        ('histogram_counts', lambda array: -array),
        ('histogram_counts', lambda array: array[:1]),
        ('histogram_counts', lambda array: array.astype(float)),
        ('histogram_places', lambda array: array[::-1]),
        ('histogram_places', lambda array: array + 10**6),
        ('aupro_places', lambda array: array - 10**6),
        ('aupro_counts', lambda array: array[None]),
        ('frames', lambda array: array[::-1]),
        ('frames', lambda array: array - 1),
        ('auc_frames', lambda array: array + 1),
        ('frame_aucs', lambda array: array * np.nan),
        ('frame_aucs', lambda array: array + 2),
        ('frame_aucs', lambda array: array[:1]),
    ],
)
def test_damaged_counts_are_refused(field, damage):
    _, packed = make_packed()
    pixels = PixelStatistics()
    field_of_error = 'histogram_' if field.startswith('histogram') else field
    with pytest.raises(ValueError, match=field_of_error):
        pixels.add_packed('v', {**packed, field: damage(packed[field])})
    assert not pixels.frames
