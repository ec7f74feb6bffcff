"""Which words a vocabulary says together: what it never says of anything that looks like an object is no evidence."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

__all__ = ['SaidTogether']


class SaidTogether:
    """What is said in one phrase with which looks.

    A vocabulary of "red star moving left", "red star moving up" and "blue star standing still" never says that a red
    star stands still. That no red star does is then an accident of the vocabulary, and not a truth about red stars.

    Args:
        vocabulary: words and phrases.
        looks: groups of single words that exclude each other and tell how things look, e.g. colours and shapes.

    Raises:
        ValueError: a group without words, or a word in two groups.
    """

    def __init__(self, vocabulary: Iterable[str], looks: Mapping[str, Sequence[str]]) -> None:
        is_grouped = isinstance(looks, Mapping) and not any(isinstance(words, str) for words in looks.values())
        self.groups = [frozenset(words) for words in looks.values()] if is_grouped else [frozenset()]
        self.looks = frozenset().union(*self.groups)
        if not all(self.groups) or len(self.looks) != sum(map(len, self.groups)):
            raise ValueError(f'looks must be groups of words, each word in one of them, got {looks!r}')
        self.words: set[str] = set()
        self._said: dict[frozenset[str], set[str]] = {}
        for phrase in vocabulary:
            parts = set(phrase.split())
            self.words |= parts
            named = sorted(parts & self.looks)
            for size in range(len(named) + 1):
                for some in combinations(named, size):
                    self._said.setdefault(frozenset(some), set()).update(parts)
        self._unheard: dict[frozenset[str], frozenset[str]] = {}

    def find_looks(self, phrases: Iterable[str]) -> frozenset[str]:
        """The words of an object's phrases that tell its looks."""
        return frozenset(part for phrase in phrases for part in phrase.split()) & self.looks

    def list_unheard(self, looks: frozenset[str]) -> frozenset[str]:
        """The single words that no phrase says of what looks so.

        Of a colour that is another than the object's, the phrases about its shape tell.
        """
        if looks not in self._unheard:
            found = {word for word in self.words - self.looks if word not in self._said.get(looks, ())}
            for group in self.groups:
                others = self._said.get(looks - group, ())
                found |= {word for word in group - looks if word not in others}
            self._unheard[looks] = frozenset(found)
        return self._unheard[looks]

    def is_unheard(self, phrase: str, looks: frozenset[str], said: Iterable[str]) -> bool:
        """Whether a phrase is false of an object only by words that are never said of what looks so.

        Args:
            phrase: that is false of the object.
            looks: the object's.
            said: all single words that are said of it.
        """
        parts = set(phrase.split())
        missing = parts - self.looks - set(said)
        return parts & self.looks <= looks and not missing.isdisjoint(self.list_unheard(looks))
