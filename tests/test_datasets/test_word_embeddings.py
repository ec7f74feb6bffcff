import numpy as np
import pytest

from lavida_mm.datasets.vocabulary import Vocabulary
from lavida_mm.datasets.word_embeddings import align_embeddings, load_embeddings, save_embeddings
from lavida_mm.utils.errors import DataError

WORDS = ['red star', 'ring', 'cross']
VECTORS = np.array([[3.0, 0, 4.0], [0, 2.0, 0], [1.0, 1.0, 1.0]])


def test_embeddings_come_back_in_the_order_of_the_vocabulary(tmp_path):
    save_embeddings(tmp_path / 'words.npz', WORDS, VECTORS)
    words, kept = load_embeddings(tmp_path / 'words.npz')
    assert words == WORDS and kept.dtype == np.float16
    rows = align_embeddings(tmp_path / 'words.npz', Vocabulary(['Ring', 'red  star']), 'scene')
    assert rows.dtype == np.float32
    assert np.allclose(rows, [[0, 1, 0], [0.6, 0, 0.8]], atol=1e-3)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_missing_words_name_source_and_cure(tmp_path):
    save_embeddings(tmp_path / 'words.npz', WORDS, VECTORS)
    with pytest.raises(DataError, match=r"words\.npz: lacks 2 of the 3 words of source 'scene', 'dog' .*embed_vocab"):
        align_embeddings(tmp_path / 'words.npz', Vocabulary(['dog', 'ring', 'cat']), 'scene')


@pytest.mark.parametrize(
    ('content', 'rule'),
    [
        (None, 'no such file'),
        (b'nonsense', 'must hold words and embeddings'),
        (dict(words=np.array(WORDS)), 'must hold words and embeddings'),
        (dict(words=np.array(WORDS, dtype=object), embeddings=VECTORS), 'must hold words and embeddings'),
        (dict(words=np.arange(3), embeddings=VECTORS), r'words must be text \(V,\)'),
        (dict(words=np.array(WORDS), embeddings=VECTORS[0]), r'embeddings floats \(V, D\)'),
        (dict(words=np.array(WORDS), embeddings=VECTORS[:2]), '3 words, 3 different ones, and 2 embeddings'),
        (dict(words=np.array(['ring', 'Ring', 'x']), embeddings=VECTORS), '3 words, 2 different ones'),
    ],
)
def test_files_that_are_no_embeddings(content, rule, tmp_path):
    path = tmp_path / 'words.npz'
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.savez(path, **content)
    with pytest.raises(DataError, match=rule):
        load_embeddings(path)


@pytest.mark.parametrize('bad', [0.0, np.nan])
def test_embeddings_without_a_direction_are_not_written(bad, tmp_path):
    with pytest.raises(ValueError, match='embeddings must be finite and not 0'):
        save_embeddings(tmp_path / 'words.npz', WORDS, np.where(VECTORS == 2.0, bad, VECTORS))
    assert not list(tmp_path.iterdir())
