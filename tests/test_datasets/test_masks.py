import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from lavida_mm.datasets.masks import decode_mask, find_run_fault
from lavida_mm.utils.errors import DataError

MASKS = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_compressed_run_lengths_round_trip_through_pycocotools(mask):
    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    rle = {'size': list(mask.shape), 'counts': code['counts'].decode()}
    assert np.array_equal(decode_mask(rle, *mask.shape, 'x'), mask)


@settings(max_examples=40, deadline=None)
@given(MASKS)
def test_run_length_lists(mask):
    column = mask.ravel(order='F')
    edges = np.flatnonzero(np.diff(column)) + 1
    runs = np.diff([0, *edges, column.size]).tolist()
    rle = {'size': list(mask.shape), 'counts': [0, *runs] if column[0] else runs}
    assert np.array_equal(decode_mask(rle, *mask.shape, 'x'), mask)


def test_polygons_are_united_and_may_reach_beyond_the_frame():
    mask = decode_mask([[0, 0, 4, 0, 4, 4, 0, 4], [6, 6, 20, 6, 20, 20, 6, 20]], 10, 10, 'x')
    assert mask[:4, :4].all() and mask[6:, 6:].all() and not mask[:4, 6:].any()


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12))
def test_no_string_of_counts_reaches_the_c_code_unless_it_fills_the_frame(counts):
    rle = {'size': [4, 4], 'counts': counts}
    if find_run_fault(rle, 4, 4) is None:
        assert decode_mask(rle, 4, 4, 'x').shape == (4, 4)
    else:
        with pytest.raises(DataError, match=r'^file: segmentation\.counts'):
            decode_mask(rle, 4, 4, 'file')


@pytest.mark.parametrize(
    ('segmentation', 'rule'),
    [
        (None, 'polygons or run lengths'),
        ([], 'at least one polygon'),
        ([[]], 'at least 6 coordinates'),
        ([[0, 0, 4, 0, 4]], 'even number'),
        ([[0, 0, 4, 0, 4, float('nan')]], 'finite'),
        ([[0, 0, 4, 0, 4, 'a']], 'numbers'),
        ([[20, 20, 30, 20, 30, 30]], 'touch the frame of 10 x 10'),
        ([[-9, -9, -1, -9, -1, -1]], 'touch the frame'),
        ({'size': [10, 10]}, 'counts must be a string'),
        ({'size': [10, 10], 'counts': ''}, 'counts must be a string'),
        ({'size': [10, 9], 'counts': [100]}, r'size must be the frame'),
        ({'size': [10, 10], 'counts': [99]}, 'sum to 10 x 10 = 100 pixels, got 99'),
        ({'size': [10, 10], 'counts': [120, -20]}, 'no negative run'),
        ({'size': [10, 10], 'counts': [1.5]}, 'whole numbers'),
        ({'size': [10, 10], 'counts': 'é'}, 'characters'),
        ({'size': [10, 10], 'counts': 'o'}, 'end within a number'),
    ],
)
def test_bad_masks_are_named(segmentation, rule):
    with pytest.raises(DataError, match=r'^a\.json: annotation 3: ') as error:
        decode_mask(segmentation, 10, 10, 'a.json: annotation 3')
    assert rule in str(error.value) and '\n' not in str(error.value)
