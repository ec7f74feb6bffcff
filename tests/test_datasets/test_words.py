import pytest

from lavida_mm.utils.words import check_words, unique_words, word_key


def test_words_differ_by_more_than_case_and_blanks():
    assert word_key('  Red   STAR ') == word_key('red star')
    assert word_key('redstar') != word_key('red star')
    assert unique_words(['Red star', 'ring', ' red  star']) == ['Red star', 'ring']


def test_check_words_cleans():
    assert check_words([' red  star', 'ring'], 'categories') == ['red star', 'ring']


@pytest.mark.parametrize(
    ('words', 'rule'),
    [
        ([], 'at least one word'),
        (['red', ' '], "not blank, got ' '"),
        (['red', 3], 'not blank, got 3'),
        (['Red', 'red '], "once, got 'red ' twice"),
        ('red', 'list of words'),
    ],
)
def test_check_words_says_field_and_rule(words, rule):
    with pytest.raises(ValueError, match=r'^categories') as error:
        check_words(words, 'categories')
    assert rule in str(error.value)


def test_two_forms_of_a_letter_are_one_word():
    composed, decomposed = 'caf\u00e9', 'cafe\u0301'
    assert word_key(composed) == word_key(decomposed)
    assert unique_words([composed, decomposed]) == [composed]
