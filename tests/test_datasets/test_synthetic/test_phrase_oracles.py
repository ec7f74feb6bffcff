import numpy as np
import pytest

from lavida_mm.datasets.synthetic import describe_phrase_benchmark, score_looks, score_window
from lavida_mm.datasets.synthetic.phrase_oracles import _judge

WINDOW = 4
SEEDS = [0, 0x3F3C9FB]  # the second is that of the reported figures


def unpack(records):
    names = [record['entry']['video_id'] for record in records]
    return (
        [record['entry'] for record in records],
        *({name: record[key] for name, record in zip(names, records, strict=True)} for key in ('objects', 'design')),
    )


@pytest.fixture(scope='module', params=SEEDS)
def behaviour(request):
    return unpack(describe_phrase_benchmark('behaviour', request.param, 42))


@pytest.fixture(scope='module', params=SEEDS)
def relation(request):
    return unpack(describe_phrase_benchmark('relation', request.param, 42))


def split(scores):
    places = {name: score for name, score in scores.items() if name.startswith('place')}
    return {name: score for name, score in scores.items() if name not in places}, places


def test_looks_in_one_frame_are_at_chance_on_behaviour(behaviour):
    looks, places = split(score_looks(*behaviour))
    assert len(looks) == 9 and len(places) == 3
    assert all(abs(score - 0.5) <= 0.06 for score in looks.values()), looks
    assert all(abs(score - 0.5) <= 0.12 for score in places.values()), places


def test_looks_in_one_frame_are_at_chance_on_relation(relation):
    looks, _ = split(score_looks(*relation))  # places are what a relation is about
    assert all(abs(score - 0.5) <= 0.06 for score in looks.values()), looks


def test_a_window_of_4_frames_is_enough_for_behaviour(behaviour):
    assert score_window(*behaviour, window=WINDOW) >= 0.95


def test_motion_without_looks_is_not(behaviour):
    assert 0.6 < score_window(*behaviour, window=WINDOW, blind=True) <= 0.8


def test_every_behaviour_shows_in_a_window(behaviour):
    videos, objects, designs = behaviour
    words = {design['word'] for design in designs.values() if design['anomalous']}
    for word in words:
        own = [video for video in videos if designs[video['video_id']]['word'] == word]
        assert score_window(own, objects, designs, window=WINDOW) > 0.8, word


@pytest.mark.parametrize(
    ('path', 'expected'),
    [
        ([(50, 9), (47, 9), (44, 9), (41, 9)], 'left'),
        ([(9, 41), (9, 44), (9, 47), (9, 50)], 'down'),
        ([(9, 9), (9.2, 9), (9, 9), (9, 9)], 'still'),
        ([(9, 9), (13, 13), (13, 13), (17, 17)], 'stops'),
        ([(9, 9), (14, 9), (9, 9), (14, 9)], 'swings'),
    ],
)
def test_steps_are_judged_by_hand(path, expected):
    centres = np.array([path, [(80, 80)] * 4], float)
    for word in ('left', 'right', 'up', 'down', 'still', 'stops', 'swings', 'leads', 'last'):
        assert _judge(centres, word)[0].all() == _judge(centres, word)[0].any() == (word == expected)


def test_crowds_are_judged_by_hand():
    left = np.array([(-3, 0)]) * np.arange(4)[:, None]
    crowd = np.array([(40, 9) + left, (50, 30) + left, (90, 50) + left], float)
    assert _judge(crowd, 'leads').all(1).tolist() == [True, False, False]
    assert _judge(crowd, 'last').all(1).tolist() == [False, False, True]
    assert not _judge(crowd, 'against').any()
    crowd[1] = (20, 30) - left
    assert _judge(crowd, 'against').all(1).tolist() == [False, True, False]
    assert not _judge(crowd, 'leads').any()


def test_looks_count_and_measure_the_named():
    track = {'0': {'area': 5, 'centre': (9, 9)}, '1': {'area': 8, 'centre': (50, 50)}}
    video = {'video_id': 'a', 'num_frames': 2, 'width': 96, 'height': 96, 'categories': ['red star moving left'],
             'anomalies': [{'start': 1, 'end': 2}]}  # fmt: skip
    things = [{'colour': 'red', 'shape': 'star', 'track': track}]
    scores = score_looks([video], {'a': things}, {'a': {'pair': ['red', 'star'], 'word': 'left'}})
    assert scores == {
        'target_count': 0.5, 'target_area': 1, 'target_max_area': 1, 'named_count': 0.5, 'named_area': 1,
        'named_max_area': 1, 'any_count': 0.5, 'any_area': 1, 'any_max_area': 1,
        'place_along': 0, 'place_edge': 1, 'place_gap': 0.5,
    }  # fmt: skip
