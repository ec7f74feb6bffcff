"""The words of a source, packed so that workers share them and that one is found without looking at the others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import overload

import numpy as np

from lavida_mm.utils.words import unique_words, word_key

__all__ = ['Vocabulary']


def hash_key(key: str) -> int:
    """64 bits of a word's key, the same in every process."""
    return int.from_bytes(blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=8).digest(), 'little')


class Vocabulary(Sequence[str]):
    """A sequence of cleaned words, each once, that knows which word stands where.

    Words lie in a few arrays, not in objects: a forked worker that reads them copies no page of them.

    Args:
        words: any words; of several spellings of one word the first stays.
    """

    def __init__(self, words: Iterable[str] = ()):
        cleaned = unique_words(words)
        pieces = [word.encode('utf-8', 'surrogatepass') for word in cleaned]
        hashes = np.array([hash_key(word_key(word)) for word in cleaned], dtype=np.uint64)
        order = np.argsort(hashes, kind='stable')
        self._adopt(
            dict(
                text=np.frombuffer(b''.join(pieces), dtype=np.uint8),
                ends=np.cumsum([len(piece) for piece in pieces], dtype=np.int64),
                hashes=hashes[order],
                order=order.astype(np.int64),
                phrases=np.flatnonzero([b' ' in piece for piece in pieces]).astype(np.int64),
            )
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'Vocabulary':
        """The vocabulary that has given these ``arrays``, which may lie in a file."""
        found = cls.__new__(cls)
        found._adopt(arrays)
        return found

    def _adopt(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._text, self._ends = arrays['text'], arrays['ends']
        self._hashes, self._order = arrays['hashes'], arrays['order']
        self._phrases = arrays['phrases']

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What it consists of: text, uint8; ends, int64 (V,); hashes, uint64 (V,); order, phrases, int64."""
        return dict(text=self._text, ends=self._ends, hashes=self._hashes, order=self._order, phrases=self._phrases)

    @property
    def phrases(self) -> np.ndarray:
        """Ascending places of what consists of more than one word, int64."""
        return self._phrases

    def find(self, words: Iterable[str]) -> np.ndarray:
        """Ascending places of those of the words that stand here, each once, int64; case and blanks do not count."""
        places: set[int] = set()
        for key in {word_key(word) for word in words}:
            wanted = np.uint64(hash_key(key))
            at = int(np.searchsorted(self._hashes, wanted))
            while at < len(self) and self._hashes[at] == wanted:  # two words may share a hash
                place = int(self._order[at])
                if word_key(self[place]) == key:
                    places.add(place)
                at += 1
        return np.array(sorted(places), dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        number = range(len(self))[place]
        start = self._ends[number - 1] if number else 0
        return self._text[start : self._ends[number]].tobytes().decode('utf-8', 'surrogatepass')

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self._ends.tolist():
            yield self._text[start:end].tobytes().decode('utf-8', 'surrogatepass')
            start = end

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and len(self.find([word])) > 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) or not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have no hash

    def __repr__(self) -> str:
        more = f', ... {len(self)} words' if len(self) > 3 else ''
        return f'Vocabulary({", ".join(map(repr, self[:3]))}{more})'
