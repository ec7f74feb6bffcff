"""Text embeddings of a vocabulary's words, from a file that tools/dataset_tools/embed_vocabulary.py writes."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lavida_mm.datasets.vocabulary import Vocabulary
from lavida_mm.utils.atomic import atomic_path
from lavida_mm.utils.errors import DataError

__all__ = ['align_embeddings', 'load_embeddings', 'save_embeddings']

CURE = 'make the file anew with tools/dataset_tools/embed_vocabulary.py'


def save_embeddings(path: Path, words: Sequence[str], embeddings: np.ndarray) -> None:
    """Write the embeddings of words, whole or not at all.

    Args:
        path: an ``.npz`` file.
        words: V cleaned words, each once.
        embeddings: float (V, D), of any length above 0; kept at length 1 in 16 bits.
    """
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise ValueError('embeddings must be finite and not 0')
    with atomic_path(path) as temporary, temporary.open('wb') as file:
        np.savez(file, words=np.array(words, dtype=np.str_), embeddings=(embeddings / lengths).astype(np.float16))


def load_embeddings(path: Path) -> tuple[Vocabulary, np.ndarray]:
    """The words of a file and their embeddings, float16 (V, D).

    Raises:
        DataError: the file is missing or not of this form.
    """
    if not path.is_file():
        raise DataError(f'{path}: no such file of embeddings; {CURE}')
    try:
        with np.load(path, allow_pickle=False) as content:
            words, embeddings = content['words'], content['embeddings']
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f'{path}: must hold words and embeddings ({error}); {CURE}') from error
    if words.ndim != 1 or words.dtype.kind != 'U' or embeddings.ndim != 2 or embeddings.dtype.kind != 'f':
        raise DataError(f'{path}: words must be text (V,) and embeddings floats (V, D); {CURE}')
    vocabulary = Vocabulary(words.tolist())
    if not len(vocabulary) == len(words) == len(embeddings):
        raise DataError(
            f'{path}: words must be there once, with an embedding each, got {len(words)} words, '
            f'{len(vocabulary)} different ones, and {len(embeddings)} embeddings; {CURE}'
        )
    return vocabulary, embeddings


def align_embeddings(path: Path, vocabulary: Vocabulary, source: str) -> np.ndarray:
    """The embeddings of a source's words in their order, float32 (V, D), of length 1.

    Raises:
        DataError: the file lacks some.
    """
    known, embeddings = load_embeddings(path)
    places = [known.find([word]) for word in vocabulary]
    missing = [word for word, place in zip(vocabulary, places, strict=True) if not len(place)]
    if missing:
        raise DataError(
            f'{path}: lacks {len(missing)} of the {len(vocabulary)} words of source {source!r}, {missing[0]!r} for '
            f'one; {CURE}'
        )
    rows = embeddings[np.concatenate([np.empty(0, np.int64), *places])].astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(min=np.finfo(np.float32).tiny)
