"""The rules for the words a user names."""

from collections.abc import Sequence

from lavida_mm.utils.words import check_words

__all__ = ['MAX_CATEGORIES', 'check_categories', 'split_categories']

MAX_CATEGORIES = 100  # the prompt lists every word, and a longer list crowds out the frames


def split_categories(text: str) -> list[str]:
    """Split comma-separated words and check them.

    Args:
        text: for example ``'red star, blue ring'``.

    Returns:
        The words, trimmed, in the order given.

    Raises:
        ValueError: as :func:`check_categories` does.

    >>> split_categories('red star,  blue ring')
    ['red star', 'blue ring']
    """
    return check_categories(text.split(',') if text.strip() else [])


def check_categories(words: Sequence[str]) -> list[str]:
    """Trim the words a user names and check them against the rules of a prompt.

    Args:
        words: the anomalies to look for; words that differ in case or spacing only count as the same.

    Returns:
        The words with single spaces and none at the ends, in the order given.

    Raises:
        ValueError: if there is no word, a blank one, a repeated one, or more than ``MAX_CATEGORIES``.
    """
    checked = check_words(words, 'categories')
    if len(checked) > MAX_CATEGORIES:
        raise ValueError(f'categories must name at most {MAX_CATEGORIES} words, got {len(checked)}')
    for word in checked:
        if not word.isprintable():
            raise ValueError(f'categories must hold printable characters only, got {word!r}')
    return checked
