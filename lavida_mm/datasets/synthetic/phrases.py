"""Words that no single frame answers: what an object does, and where it is to another; and what training never names.

A *combination* is a pair (colour and shape) with a behaviour, or with a relation whatever it relates to. A third of the
combinations of trained pairs are held out. Each colour and each shape is trained with each behaviour and relation.
"""

from collections.abc import Mapping

import numpy as np

from lavida_mm.datasets.synthetic.vocabulary import COLOURS, SHAPES, TRAINED_PAIRS, Pair

__all__ = [
    'BEHAVIOURS', 'RELATIONS', 'embed_phrases', 'is_held_out', 'list_held_out', 'list_partners', 'phrase_behaviour',
    'phrase_partly', 'phrase_relation',
]  # fmt: skip

# The first wording is the benchmark's; training phrases use all.
BEHAVIOURS: dict[str, tuple[str, ...]] = {
    'left': ('{pair} moving left', '{pair} that goes to the left'),
    'right': ('{pair} moving right', '{pair} that goes to the right'),
    'up': ('{pair} moving up', '{pair} that goes up'),
    'down': ('{pair} moving down', '{pair} that goes down'),
    'still': ('{pair} standing still', '{pair} that does not move'),
    'stops': ('{pair} that stops and goes', '{pair} that stops again and again'),
    'swings': ('{pair} that moves back and forth', '{pair} that keeps swinging'),
    'against': ('{pair} that moves against the others', '{pair} moving against the rest'),
    'leads': ('{pair} that leads the others', '{pair} in front of the moving others'),
    'last': ('{pair} that comes last', '{pair} behind the moving others'),
}
RELATIONS: dict[str, tuple[str, ...]] = {
    'left_of': ('{pair} left of the {anchor}', '{pair} to the left of the {anchor}'),
    'right_of': ('{pair} right of the {anchor}', '{pair} to the right of the {anchor}'),
    'above': ('{pair} above the {anchor}', '{pair} higher than the {anchor}'),
    'below': ('{pair} below the {anchor}', '{pair} lower than the {anchor}'),
    'next_to': ('{pair} next to the {anchor}', '{pair} close to the {anchor}'),
}
# Each pair is held out with all words of one group. Opposite ways share theirs: what turns back can be cast.
GROUPS = {
    'left': 0, 'right': 0, 'still': 0, 'up': 1, 'down': 1, 'stops': 1, 'swings': 2, 'against': 2, 'leads': 2, 'last': 2,
    'left_of': 0, 'right_of': 1, 'above': 2, 'below': 0, 'next_to': 1,
}  # fmt: skip
NUM_GROUPS = 3
# So few that each pair is named with each of them in many clips: distractors then differ in the relation only.
PARTNERS = (7, 14, 21)  # places further in the list of trained pairs: of other shapes, and of other colours
PHRASE_WEIGHT = 0.3  # of the wording in an embedding, beside 1 for each colour and shape


def is_held_out(pair: Pair, word: str) -> bool:
    """Whether training never names a pair with a behaviour or relation, one of the keys above."""
    return (list(COLOURS).index(pair.colour) + SHAPES.index(pair.shape) + GROUPS[word]) % NUM_GROUPS == 0


def list_held_out(pair: Pair, words: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The behaviours or the relations with which a pair is held out, at least one."""
    return [word for word in words if is_held_out(pair, word)]


def list_partners(pair: Pair) -> list[Pair]:
    """The pairs to which a trained pair is related."""
    place = TRAINED_PAIRS.index(pair)
    return [TRAINED_PAIRS[(place + step) % len(TRAINED_PAIRS)] for step in PARTNERS]


def phrase_behaviour(pair: Pair, behaviour: str) -> list[str]:
    """All wordings: ``red star moving left`` first."""
    return [wording.format(pair=pair) for wording in BEHAVIOURS[behaviour]]


def phrase_partly(pair: Pair, behaviour: str) -> list[str]:
    """The first wording with less of the looks: ``red object``, ``star`` and ``object`` in place of ``red star``."""
    wording = BEHAVIOURS[behaviour][0]
    return [wording.format(pair=looks) for looks in (f'{pair.colour} object', pair.shape, 'object')]


def phrase_relation(pair: Pair, relation: str, anchor: Pair) -> list[str]:
    """All wordings: ``red star left of the blue ring`` first."""
    return [wording.format(pair=pair, anchor=anchor) for wording in RELATIONS[relation]]


def embed_phrases(phrases: list[str]) -> np.ndarray:
    """Embeddings, float64 (V, D), by which phrases about the same objects are the nearest, whatever they say of them.

    With ``PseudoAnomalySampler(distractors='hard')`` the prompt's other words then look like the target and differ in
    what it does.
    """
    names = [*COLOURS, *SHAPES, 'object']
    split = [[word for word in phrase.split() if word in names] for phrase in phrases]
    rest = [' '.join(word for word in phrase.split() if word not in names) for phrase in phrases]
    wordings = sorted(set(rest))
    width = len(names)
    features = np.zeros((len(phrases), 2 * width + len(wordings)))
    for row, (looks, wording) in enumerate(zip(split, rest, strict=True)):
        for place, name in enumerate(looks):  # colour and shape of the object, then of what it's related to
            features[row, names.index(name) + width * (place >= 2)] = 1
        features[row, 2 * width + wordings.index(wording)] = PHRASE_WEIGHT
    return features
