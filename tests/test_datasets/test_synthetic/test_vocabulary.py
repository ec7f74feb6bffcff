from collections import Counter

import numpy as np
import pytest

from lavida_mm.datasets.synthetic.vocabulary import (
    COLOURS,
    HELD_OUT_PAIRS,
    SHAPES,
    TRAINED_PAIRS,
    Pair,
    draw_colour,
    draw_unnamed_colour,
    looks_like,
    paraphrases,
)


def test_pairs_split_the_vocabulary():
    assert (len(COLOURS), len(SHAPES)) == (8, 5)
    assert len(HELD_OUT_PAIRS) == 10
    assert sorted(HELD_OUT_PAIRS + TRAINED_PAIRS) == sorted(Pair(c, s) for c in COLOURS for s in SHAPES)


def test_every_word_of_a_held_out_pair_is_trained():
    trained = Counter(word for pair in TRAINED_PAIRS for word in pair)
    assert all(trained[word] >= 3 for word in (*COLOURS, *SHAPES))
    assert max(Counter(pair.colour for pair in HELD_OUT_PAIRS).values()) <= 2


@pytest.mark.parametrize('colour', COLOURS)
def test_shades_are_known_by_their_name_alone(colour):
    rng = np.random.default_rng(0)
    for _ in range(100):
        shade = draw_colour(rng, colour)
        assert [name for name in COLOURS if looks_like(shade, name)] == [colour]


@pytest.mark.parametrize('shape', SHAPES)
def test_unnamed_colours_make_no_held_out_pair(shape):
    rng = np.random.default_rng(0)
    shades = [draw_unnamed_colour(rng, shape) for _ in range(400)]
    forbidden = [pair.colour for pair in HELD_OUT_PAIRS if pair.shape == shape]
    assert not any(looks_like(shade, colour) for shade in shades for colour in forbidden)
    allowed = [colour for colour in COLOURS if colour not in forbidden]
    assert sum(looks_like(shade, colour) for shade in shades for colour in allowed) > 10
    assert np.ptp(np.array(shades), axis=0).min() > 230


def test_paraphrases_name_both_words():
    rng = np.random.default_rng(0)
    for _ in range(20):
        phrases = paraphrases(Pair('blue', 'ring'), rng)
        assert len(phrases) == len(set(phrases)) in (2, 3)
        assert all('blue' in phrase and 'ring' in phrase for phrase in phrases)
