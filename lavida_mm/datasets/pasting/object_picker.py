"""Draws objects to paste from a source that has masks and words."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from lavida_mm.datasets.pasting.cutout import Cutout, cut_out
from lavida_mm.datasets.sources.base_source import PseudoAnomalySource
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import check_words, word_key

__all__ = ['MAX_DRAWS', 'ObjectPicker', 'seeded']

MAX_DRAWS = 200


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """NumPy's global generator begins at ``seed`` inside, and goes on outside as if nothing had been drawn inside."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


class ObjectPicker:
    """Draws an item, then one of its objects, each as likely as the others. Nothing stays in memory between draws.

    Args:
        source: gives frames, object_masks and object_words by its own pipeline.
        min_pixels: least pixels of an object in the frame that shows most of it.
        words: draw objects that have one of these words; None: all.

    Raises:
        ValueError: one of the words is none of the source's.
    """

    def __init__(self, source: PseudoAnomalySource, min_pixels: int, words: Sequence[str] | None = None):
        self.source = source
        self.min_pixels = min_pixels
        self.words = None if words is None else {word_key(word) for word in check_words(words, 'paste_words')}
        unknown = sorted((self.words or set()) - {word_key(word) for word in source.vocabulary})
        if unknown:
            raise ValueError(f'paste_words must be words of source {source.name!r} of objects, got {unknown[0]!r}')

    def pick(self, barred: Collection[str], rng: np.random.Generator) -> Cutout:
        """Draw an object none of whose words is barred.

        Args:
            barred: keys of words (``word_key``).
            rng: source of all randomness, that of the source's pipeline included.

        Raises:
            DataError: the source gives no masks, or none of ``MAX_DRAWS`` items holds such an object.
        """
        for _ in range(MAX_DRAWS):
            cutout = self._pick_from(int(rng.integers(len(self.source))), barred, rng)
            if cutout is not None:
                return cutout
        raise DataError(
            f'source {self.source.name!r} of objects: none of {MAX_DRAWS} drawn items holds an object of at least '
            f'{self.min_pixels} pixels with words of which none is among the {len(barred)} that the clip has already'
        )

    def _pick_from(self, item: int, barred: Collection[str], rng: np.random.Generator) -> Cutout | None:
        with seeded(int(rng.integers(2**31))):
            loaded = self.source[item]
        missing = [key for key in ('frames', 'object_masks', 'object_words') if key not in loaded]
        if missing:
            raise DataError(
                f'source {self.source.name!r} of objects, {loaded.get("video_id")!r}: its pipeline must give frames, '
                f'object_masks and object_words, lacks {", ".join(missing)}'
            )
        masks = loaded['object_masks']  # (N, T, H, W)
        fitting = [
            (mask, words)
            for mask, words in zip(masks, loaded['object_words'], strict=True)
            if self._fits({word_key(word) for word in words}, barred) and mask.sum(axis=(1, 2)).max() >= self.min_pixels
        ]
        if not fitting:
            return None
        mask, words = fitting[int(rng.integers(len(fitting)))]
        return cut_out(loaded['frames'], mask, tuple(words))

    def _fits(self, words: set[str], barred: Collection[str]) -> bool:
        return bool(words) and words.isdisjoint(barred) and (self.words is None or not words.isdisjoint(self.words))
