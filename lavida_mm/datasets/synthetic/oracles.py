"""Scores that know one attribute of every object, and nothing else: what a shortcut could reach at best."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lavida_mm.datasets.synthetic.vocabulary import HELD_OUT_PAIRS

__all__ = ['ORACLE_KINDS', 'area_under_curve', 'label_frames', 'score_frames', 'score_oracles']

ORACLE_KINDS = ('colour', 'shape', 'motion', 'size')
MOVING = 0.3  # pixels per frame from which on an object counts as moving


def score_oracles(
    videos: Sequence[Mapping[str, Any]],
    objects: Mapping[str, Sequence[Mapping[str, Any]]],
    targets: Mapping[str, str],
) -> dict[str, float]:
    """Frame AUC of every oracle over all frames of a benchmark, and of its opposite if that is higher.

    Args:
        videos: entries of the manifest.
        objects: objects of each video, as in ``objects.json``.
        targets: target word of each video, of normal videos the phantom's, as in ``design.json``.

    Returns:
        max(AUC, 1 - AUC) by oracle. Names begin with one of ``ORACLE_KINDS``, or with ``words`` for those that
        know colours and shapes but not which belong together, or which pairs training never saw.
    """
    labels = np.concatenate([label_frames(video) for video in videos])
    scores = [score_frames(video, objects[video['video_id']], targets[video['video_id']]) for video in videos]
    pooled = {name: np.concatenate([score[name] for score in scores]) for name in scores[0]}
    areas = {name: area_under_curve(values, labels) for name, values in pooled.items()}
    return {name: max(area, 1 - area) for name, area in areas.items()}


def score_frames(video: Mapping[str, Any], objects: Sequence[Mapping[str, Any]], target: str) -> dict[str, np.ndarray]:
    """Scores of all oracles for the frames of one video, (T,) each."""
    num_frames = video['num_frames']
    area = np.zeros((len(objects), num_frames))
    speed = np.zeros((len(objects), num_frames))
    for index, thing in enumerate(objects):
        _fill_track(thing['track'], area[index], speed[index])
    seen = area > 0
    words = [word.split() for word in video['categories']]
    colour, shape = target.split()
    colours = np.array([thing['colour'] for thing in objects])
    shapes = np.array([thing['shape'] for thing in objects])
    named_colour = np.isin(colours, [word[0] for word in words])
    named_shape = np.isin(shapes, [word[1] for word in words])
    unseen = np.array([(thing['colour'], thing['shape']) in HELD_OUT_PAIRS for thing in objects])
    return {
        **_presence('colour/named', named_colour, seen, area),
        **_presence('colour/target', colours == colour, seen, area),
        **_presence('shape/named', named_shape, seen, area),
        **_presence('shape/target', shapes == shape, seen, area),
        'motion/max_speed': speed.max(0),
        'motion/mean_speed': speed.sum(0) / np.maximum(seen.sum(0), 1),
        'motion/num_moving': (speed > MOVING).sum(0),
        'motion/any_moving': (speed > MOVING).any(0),
        'size/max_area': area.max(0),
        'size/mean_area': area.sum(0) / np.maximum(seen.sum(0), 1),
        'size/total_area': area.sum(0),
        'size/num_objects': seen.sum(0),
        'words/target_unbound': _unbound(seen, colours == colour, shapes == shape),
        'words/unseen_any': seen[unseen].any(0),
        'words/unseen_count': seen[unseen].sum(0),
        'words/named_unbound': np.sum(
            [_unbound(seen, colours == word[0], shapes == word[1]) for word in words], axis=0
        ),
    }


def _presence(name: str, chosen: np.ndarray, seen: np.ndarray, area: np.ndarray) -> dict[str, np.ndarray]:
    return {
        f'{name}_any': seen[chosen].any(0),
        f'{name}_count': seen[chosen].sum(0),
        f'{name}_area': area[chosen].sum(0),
    }


def _unbound(seen: np.ndarray, colour: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Whether the colour and the shape are both on screen, be it on two objects."""
    return seen[colour].any(0) & seen[shape].any(0)


def _fill_track(track: Mapping[str, Mapping[str, Any]], area: np.ndarray, speed: np.ndarray) -> None:
    """Area, and speed as the way from the frame before, or to the next one where there is none before."""
    frames = sorted(int(frame) for frame in track)
    for frame in frames:
        area[frame] = track[str(frame)]['area']
        other = frame - 1 if str(frame - 1) in track else frame + 1
        if str(other) in track:
            way = np.subtract(track[str(frame)]['centre'], track[str(other)]['centre'])
            speed[frame] = np.hypot(*way)


def label_frames(video: Mapping[str, Any]) -> np.ndarray:
    """Whether each frame of a manifest's entry is anomalous, bool (T,)."""
    label = np.zeros(video['num_frames'], bool)
    for anomaly in video['anomalies']:
        label[anomaly['start'] : anomaly['end']] = True
    return label


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    """Probability that an anomalous frame scores above a normal one, ties counted half."""
    positive, negative = np.asarray(scores, float)[labels], np.sort(np.asarray(scores, float)[~labels])
    if not len(positive) or not len(negative):
        raise ValueError('labels must hold anomalous and normal frames: there is no AUC of one class')
    below = np.searchsorted(negative, positive, side='left') + np.searchsorted(negative, positive, side='right')
    return float(below.mean() / (2 * len(negative)))
