import numpy as np
import pytest

from lavida_mm.datasets.synthetic.choreography import (
    DIRECTIONS,
    Choreography,
    draw_crowd,
    draw_solos,
    find_behaviours,
    find_relations,
)

RADII = (12.0,) * 4


@pytest.fixture(scope='module')
def solos():
    return [draw_solos(np.random.default_rng(seed), RADII, 48, 96, favourite='swings') for seed in range(12)]


@pytest.fixture(scope='module')
def crowds():
    return [draw_crowd(np.random.default_rng(seed), RADII, 48, 96, rebels=seed % 2 == 0) for seed in range(12)]


def test_objects_stay_in_the_frame(solos, crowds):
    for dance in solos + crowds:
        assert dance.centres.shape == (4, 48, 2) and dance.moves.shape == (4, 48)
        assert dance.centres.min() >= 10.8 - 1e-9 and dance.centres.max() <= 96 - 10.8 + 1e-9


def test_steps_are_what_the_moves_say(solos, crowds):
    seen = set()
    for dance in solos + crowds:
        steps = np.diff(dance.centres, axis=1)  # into frames 1 to 47
        for index, frame in np.ndindex(4, 46):
            move = dance.moves[index, frame + 1]
            one, two = steps[index, frame : frame + 2]
            if dance.moves[index, frame + 2] != move:
                continue
            seen.add(str(move))
            if move in DIRECTIONS:
                assert np.hypot(*one) >= 1.99 and np.allclose(one / np.hypot(*one), DIRECTIONS[move])
                assert one == pytest.approx(two)
            elif move == 'still':
                assert not one.any() and not two.any()
            elif move == 'stops':
                assert (np.hypot(*one) == 0) != (np.hypot(*two) == 0)
                assert np.abs(one + two)[0] == pytest.approx(np.abs(one + two)[1])
            else:
                assert one == pytest.approx(-two) and np.hypot(*one) >= 4
    assert seen == {*DIRECTIONS, 'still', 'stops', 'swings'}


def test_a_crowd_moves_together(crowds):
    for number, dance in enumerate(crowds):
        for moves in dance.moves.T:
            counts = sorted((moves == name).sum() for name in set(moves))
            assert counts in ([[4], [1, 3]] if number % 2 == 0 else [[4]])
    moving = np.mean([(dance.moves != 'still').mean() for dance in crowds])
    rebels = np.mean([len(set(moves)) == 2 for dance in crowds[::2] for moves in dance.moves.T])
    assert moving > 0.7 and 0.3 < rebels < 0.9


def make_dance(moves, centres):
    return Choreography(np.array(centres, float), np.array(moves), (5.0,) * len(moves))


def test_behaviours_of_a_hand_written_crowd():
    moves = [['left', 'left', 'still'], ['left', 'left', 'left'], ['left', 'right', 'still']]
    centres = [[(10, 0), (8, 0), (8, 0)], [(13, 9), (11, 9), (9, 9)], [(30, 0), (32, 0), (32, 0)]]
    found = find_behaviours(make_dance(moves, centres))
    assert found['against'].tolist() == [[False] * 3, [False] * 3, [False, True, False]]
    assert not found['leads'].any()  # ahead by 3 pixels only
    assert found['last'].tolist() == [[False] * 3, [False] * 3, [True, False, False]]
    assert found['left'].tolist() == [[True, True, False], [True] * 3, [True, False, False]]
    assert found['still'].tolist() == [[False, False, True], [False] * 3, [False, False, True]]


def test_two_objects_are_no_crowd():
    found = find_behaviours(make_dance([['left'], ['right']], [[(9, 0)], [(40, 0)]]))
    assert not any(found[name].any() for name in ('against', 'leads', 'last'))


@pytest.mark.parametrize(
    ('place', 'expected'),
    [
        ((-20, 5), {'left_of'}),
        ((20, 5), {'right_of'}),
        ((5, -20), {'above'}),
        ((5, 20), {'below'}),
        ((14, 0), {'right_of', 'next_to'}),
        ((0, 16), {'below'}),
        ((10, 10), {'next_to'}),  # aslant: neither way
    ],
)
def test_relations_of_two_objects(place, expected):
    found = find_relations(np.array([[place], [(0, 0)]], float), (5.0, 5.0))
    assert {name for name, table in found.items() if table[0, 1, 0]} == expected
    assert not any(table[0, 0, 0] for table in found.values())
