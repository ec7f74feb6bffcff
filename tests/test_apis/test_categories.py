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
        ('', "at least one word, got ''"),
        ('   ', "at least one word, got ''"),
        (',', 'word 1 of 2 must not be blank'),
        ('red star,', 'word 2 of 2 must not be blank'),
        ('red star, , ring', 'word 2 of 3 must not be blank'),
        ('red star, Red  STAR', "must differ .case aside., got 'red star' and 'Red STAR'"),
        ('straße, STRASSE', 'must differ'),
        ('a\x00b', 'printable'),
        (', '.join(f'word {number}' for number in range(200)), 'at most 100 words, got 200'),
    ],
)
def test_refuses(text, message):
    with pytest.raises(ValueError, match=f'^categories.*{message}'):
        split_categories(text)


def test_refuses_what_is_no_list_of_words():
    with pytest.raises(ValueError, match="must be a list of words, got the text 'person'"):
        check_categories('person')
    with pytest.raises(ValueError, match='word 2 must be text, got 3'):
        check_categories(['person', 3])
