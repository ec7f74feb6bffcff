import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavida_mm.datasets import vocabulary as module
from lavida_mm.datasets.vocabulary import Vocabulary
from lavida_mm.utils.words import unique_words, word_key

WORDS = st.lists(st.text(alphabet='aAbßé \u3000犬', min_size=1, max_size=4).filter(str.strip), max_size=12)


@given(words=WORDS, asked=WORDS)
def test_it_is_the_list_of_unique_words(words, asked):
    plain, packed = unique_words(words), Vocabulary(words)
    assert packed == plain and list(packed) == plain and len(packed) == len(plain)
    assert [packed[place] for place in range(-len(plain), len(plain))] == plain + plain
    assert packed[1:-1] == plain[1:-1] and packed[::-1] == plain[::-1]
    keys = {word_key(word) for word in asked}
    assert packed.find(asked).tolist() == [place for place, word in enumerate(plain) if word_key(word) in keys]
    assert packed.phrases.tolist() == [place for place, word in enumerate(plain) if ' ' in word]
    assert all(word in packed for word in words) and 'nowhere' not in packed and 3 not in packed
    again = Vocabulary.from_arrays(packed.arrays)
    assert again == packed and again.find(asked).tolist() == packed.find(asked).tolist()
    assert pickle.loads(pickle.dumps(packed)) == plain


def test_words_that_share_a_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr(module, 'hash_key', lambda key: len(key))
    packed = Vocabulary(['red', 'Dog', 'ring', 'cat'])
    assert packed.find(['dog', 'RING', 'bug', 'cat']).tolist() == [1, 2, 3]


def test_comparisons_and_ends():
    packed = Vocabulary(['red star', 'ring'])
    assert (
        packed != ['red star']
        and packed != ['ring', 'red star']
        and packed != 'ring'
        and packed == ('red star', 'ring')
    )
    assert repr(packed) == "Vocabulary('red star', 'ring')"
    assert repr(Vocabulary('abcd')) == "Vocabulary('a', 'b', 'c', ... 4 words)"
    with pytest.raises(IndexError):
        packed[2]
    with pytest.raises(TypeError, match='unhashable'):
        hash(packed)
    assert not Vocabulary() and Vocabulary().find(['ring']).dtype == np.int64
