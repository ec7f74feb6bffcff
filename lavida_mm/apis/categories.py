"""The rules for the words a user names."""

from collections.abc import Sequence

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
    if isinstance(words, str):
        raise ValueError(f'categories must be a list of words, got the text {words!r}')
    if not words:
        raise ValueError("categories must name at least one word, got '' (example: 'red star, blue ring')")
    if len(words) > MAX_CATEGORIES:
        raise ValueError(f'categories must name at most {MAX_CATEGORIES} words, got {len(words)}')
    checked: list[str] = []
    seen: dict[str, str] = {}
    for number, word in enumerate(words, start=1):
        if not isinstance(word, str):
            raise ValueError(f'categories: word {number} must be text, got {word!r}')
        word = ' '.join(word.split())
        if not word:
            raise ValueError(f"categories: word {number} of {len(words)} must not be blank, got ''")
        if not word.isprintable():
            raise ValueError(f'categories: word {number} must hold printable characters only, got {word!r}')
        if word.casefold() in seen:
            raise ValueError(f'categories must differ (case aside), got {seen[word.casefold()]!r} and {word!r}')
        seen[word.casefold()] = word
        checked.append(word)
    return checked
