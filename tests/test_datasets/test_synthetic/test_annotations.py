import numpy as np
import pytest
from pycocotools import mask as coco_mask

from lavida_mm.datasets.synthetic.annotations import describe_mask, encode_polygons, encode_rle, list_categories
from lavida_mm.datasets.synthetic.scene import Casting, draw_scene
from lavida_mm.datasets.synthetic.shapes import render_masks

# pycocotools' decoder under numpy 2
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')


def masks_of(shape):
    return [
        render_masks(draw_scene(np.random.default_rng(s), [Casting('red', shape, (0, 1))], 1))[0, 0] for s in range(5)
    ]


@pytest.mark.parametrize('shape', ['square', 'star', 'cross', 'triangle'])
def test_polygons_rasterise_to_the_mask(shape):
    for mask in masks_of(shape):
        decoded = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(encode_polygons(mask), 96, 96))).astype(bool)
        assert (decoded & mask).sum() / (decoded | mask).sum() > 0.98


def test_holes_need_a_run_length_code():
    for mask in masks_of('ring'):
        assert encode_polygons(mask) is None
        assert isinstance(describe_mask(mask, polygon=True)['segmentation'], dict)


def test_run_length_code_round_trip():
    mask = np.random.default_rng(0).uniform(size=(7, 9)) < 0.5
    code = encode_rle(mask)
    assert code['size'] == [7, 9] and isinstance(code['counts'], str)
    assert np.array_equal(coco_mask.decode(code), mask)


def test_box_and_area():
    mask = np.zeros((10, 12), bool)
    mask[2:5, 3:9] = True
    found = describe_mask(mask, polygon=True)
    assert found['bbox'] == [3, 2, 6, 3]
    assert found['area'] == 18
    assert len(found['segmentation']) == 1


def test_categories_list_their_words():
    categories = list_categories(halves_too=True)
    assert [category['id'] for category in categories] == list(range(1, 44))  # 30 pairs, 5 shapes, 8 colours
    by_name = {category['name']: category for category in categories}
    assert by_name['red star']['words'] == ['red star', 'red', 'star']
    assert by_name['star'] == {'id': by_name['star']['id'], 'name': 'star', 'supercategory': 'star', 'words': ['star']}
    assert by_name['red']['words'] == ['red']
    assert len(list_categories()) == 30
