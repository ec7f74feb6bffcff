import numpy as np
import pytest

from lavida_mm.datasets.synthetic import BEHAVIOURS, COLOURS, RELATIONS, SHAPES, TRAINED_PAIRS, Pair
from lavida_mm.datasets.synthetic.phrases import (
    embed_phrases,
    is_held_out,
    list_held_out,
    list_partners,
    phrase_behaviour,
    phrase_partly,
    phrase_relation,
)


@pytest.mark.parametrize('words', [BEHAVIOURS, RELATIONS], ids=['behaviour', 'relation'])
def test_each_half_of_a_held_out_combination_is_trained(words):
    trained = {(pair, word) for pair in TRAINED_PAIRS for word in words if not is_held_out(pair, word)}
    assert {(pair.colour, word) for pair, word in trained} == {(colour, word) for colour in COLOURS for word in words}
    assert {(pair.shape, word) for pair, word in trained} == {(shape, word) for shape in SHAPES for word in words}
    assert all(0 < len(list_held_out(pair, words)) <= len(words) / 2 for pair in TRAINED_PAIRS)
    assert 0.3 < 1 - len(trained) / (len(TRAINED_PAIRS) * len(words)) < 0.36


def test_no_wording_serves_twice():
    pair, anchor = Pair('red', 'star'), Pair('blue', 'ring')
    said = [phrase for name in BEHAVIOURS for phrase in phrase_behaviour(pair, name)]
    said += [phrase for name in RELATIONS for phrase in phrase_relation(pair, name, anchor)]
    assert len(said) == len(set(said)) == 30
    assert said[0] == 'red star moving left' and 'red star next to the blue ring' in said


def test_partners_look_otherwise_in_every_way():
    for pair in TRAINED_PAIRS:
        partners = list_partners(pair)
        assert len({pair, *partners}) == 4
        assert all(partner.shape != pair.shape for partner in partners)


def test_phrases_about_the_same_objects_are_the_nearest():
    phrases = ['red star moving left', 'red star that stops and goes', 'red ring moving left', 'blue star moving left',
               'blue ring above the red star', 'blue ring below the red star']  # fmt: skip
    features = embed_phrases(phrases)
    near = features @ features.T / np.outer(*[np.linalg.norm(features, axis=1)] * 2) - 2 * np.eye(len(phrases))
    assert near.argmax(1)[[0, 1, 4, 5]].tolist() == [1, 0, 5, 4]
    assert near.max() < 1 - 1e-3  # none coincide


def test_phrases_that_leave_out_looks_are_near_to_their_like():
    said = phrase_partly(Pair('red', 'star'), 'left')
    assert said == ['red object moving left', 'star moving left', 'object moving left']
    phrases = [*said, *phrase_partly(Pair('red', 'star'), 'still'), *phrase_behaviour(Pair('blue', 'ring'), 'left')]
    features = embed_phrases(phrases)
    near = features @ features.T / np.outer(*[np.linalg.norm(features, axis=1)] * 2) - 2 * np.eye(len(phrases))
    assert near.argmax(1)[:3].tolist() == [3, 4, 5]
