"""What a vocabulary never says of things that look alike, against a count over all of its phrases."""

import pytest

from lavida_mm.datasets.said_together import SaidTogether
from lavida_mm.datasets.transforms import AskAboutObjects

LOOKS = dict(colour=['red', 'blue'], shape=['star', 'ring'])
PHRASES = [
    'red star moving left',
    'blue star standing still',
    'blue ring moving left',
    'star standing still',
    'red object standing still',
]


def test_unheard_words_by_counting():
    together = SaidTogether(PHRASES, LOOKS)
    groups = [set(words) for words in LOOKS.values()]
    split = [set(phrase.split()) for phrase in PHRASES]
    for looks in ({'red', 'star'}, {'blue', 'star'}, {'blue', 'ring'}, {'red'}, set()):
        wanted = set()
        for word in set().union(*split):
            own = next((group for group in groups if word in group), set())
            if word not in looks and not any(word in parts and looks - own <= parts for parts in split):
                wanted.add(word)
        assert together.list_unheard(frozenset(looks)) == wanted
    # A red ring is never named; that red stars never stand still is said of them by halves only.
    assert together.list_unheard(frozenset({'red', 'star'})) == {'standing', 'still', 'ring', 'object'}


@pytest.mark.parametrize(
    ('phrase', 'unheard'),
    [
        ('star standing still', True),
        ('object standing still', True),
        ('red object standing still', True),
        ('blue star standing still', False),  # false by its colour
        ('ring standing still', False),
        ('star moving left', False),  # true
        ('star moving right', False),  # no word of the vocabulary
    ],
)
def test_phrases_false_by_what_is_never_said(phrase, unheard):
    together = SaidTogether(PHRASES, LOOKS)
    said = ['red', 'star', 'moving', 'left', 'object']
    assert together.is_unheard(phrase, together.find_looks(['red star moving left']), said) is unheard


@pytest.mark.parametrize(
    ('looks', 'message'),
    [
        (dict(colour=[]), r'looks\.colour must hold at least one word'),
        (
            dict(colour=['red'], shape=['Red', 'star']),
            "looks: a word must stand in one group, got 'Red' in colour and in",
        ),
        (dict(colour=['red', 'red']), r"looks\.colour must name each word once, got 'red' twice"),
        (dict(colour='red'), r"looks\.colour must be a list of words, got 'red'"),
        (dict(colour=None), r'looks\.colour must be a list of words, got None'),
        (dict(colour=['light blue']), r"looks\.colour must hold single words, got 'light blue'"),
        (dict(colour=[1]), r'looks\.colour must hold words that are not blank, got 1'),
        (['red', 'star'], 'looks must be groups of words by their names'),
    ],
)
def test_groups_must_exclude_each_other(looks, message):
    with pytest.raises(ValueError, match=message):
        SaidTogether(PHRASES, looks)
    with pytest.raises(ValueError, match=message):
        AskAboutObjects(looks=looks)


def test_case_and_blanks_do_not_count():
    shouted = SaidTogether(
        [phrase.upper() for phrase in PHRASES], {k: [w.title() for w in v] for k, v in LOOKS.items()}
    )
    plain = SaidTogether(PHRASES, LOOKS)
    looks = plain.find_looks(['red star moving left'])
    assert shouted.find_looks(['Red  Star moving left']) == looks
    assert shouted.list_unheard(looks) == plain.list_unheard(looks)
