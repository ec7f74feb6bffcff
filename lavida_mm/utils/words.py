"""Words of prompts: when two are the same word, and what a list of them must hold."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

__all__ = ['check_groups', 'check_words', 'clean_word', 'split_phrase', 'split_phrases', 'unique_words', 'word_key']


def clean_word(word: str) -> str:
    """The word with single blanks, none at its ends, letters in one form (NFC): ``' red  star '`` -> ``'red star'``."""
    return ' '.join(unicodedata.normalize('NFC', word).split())


def word_key(word: str) -> str:
    """What two spellings of one word share: case and blanks do not count."""
    return clean_word(word).casefold()


@lru_cache(maxsize=65_536)
def split_phrase(phrase: str) -> frozenset[str]:
    """The single words of a phrase, as ``word_key`` has them: ``'Red star'`` -> ``{'red', 'star'}``."""
    return frozenset(word_key(phrase).split())


def split_phrases(phrases: Iterable[str]) -> frozenset[str]:
    """The single words of all phrases together."""
    return frozenset().union(*map(split_phrase, phrases))


def unique_words(words: Iterable[str]) -> list[str]:
    """The words cleaned, each once (its first spelling), in their order."""
    found: dict[str, str] = {}
    for word in words:
        found.setdefault(word_key(word), clean_word(word))
    return list(found.values())


def check_groups(groups: Mapping[str, Sequence[str]], field: str) -> dict[str, list[str]]:
    """The cleaned words of groups of single words that exclude each other.

    Args:
        groups: what the user wrote.
        field: what to call them in the error.

    Raises:
        ValueError: they are no groups, one is empty, or a word is no single word or stands there twice.
    """
    if not isinstance(groups, Mapping):
        raise ValueError(f'{field} must be groups of words by their names, got {groups!r}')
    found = {name: check_words(words, f'{field}.{name}') for name, words in groups.items()}
    seen: dict[str, str] = {}
    for name, words in found.items():
        for word in words:
            if ' ' in word:
                raise ValueError(f'{field}.{name} must hold single words, got {word!r}')
            if word_key(word) in seen:
                first = seen[word_key(word)]
                raise ValueError(f'{field}: a word must stand in one group, got {word!r} in {first} and in {name}')
            seen[word_key(word)] = name
    return found


def check_words(words: Sequence[str], field: str) -> list[str]:
    """The cleaned words of a list in which each must be a word and none may stand twice.

    Args:
        words: what the user wrote.
        field: what to call the list in the error.

    Raises:
        ValueError: the list is empty, or a word is no text, is blank or stands there twice.
    """
    if isinstance(words, str) or not isinstance(words, Sequence):
        raise ValueError(f'{field} must be a list of words, got {words!r}')
    if not words:
        raise ValueError(f'{field} must hold at least one word, got an empty list')
    seen: dict[str, str] = {}
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise ValueError(f'{field} must hold words that are not blank, got {word!r}')
        if word_key(word) in seen:
            raise ValueError(f'{field} must name each word once, got {word!r} twice')
        seen[word_key(word)] = clean_word(word)
    return list(seen.values())
