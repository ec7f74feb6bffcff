from collections import Counter

import numpy as np
import pytest

from lavida_mm.datasets.pasting.object_picker import ObjectPicker, seeded
from lavida_mm.utils.errors import DataError


class Shelf:
    """A source of three items: two objects, none, one; the item's shade is drawn from NumPy's global generator."""

    name = 'shelf'
    vocabulary = ('red star', 'red', 'blue ring', 'cross')
    words = ((['red star', 'red'], ['blue ring']), (), (['cross'],))

    def __len__(self):
        return 3

    def __getitem__(self, item):
        masks = np.zeros((len(self.words[item]), 1, 8, 8), bool)
        for number, mask in enumerate(masks):
            mask[0, : 4 + number] = True
        frames = np.full((1, 8, 8, 3), np.random.randint(256), np.uint8)
        return dict(frames=frames, object_masks=masks, object_words=[list(own) for own in self.words[item]])


def test_every_object_is_drawn_and_none_that_is_barred_too_small_or_without_words():
    rng = np.random.default_rng(0)
    drawn = Counter(ObjectPicker(Shelf(), 1).pick((), rng).words for _ in range(600))
    assert set(drawn) == {('red star', 'red'), ('blue ring',), ('cross',)}
    assert abs(drawn[('cross',)] / 600 - 0.5) < 0.07  # two items hold objects; items first, then their objects
    assert {ObjectPicker(Shelf(), 1).pick({'red'}, rng).words[0] for _ in range(60)} == {'blue ring', 'cross'}
    assert {ObjectPicker(Shelf(), 33).pick((), rng).words[0] for _ in range(20)} == {'blue ring'}
    assert {ObjectPicker(Shelf(), 1, ['RED', 'cross']).pick((), rng).words[0] for _ in range(60)} == {
        'red star',
        'cross',
    }
    shelf = Shelf()
    shelf.words = (([], ['blue ring']), (), ())
    assert {ObjectPicker(shelf, 1).pick((), rng).words for _ in range(20)} == {('blue ring',)}


def test_equal_generators_pick_equal_objects_whatever_the_global_state():
    np.random.seed(1)
    first = ObjectPicker(Shelf(), 1).pick((), np.random.default_rng(5))
    np.random.seed(2)
    expected = np.random.randint(1000, size=3)
    np.random.seed(2)
    second = ObjectPicker(Shelf(), 1).pick((), np.random.default_rng(5))
    assert np.array_equal(np.random.randint(1000, size=3), expected)  # nothing was drawn from it
    assert np.array_equal(first.pixels, second.pixels) and first.words == second.words


def test_the_global_generator_is_given_back_after_an_error():
    np.random.seed(7)
    expected = np.random.randint(1000)
    np.random.seed(7)
    with pytest.raises(KeyError), seeded(0):
        raise KeyError
    assert np.random.randint(1000) == expected


def test_no_object_that_fits_is_an_error():
    with pytest.raises(DataError, match=r"'shelf' of objects: none of 200 .* at least 65 pixels .* the 1 that"):
        ObjectPicker(Shelf(), 65).pick({'cross'}, np.random.default_rng(0))


def test_a_source_without_masks_is_an_error(monkeypatch):
    monkeypatch.setattr(Shelf, '__getitem__', lambda self, item: dict(frames=0, video_id='v7'))
    with pytest.raises(DataError, match=r"'shelf' of objects, 'v7': .*lacks object_masks, object_words"):
        ObjectPicker(Shelf(), 1).pick((), np.random.default_rng(0))


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['red', 'moon'], r"paste_words must be words of source 'shelf' of objects, got 'moon'"),
        ([], r'paste_words must hold at least one word'),
        (['red', 'Red'], r"paste_words must name each word once, got 'Red' twice"),
    ],
)
def test_bad_words(words, message):
    with pytest.raises(ValueError, match=message):
        ObjectPicker(Shelf(), 1, words)
