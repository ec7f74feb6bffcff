"""Videos and clips whose words are about behaviour or relation: who plays which part in a choreography.

A video shows four objects from its first frame to its last: the target and its twin, of the same pair, and two others.
The target shows what the prompt names in some of the frames, the twin never; of the others one shows it when the target
does not. A normal video has twins that never show it. So neither a look at one frame nor at the motion alone will do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from lavida_mm.datasets.synthetic.choreography import (
    Choreography,
    draw_crowd,
    draw_solos,
    find_behaviours,
    find_relations,
)
from lavida_mm.datasets.synthetic.phrases import (
    BEHAVIOURS,
    RELATIONS,
    is_held_out,
    list_held_out,
    list_partners,
    phrase_behaviour,
    phrase_partly,
    phrase_relation,
)
from lavida_mm.datasets.synthetic.scene import (
    FRAME_SIZE,
    Casting,
    Scene,
    SceneObject,
    draw_appearance,
    dress_scene,
)
from lavida_mm.datasets.synthetic.shapes import render_masks
from lavida_mm.datasets.synthetic.storyboard import MIN_VISIBLE
from lavida_mm.datasets.synthetic.vocabulary import TRAINED_PAIRS, Pair

__all__ = ['Looks', 'PhraseBoard', 'draw_behaviour_board', 'draw_behaviour_clip', 'draw_looks', 'draw_relation_board',
           'draw_relation_clip']  # fmt: skip

NUM_OBJECTS = 4
RADIUS = (0.11, 0.14)  # of the frame's side
TARGET_SHARE = (0.3, 0.5)  # of the frames of an anomalous video
OTHERS_SHARE = 0.3  # least share of the frames without the target's behaviour in which another object shows it
NUM_WORDS = 4
RARE = ('stops', 'against', 'leads', 'last') * 2  # needs room, or all objects to act together
TWINS_DIFFER = 0.3  # least share of a training clip's frames


@dataclass(frozen=True)
class Looks:
    """What the videos of a group have in common, so that a look at one frame cannot tell normal ones.

    Attributes:
        pair: of the target and its twin.
        others: pairs of the two others.
        radius: of all objects, in pixels.
    """

    pair: Pair
    others: tuple[Pair, Pair]
    radius: float


@dataclass(frozen=True)
class PhraseBoard:
    """A benchmark video before rendering.

    Attributes:
        phrase: the anomaly, or what a normal video lacks.
        pair: whom the phrase speaks of.
        word: behaviour or relation.
        anomalous: whether the target shows it.
        words: what the prompt names, the phrase among them.
        absent: as many other phrases, true in no frame.
        visits: frames in which the target shows it, [start, end) each.
        scene: what happens; the target is object 0, its twin object 1.
        masks: visible masks, bool (N, T, H, W).
    """

    phrase: str
    pair: Pair
    word: str
    anomalous: bool
    words: tuple[str, ...]
    absent: tuple[str, ...]
    visits: tuple[tuple[int, int], ...]
    scene: Scene
    masks: np.ndarray


def draw_looks(rng: np.random.Generator, pair: Pair, related: bool) -> Looks:
    """Draw the others' pairs, of its partners where they are ``related``, and the size of all."""
    rest = list_partners(pair) if related else [other for other in TRAINED_PAIRS if other != pair]
    first, second = (rest[int(index)] for index in rng.choice(len(rest), 2, replace=False))
    return Looks(pair, (first, second), float(rng.uniform(*RADIUS) * FRAME_SIZE))


def draw_behaviour_board(
    rng: np.random.Generator, *, looks: Looks, behaviour: str, anomalous: bool, num_frames: int
) -> PhraseBoard:
    """Draw a video of the split ``behaviour``.

    Args:
        rng: source of all that is random.
        looks: of its objects.
        behaviour: that the target shows, held out with its pair.
        anomalous: whether the target shows it.
        num_frames: length of the video.
    """
    pairs = [looks.pair, looks.pair, *looks.others]
    while True:
        dance = _draw_dance(rng, looks.radius, num_frames, behaviour)
        truth = find_behaviours(dance)
        for cast in _shuffled(rng):
            shown = truth[behaviour][cast]  # (N, T)
            if not _fits(shown, anomalous):
                continue
            seen = [{name for name, table in truth.items() if table[index].any()} for index in cast]
            groups = (
                _say([looks.pair], [seen[0] | seen[1] | {behaviour}]),
                _say(looks.others[:1], seen[2:3]) or _say(looks.others[1:], seen[3:]),
                _say([pair for pair in TRAINED_PAIRS if pair not in pairs], None),
            )
            phrase = phrase_behaviour(looks.pair, behaviour)[0]
            board = _finish(rng, dance, cast, pairs, groups, phrase, behaviour, shown[0] & anomalous)
            if board is not None:
                return board


def draw_relation_board(
    rng: np.random.Generator, *, looks: Looks, relation: str, anomalous: bool, num_frames: int
) -> PhraseBoard:
    """Draw a video of the split ``relation``; the target's is to object 2, of the first of the others' pairs.

    Args:
        rng: source of all that is random.
        looks: of its objects.
        relation: of the target, held out with its pair.
        anomalous: whether the target has it.
        num_frames: length of the video.
    """
    pairs = [looks.pair, looks.pair, *looks.others]
    anchor, fourth = looks.others
    strangers = [pair for pair in TRAINED_PAIRS if pair not in pairs]
    while True:
        dance = _draw_dance(rng, looks.radius, num_frames, None)
        truth = find_relations(dance.centres, dance.radii)
        for cast in _shuffled(rng):
            shown = truth[relation][cast, cast[2]]  # (N, T)
            if not _fits(shown, anomalous):
                continue
            stranger = strangers[int(rng.integers(len(strangers)))]
            held = list_held_out(looks.pair, RELATIONS)
            own = [
                phrase_relation(looks.pair, name, pairs[place])[0] for name in held for place in (2, 3)
                if not truth[name][cast[:2], cast[place]].any() and (name, place) != (relation, 2)
            ] or [phrase_relation(looks.pair, relation, stranger)[0]]  # fmt: skip
            beside = [
                phrase_relation(pairs[one], name, pairs[other])[0] for one, other in ((2, 3), (3, 2))
                for name in list_held_out(pairs[one], RELATIONS) if not truth[name][cast[one], cast[other]].any()
            ] or [phrase_relation(fourth, name, stranger)[0] for name in list_held_out(fourth, RELATIONS)]  # fmt: skip
            away = [
                phrase_relation(one, name, anchor)[0] for one in strangers for name in list_held_out(one, RELATIONS)
            ]
            phrase = phrase_relation(looks.pair, relation, anchor)[0]
            board = _finish(rng, dance, cast, pairs, (own, beside, away), phrase, relation, shown[0] & anomalous)
            if board is not None:
                return board


def draw_behaviour_clip(rng: np.random.Generator, num_frames: int) -> tuple[Scene, list[list[tuple[str, ...]]]]:
    """A training clip: two objects that look alike but behave otherwise, and two others.

    One of the two shows a behaviour that is drawn first, most often one of those that else were rare.

    Returns:
        the scene, and all that may be said of each object in each frame, list[N] of list[T]. Nothing in it is held out;
        what leaves out colour or shape ("red object moving left") never is.
    """
    wishes = [*BEHAVIOURS, *RARE]
    wish = wishes[int(rng.integers(len(wishes)))]
    while True:
        radius = float(rng.uniform(*RADIUS) * FRAME_SIZE)
        dance = _draw_dance(rng, radius, num_frames, wish)
        truth = find_behaviours(dance)
        table = np.stack(list(truth.values()))  # (behaviours, N, T)
        if not truth[wish][:2].any():
            continue
        if np.not_equal(table[:, 0], table[:, 1]).any(0).mean() < TWINS_DIFFER:
            continue
        names = np.array(list(truth))
        shown = [names[table[:, index].any(1)] for index in range(NUM_OBJECTS)]
        shown[0] = shown[1] = np.union1d(shown[0], shown[1])
        choices = [[pair for pair in TRAINED_PAIRS if not any(is_held_out(pair, str(n)) for n in own)] for own in shown]
        if not all(choices):
            continue
        pairs = _pick_pairs(rng, choices)
        said = [
            [
                tuple(
                    phrase
                    for name in names[table[:, index, frame]]
                    for phrase in (*phrase_behaviour(pair, str(name)), *phrase_partly(pair, str(name)))
                )
                for frame in range(num_frames)
            ]
            for index, pair in enumerate(pairs)
        ]
        return _dress(rng, dance, pairs), said


def draw_relation_clip(rng: np.random.Generator, num_frames: int) -> tuple[Scene, list[list[tuple[str, ...]]]]:
    """A training clip: two objects that look alike but stand elsewhere, and two others to which they relate.

    Returns:
        the scene, and what may be said of each object in each frame but for what is held out, list[N] of list[T].
    """
    while True:
        radius = float(rng.uniform(*RADIUS) * FRAME_SIZE)
        dance = _draw_dance(rng, radius, num_frames, None)
        truth = find_relations(dance.centres, dance.radii)
        table = np.stack(list(truth.values()))  # (relations, N, N, T)
        differs = np.not_equal(table[:, 0, 2:], table[:, 1, 2:])  # (relations, others, T)
        if differs.any((0, 1)).mean() < TWINS_DIFFER:
            continue
        pair = TRAINED_PAIRS[int(rng.integers(len(TRAINED_PAIRS)))]
        pairs = [pair, pair, *draw_looks(rng, pair, related=True).others]
        said = [
            [
                tuple(
                    phrase for place, name in enumerate(truth) if not is_held_out(pair, name)
                    for other in (2, 3) if table[place, index, other, frame] and pairs[other] in list_partners(pair)
                    for phrase in phrase_relation(pair, name, pairs[other])
                )
                for frame in range(num_frames)
            ]
            for index, pair in enumerate(pairs)
        ]  # fmt: skip
        return _dress(rng, dance, pairs), said


def _draw_dance(rng: np.random.Generator, radius: float, num_frames: int, behaviour: str | None) -> Choreography:
    radii = (radius,) * NUM_OBJECTS
    if behaviour in ('against', 'leads', 'last'):
        return draw_crowd(rng, radii, num_frames, FRAME_SIZE, rebels=behaviour == 'against')
    return draw_solos(rng, radii, num_frames, FRAME_SIZE, favourite=behaviour)


def _shuffled(rng: np.random.Generator) -> Iterator[list[int]]:
    casts = list(permutations(range(NUM_OBJECTS)))
    for index in rng.permutation(len(casts)):
        yield list(casts[index])


def _fits(shown: np.ndarray, anomalous: bool) -> bool:
    """Whether a cast's rows (N, T) make a video: of the target, its twin, and the others."""
    if shown[1].any() or (shown[0].any() and not anomalous):
        return False
    if anomalous and not TARGET_SHARE[0] <= shown[0].mean() <= TARGET_SHARE[1]:
        return False
    others: np.ndarray = np.any(shown[2:], axis=0)
    return bool(others[~shown[0]].mean() >= OTHERS_SHARE)


def _say(pairs: Sequence[Pair], shown: Sequence[set[str]] | None) -> list[str]:
    """Held-out phrases of pairs that are true in no frame."""
    return [
        phrase_behaviour(pair, name)[0] for index, pair in enumerate(pairs)
        for name in list_held_out(pair, BEHAVIOURS) if shown is None or name not in shown[index]
    ]  # fmt: skip


def _finish(
    rng: np.random.Generator,
    dance: Choreography,
    cast: Sequence[int],
    pairs: Sequence[Pair],
    groups: tuple[list[str], list[str], list[str]],
    phrase: str,
    word: str,
    shown: np.ndarray,
) -> PhraseBoard | None:
    """Words and scene of a cast; None where words are lacking or others hide the target."""
    own, beside, away = ([group[int(index)] for index in rng.permutation(len(group))] for group in groups)
    if not own or not beside:
        return None
    named = [phrase, own[0], beside[0], away[0]]
    absent = [*own[1:2], *beside[1:2], *away[1:]][:NUM_WORDS]
    moved = Choreography(dance.centres[cast], dance.moves[cast], dance.radii)
    scene = _dress(rng, moved, pairs)
    masks = render_masks(scene)
    if np.any(masks[0].sum((1, 2)) < MIN_VISIBLE):
        return None
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shown, [0]]).astype(int)))
    return PhraseBoard(
        phrase=phrase,
        pair=pairs[0],
        word=word,
        anomalous=bool(shown.any()),
        words=tuple(named[int(index)] for index in rng.permutation(NUM_WORDS)),
        absent=tuple(absent),
        visits=tuple((int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)),
        scene=scene,
        masks=masks,
    )


def _pick_pairs(rng: np.random.Generator, choices: Sequence[Sequence[Pair]]) -> list[Pair]:
    """A pair for each object; objects 0 and 1 share theirs, and the others differ where that can be."""
    chosen = [choices[0][int(rng.integers(len(choices[0])))]] * 2
    for own in choices[2:]:
        free = [pair for pair in own if pair not in chosen] or list(own)
        chosen.append(free[int(rng.integers(len(free)))])
    return chosen


def _dress(rng: np.random.Generator, dance: Choreography, pairs: Sequence[Pair]) -> Scene:
    """Give the objects of a choreography looks and a background."""
    num_frames = dance.centres.shape[1]
    depths = rng.permutation(len(pairs))
    objects = [
        SceneObject(
            object_id=index,
            colour=pair.colour,
            shape=pair.shape,
            radius=dance.radii[index],
            motion='phases',
            interval=(0, num_frames),
            track=tuple((round(float(x), 3), round(float(y), 3)) for x, y in dance.centres[index]),
            depth=int(depths[index]),
            appearance=draw_appearance(rng, Casting(pair.colour, pair.shape, (0, num_frames))),
        )
        for index, pair in enumerate(pairs)
    ]
    return dress_scene(rng, objects, num_frames, FRAME_SIZE)
