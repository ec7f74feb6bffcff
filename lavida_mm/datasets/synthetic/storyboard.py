"""Who is on screen when. Casts for training scenes, and for benchmark videos that no shortcut solves.

In a benchmark video a few *slots* are each filled with one object after another. The target takes a part of one
slot's time; the objects in its place before and after, and those in the other slots, are decoys: the target's
colour on another shape, its shape in another colour, pairs that training never saw either but that the prompt
does not name, and pairs that share a colour or a shape with the other named words. While the target is on screen
its decoys are fewer, so that the number of objects of its colour, or of its shape, tells little. A normal video
has a phantom target, for which decoys are drawn in the same way, and no target.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lavida_mm.datasets.synthetic.scene import Casting, Scene, SceneObject, draw_scene
from lavida_mm.datasets.synthetic.shapes import render_masks
from lavida_mm.datasets.synthetic.vocabulary import COLOURS, HELD_OUT_PAIRS, SHAPES, TRAINED_PAIRS, Pair

__all__ = ['MIN_VISIBLE', 'Storyboard', 'cast_clip', 'cast_halves', 'cast_image', 'cast_normal', 'draw_storyboard']

MIN_VISIBLE = 10  # pixels from which on an object counts as visible in a frame
TARGET_SHARE = (0.27, 0.58)  # of the frames of an anomalous video
TWO_VISITS = 0.15
NUM_SLOTS = (3, 4)
SEGMENT = (9, 28)
GAP = 3
TARGET_ON_TOP = 0.85
TARGET_CLEAR = 0.4  # least part of the target that others leave uncovered
# Least share of the other frames that shows the target's colour, its shape, both, an unnamed unseen pair.
COVERAGE = (0.55, 0.55, 0.3, 0.5)
COLOUR_DECOY, SHAPE_DECOY, NOVEL, FILLER = range(4)
ROLES_BESIDE = (0.29, 0.29, 0.26, 0.16)
ROLES_WITH_TARGET = (0.05, 0.05, 0.07, 0.83)
MAX_DRAWS = 500
HALVES = (0.5, 0.25, 0.25)  # shapes in colours without a name, colours on shapes without a name, pairs


@dataclass(frozen=True)
class Storyboard:
    """A benchmark video before rendering.

    Attributes:
        target: the anomaly, or the phantom of a normal video.
        anomalous: whether the target is in the scene.
        words: what the prompt names, the target among them.
        absent: as many other words, none of which is in the scene.
        visits: frames in which the target is visible, [start, end) each.
        scene: what happens.
        masks: visible masks of its objects, those of the target first, bool (N, T, H, W).
    """

    target: Pair
    anomalous: bool
    words: tuple[Pair, ...]
    absent: tuple[Pair, ...]
    visits: tuple[tuple[int, int], ...]
    scene: Scene
    masks: np.ndarray


def cast_halves(rng: np.random.Generator) -> list[Casting]:
    """Three to five objects of one image, most of them known by half of a pair: a shape in any colour, or a colour.

    Colours and shapes that are learnt apart from each other can meet again in pairs that were never seen.
    """
    cast = []
    for kind in rng.choice(['shape', 'colour', 'pair'], rng.integers(3, 6), p=HALVES):
        if kind == 'shape':
            cast.append(Casting(None, str(rng.choice(SHAPES)), (0, 1)))
        elif kind == 'colour':
            cast.append(Casting(str(rng.choice(list(COLOURS))), None, (0, 1)))
        else:
            cast.append(Casting(*_pick(rng, TRAINED_PAIRS), (0, 1)))
    return cast


def cast_image(rng: np.random.Generator) -> list[Casting]:
    """Two to four trained pairs in one image."""
    return [Casting(*pair, (0, 1)) for pair in _related_pairs(rng, int(rng.integers(2, 5)))]


def cast_clip(rng: np.random.Generator, num_frames: int) -> list[Casting]:
    """Three or four trained pairs; most of them are missing from a part of the clip."""
    pairs = _related_pairs(rng, int(rng.integers(3, 5)))
    return [Casting(*pair, _draw_interval(rng, num_frames)) for pair in pairs]


def cast_normal(rng: np.random.Generator, num_frames: int) -> list[Casting]:
    """Trained pairs that follow each other in slots, as in the benchmark."""
    segments = [
        segment for _ in range(rng.integers(NUM_SLOTS[0], NUM_SLOTS[1] + 1))
        for segment in _fill(rng, 0, num_frames)
    ]  # fmt: skip
    return [Casting(*_pick(rng, TRAINED_PAIRS), segment) for segment in segments]


def draw_storyboard(
    rng: np.random.Generator,
    *,
    target: Pair,
    anomalous: bool,
    candidates: Sequence[Pair],
    num_words: int,
    num_frames: int,
) -> Storyboard:
    """Draw words, cast and scene of a benchmark video.

    Args:
        rng: source of all that is random.
        target: the anomaly, or the phantom of a normal video.
        anomalous: whether the target appears.
        candidates: pairs from which the prompt's words and the absent words are taken.
        num_words: how many words the prompt names.
        num_frames: length of the video.
    """
    while True:
        words, absent = _draw_words(rng, target, candidates, num_words)
        pool = [pair for pair in dict.fromkeys((*TRAINED_PAIRS, *candidates)) if pair not in words + absent]
        if any(pair.colour == target.colour for pair in pool) and any(pair.shape == target.shape for pair in pool):
            break
    novel = [pair for pair in HELD_OUT_PAIRS if pair in pool]
    for _ in range(MAX_DRAWS):
        visits, others = _draw_slots(rng, anomalous, num_frames)
        cast = _assign(rng, target, words, pool, novel, visits, others)
        if _covers(cast, target, novel, visits, num_frames):
            break
    on_top = bool(rng.uniform() < TARGET_ON_TOP)
    scene = draw_scene(rng, [Casting(*target, visit, on_top) for visit in visits] + cast, num_frames)
    scene, masks = _clear(scene, len(visits))
    return Storyboard(
        target=target,
        anomalous=anomalous,
        words=words,
        absent=absent,
        visits=tuple(_span(mask.sum((1, 2))) for mask in masks[: len(visits)]),
        scene=scene,
        masks=masks,
    )


def _pick(rng: np.random.Generator, pairs: Sequence[Pair]) -> Pair:
    return pairs[int(rng.integers(len(pairs)))]


def _related_pairs(rng: np.random.Generator, count: int) -> list[Pair]:
    """Different trained pairs; about half of them share a colour or a shape with the first."""
    chosen = [_pick(rng, TRAINED_PAIRS)]
    while len(chosen) < count:
        wish = rng.choice(['colour', 'shape', 'any'], p=[0.3, 0.3, 0.4])
        pool = [pair for pair in TRAINED_PAIRS if pair not in chosen]
        if wish != 'any':
            same = [pair for pair in pool if getattr(pair, wish) == getattr(chosen[0], wish)]
            pool = same or pool
        chosen.append(_pick(rng, pool))
    return [chosen[index] for index in rng.permutation(count)]


def _draw_interval(rng: np.random.Generator, num_frames: int) -> tuple[int, int]:
    """All of the clip (30 %), or a part of at least a third that touches its start, its end or neither."""
    shortest = max(num_frames // 3, 1)
    length = int(rng.integers(shortest, max(num_frames - 1, shortest + 1)))
    first = int(rng.choice([0, num_frames - length, int(rng.integers(0, num_frames - length + 1))]))
    return (0, num_frames) if rng.uniform() < 0.3 else (first, first + length)


def _draw_words(
    rng: np.random.Generator, target: Pair, candidates: Sequence[Pair], num_words: int
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Words of the prompt in random order, and as many absent ones; some candidates are left over as decoys."""
    others = [candidates[index] for index in rng.permutation(len(candidates)) if candidates[index] != target]
    words = [target, *others[: num_words - 1]]
    absent = others[num_words - 1 : 2 * num_words - 1]
    return tuple(words[index] for index in rng.permutation(num_words)), tuple(absent)


def _fill(rng: np.random.Generator, low: int, high: int) -> list[tuple[int, int]]:
    """Cut [low, high) into segments with small gaps between them."""
    segments = []
    start = low + int(rng.integers(0, GAP + 1)) * int(rng.uniform() < 0.5)
    while high - start >= SEGMENT[0] - GAP:
        end = start + int(rng.integers(SEGMENT[0], SEGMENT[1] + 1))
        end = high if high - end < SEGMENT[0] else end
        segments.append((start, end))
        start = end + int(rng.integers(0, GAP + 1))
    return segments


def _draw_slots(
    rng: np.random.Generator, anomalous: bool, num_frames: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Visits of the target, and the segments of all the others."""
    visits: list[tuple[int, int]] = []
    others: list[tuple[int, int]] = []
    if anomalous:
        length = round(rng.uniform(*TARGET_SHARE) * num_frames)
        if rng.uniform() < TWO_VISITS and length >= 16:
            half = length // 2
            middle = int(rng.integers(half, num_frames - length + half - 7))
            first = int(rng.integers(0, middle - half + 1))
            second = int(rng.integers(middle + 8, num_frames - (length - half) + 1))
            visits = [(first, first + half), (second, second + length - half)]
        else:
            first = int(rng.integers(0, num_frames - length + 1))
            visits = [(first, first + length)]
        edges = [0, *(edge for visit in visits for edge in visit), num_frames]
        for low, high in zip(edges[::2], edges[1::2], strict=True):
            others += _fill(rng, low, high)
    else:
        others += _fill(rng, 0, num_frames)
    for _ in range(int(rng.integers(NUM_SLOTS[0], NUM_SLOTS[1] + 1)) - 1):
        others += _fill(rng, 0, num_frames)
    return visits, others


def _assign(
    rng: np.random.Generator,
    target: Pair,
    words: Sequence[Pair],
    pool: Sequence[Pair],
    novel: Sequence[Pair],
    visits: Sequence[tuple[int, int]],
    segments: Sequence[tuple[int, int]],
) -> list[Casting]:
    """Give each segment a pair of the pool."""
    same_colour = [pair for pair in pool if pair.colour == target.colour]
    same_shape = [pair for pair in pool if pair.shape == target.shape]
    unrelated = [pair for pair in pool if pair not in same_colour + same_shape]
    colours, shapes = {word.colour for word in words}, {word.shape for word in words}
    fillers = [pair for pair in unrelated if pair.colour in colours or pair.shape in shapes] or unrelated
    choices = {COLOUR_DECOY: same_colour, SHAPE_DECOY: same_shape, NOVEL: novel or fillers, FILLER: fillers}
    cast = []
    for start, end in segments:
        shared = sum(max(0, min(end, visit[1]) - max(start, visit[0])) for visit in visits)
        weight = shared / (end - start)
        odds = (1 - weight) * np.array(ROLES_BESIDE) + weight * np.array(ROLES_WITH_TARGET)
        cast.append(Casting(*_pick(rng, choices[int(rng.choice(4, p=odds / odds.sum()))]), (start, end)))
    return cast


def _covers(
    cast: Sequence[Casting],
    target: Pair,
    novel: Sequence[Pair],
    visits: Sequence[tuple[int, int]],
    num_frames: int,
) -> bool:
    """Whether enough of the frames without the target show its colour, its shape, both on two objects, a novel pair."""
    colour, shape, unseen, away = (np.zeros(num_frames, bool) for _ in range(4))
    away[:] = True
    for start, end in visits:
        away[start:end] = False
    for role in cast:
        start, end = role.interval
        colour[start:end] |= role.colour == target.colour
        shape[start:end] |= role.shape == target.shape
        unseen[start:end] |= not novel or (role.colour, role.shape) in novel
    shares = (colour[away].mean(), shape[away].mean(), (colour & shape)[away].mean(), unseen[away].mean())
    return all(share >= least for share, least in zip(shares, COVERAGE, strict=True))


def _clear(scene: Scene, num_targets: int) -> tuple[Scene, np.ndarray]:
    """Paint the target on top when others would hide too much of it; also the masks that result."""
    masks = render_masks(scene)
    if not num_targets:
        return scene, masks
    targets = scene.objects[:num_targets]
    alone = render_masks(replace(scene, objects=targets)).sum((2, 3))  # (visits, T)
    if np.all(masks[:num_targets].sum((2, 3)) >= TARGET_CLEAR * alone):
        return scene, masks
    top = max(thing.depth for thing in scene.objects) + 1
    lifted: tuple[SceneObject, ...] = tuple(replace(thing, depth=top + thing.object_id) for thing in targets)
    scene = replace(scene, objects=lifted + scene.objects[num_targets:])
    return scene, render_masks(scene)


def _span(areas: np.ndarray) -> tuple[int, int]:
    """First and one past the last frame in which an object is visible."""
    visible = np.flatnonzero(areas >= MIN_VISIBLE)
    if len(visible) == 0 or len(visible) != visible[-1] - visible[0] + 1:
        raise AssertionError('the target must be visible in one run of frames')
    return int(visible[0]), int(visible[-1]) + 1
