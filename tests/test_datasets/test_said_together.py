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
    'looks', [dict(colour=[]), dict(colour=['red'], shape=['red', 'star']), dict(colour='red'), ['red', 'star']]
)
def test_groups_must_exclude_each_other(looks):
    with pytest.raises(ValueError, match='looks must be groups of words, each word in one of them'):
        SaidTogether(PHRASES, looks)
    with pytest.raises(ValueError, match='looks must be groups of words, each word in one of them'):
        AskAboutObjects(looks=looks)
