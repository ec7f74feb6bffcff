"""The rules for the words a user names."""

import pytest

from lavida_mm.apis.categories import MAX_CATEGORIES, check_categories, split_categories


def test_words_are_trimmed_and_keep_their_order():
    assert split_categories(' red   star ,\tBlue ring,person') == ['red star', 'Blue ring', 'person']


def test_other_scripts_are_words_too():
    assert split_categories('дым, 煙, fumée') == ['дым', '煙', 'fumée']


def test_the_longest_list_is_accepted():
    words = [f'word {number}' for number in range(MAX_CATEGORIES)]
    assert check_categories(words) == words


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'at least one word, got an empty list'),
        ('   ', 'at least one word, got an empty list'),
        (',', "words that are not blank, got ''"),
        ('red star,', "words that are not blank, got ''"),
        ('red star, , ring', "words that are not blank, got ' '"),
        ('red star, Red STAR', "must name each word once, got ' Red STAR' twice"),
        ('straße, STRASSE', 'must name each word once'),
        ('a\x00b', 'printable'),
        (', '.join(f'word {number}' for number in range(200)), 'at most 100 words, got 200'),
    ],
)
def test_refuses(text, message):
    with pytest.raises(ValueError, match=f'^categories.*{message}'):
        split_categories(text)


def test_refuses_what_is_no_list_of_words():
    with pytest.raises(ValueError, match="must be a list of words, got 'person'"):
        check_categories('person')
    with pytest.raises(ValueError, match='words that are not blank, got 3'):
        check_categories(['person', 3])
