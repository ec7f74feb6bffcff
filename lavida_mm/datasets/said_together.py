"""Which words a vocabulary says together: what it never says of anything that looks like an object is no evidence."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from lavida_mm.utils.words import check_groups, split_phrase, split_phrases, word_key

__all__ = ['SaidTogether']


class SaidTogether:
    """What is said in one phrase with which looks.

    A vocabulary of "red star moving left", "red star moving up" and "blue star standing still" never says that a red
    star stands still. That no red star does is then an accident of the vocabulary, and not a truth about red stars.

    Args:
        vocabulary: words and phrases.
        looks: groups of single words that exclude each other and tell how things look, e.g. colours and shapes.

    Raises:
        ValueError: they are no groups of single words, each in one of them.
    """

    def __init__(self, vocabulary: Iterable[str], looks: Mapping[str, Sequence[str]]) -> None:
        self.groups = [frozenset(map(word_key, words)) for words in check_groups(looks, 'looks').values()]
        self.looks = frozenset().union(*self.groups)
        self.words: set[str] = set()
        self._said: dict[frozenset[str], set[str]] = {}
        for phrase in vocabulary:
            parts = split_phrase(phrase)
            self.words |= parts
            named = sorted(parts & self.looks)
            for size in range(len(named) + 1):
                for some in combinations(named, size):
                    self._said.setdefault(frozenset(some), set()).update(parts)
        self._unheard: dict[frozenset[str], frozenset[str]] = {}

    def find_looks(self, phrases: Iterable[str]) -> frozenset[str]:
        """The words of an object's phrases that tell its looks."""
        return self.looks & split_phrases(phrases)

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
            said: all single words that are said of it, as ``split_phrase`` has them.
        """
        parts = split_phrase(phrase)
        missing = parts - self.looks - set(said)
        return parts & self.looks <= looks and not missing.isdisjoint(self.list_unheard(looks))
