"""What one frame, and what a window of frames, could reach at best where words are about behaviour.

Both oracles read the tracks of ``objects.json``; neither knows how the scenes were drawn.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lavida_mm.datasets.synthetic.choreography import DIRECTIONS, MARGIN
from lavida_mm.datasets.synthetic.oracles import area_under_curve, label_frames

__all__ = ['score_looks', 'score_window']

STILL = 0.5  # pixels per frame up to which an object rests
STRAIGHT = 0.9  # least cosine between a step and a direction


def score_looks(
    videos: Sequence[Mapping[str, Any]],
    objects: Mapping[str, Sequence[Mapping[str, Any]]],
    designs: Mapping[str, Mapping[str, Any]],
) -> dict[str, float]:
    """Frame AUC of scores that know looks, sizes and places of all objects of one frame, and which pair is meant.

    Args:
        videos: entries of the manifest.
        objects: objects of each video, as in ``objects.json``.
        designs: of each video, as in ``design.json``.

    Returns:
        AUC by oracle. Each may lie above or below 0.5.
    """
    scores: dict[str, list[np.ndarray]] = {}
    for video in videos:
        things = objects[video['video_id']]
        area = np.array([[thing['track'].get(str(f), {'area': 0})['area'] for f in range(video['num_frames'])]
                         for thing in things])  # fmt: skip
        pairs = [f'{thing["colour"]} {thing["shape"]}' for thing in things]
        meant = np.array([pair == ' '.join(designs[video['video_id']]['pair']) for pair in pairs])
        named = np.array([any(word.startswith(pair) for word in video['categories']) for pair in pairs])
        for name, chosen in (('target', meant), ('named', named), ('any', np.ones(len(pairs), bool))):
            scores.setdefault(f'{name}_count', []).append((area[chosen] > 0).sum(0))
            scores.setdefault(f'{name}_area', []).append(area[chosen].sum(0))
            scores.setdefault(f'{name}_max_area', []).append(area[chosen].max(0))
        places = _read_centres(video, things)[meant]  # (twins, T, 2)
        heading = np.array(DIRECTIONS.get(designs[video['video_id']]['word'], (0, 0)))
        scores.setdefault('place_along', []).append((places @ heading).max(0))
        edge = np.minimum(places, [video['width'], video['height']] - places).min((0, 2))
        scores.setdefault('place_edge', []).append(edge)
        scores.setdefault('place_gap', []).append(np.linalg.norm(places[0] - places[-1], axis=1))
    labels = np.concatenate([label_frames(video) for video in videos])
    return {name: area_under_curve(np.concatenate(values), labels) for name, values in scores.items()}


def score_window(
    videos: Sequence[Mapping[str, Any]],
    objects: Mapping[str, Sequence[Mapping[str, Any]]],
    designs: Mapping[str, Mapping[str, Any]],
    window: int,
    blind: bool = False,
) -> float:
    """Frame AUC of a score that sees looks and centres in windows of frames, one after the other, and nothing beyond.

    Each frame of a window is judged by two steps in a row, those around it or the nearest to it. Frames beside one that
    is judged to show the behaviour get a part of its score.

    Args:
        videos: entries of the manifest of ``behaviour``.
        objects: objects of each video.
        designs: of each video.
        window: T, at least 3; videos whose length it does not divide end with a shorter window.
        blind: take all objects for the one that is meant, whatever they look like.
    """
    scores = []
    for video in videos:
        things = objects[video['video_id']]
        design = designs[video['video_id']]
        centres = _read_centres(video, things)
        meant = (
            np.ones(len(things), bool)
            if blind
            else np.array([[thing['colour'], thing['shape']] == list(design['pair']) for thing in things])
        )
        for start in range(0, video['num_frames'], window):
            shown = _judge(centres[:, start : start + window], design['word'])[meant]  # (twins, frames)
            scores.append((shown + 0.5 * shown.mean(1, keepdims=True)).max(0))
    labels = np.concatenate([label_frames(video) for video in videos])
    return area_under_curve(np.concatenate(scores), labels)


def _read_centres(video: Mapping[str, Any], things: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Centres (N, T, 2) in pixels; where an object is hidden, that of the frame before, or 0 where there is none."""
    centres = np.zeros((len(things), video['num_frames'], 2))
    for index, thing in enumerate(things):
        for frame in range(video['num_frames']):
            found = thing['track'].get(str(frame))
            centres[index, frame] = centres[index, max(frame - 1, 0)] if found is None else found['centre']
    return centres


def _judge(centres: np.ndarray, word: str) -> np.ndarray:
    """Which objects seem to show a behaviour in the frames of a window, bool (N, T); centres (N, T, 2)."""
    steps = np.diff(centres, axis=1)
    number, length = centres.shape[:2]
    shown = np.zeros((number, length), bool)
    for frame in range(length):
        first = min(max(frame - 1, 0), length - 3)
        kinds = [_judge_steps(*steps[index, first : first + 2]) for index in range(number)]
        for index, kind in enumerate(kinds):
            others = kinds[:index] + kinds[index + 1 :]
            shown[index, frame] = kind == word or (
                kind in DIRECTIONS and _judge_among(word, kind, others, centres[:, frame], index)
            )
    return shown


def _judge_among(word: str, kind: str, others: Sequence[str], centres: np.ndarray, index: int) -> bool:
    heading = np.array(DIRECTIONS[kind])
    if word == 'against':
        return all(other in DIRECTIONS and np.dot(DIRECTIONS[other], heading) == -1 for other in others)
    if word not in ('leads', 'last') or any(other != kind for other in others):
        return False
    ahead = centres[index] @ heading - np.delete(centres, index, axis=0) @ heading
    return bool(np.all(ahead >= MARGIN)) if word == 'leads' else bool(np.all(ahead <= -MARGIN))


def _judge_steps(first: np.ndarray, second: np.ndarray) -> str:
    """The behaviour that two steps in a row, (2,) each, look like; empty for none."""
    lengths = np.hypot(*first), np.hypot(*second)
    if max(lengths) <= STILL:
        return 'still'
    if min(lengths) <= STILL:
        return 'stops'
    if np.dot(first, second) < 0:
        return 'swings'
    both = first + second
    for name, heading in DIRECTIONS.items():
        if np.dot(both, heading) >= STRAIGHT * np.hypot(*both):
            return name
    return ''
