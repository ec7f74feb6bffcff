"""A scene is data: what is on screen, where, when and how it moves. ``shapes`` turns it into pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lavida_mm.datasets.synthetic.vocabulary import draw_colour, draw_unnamed_colour

__all__ = [
    'FRAME_SIZE', 'MOTIONS', 'Appearance', 'Background', 'Casting', 'Scene', 'SceneObject', 'draw_appearance',
    'draw_scene', 'dress_scene',
]  # fmt: skip

FRAME_SIZE = 96
RADIUS = (0.13, 0.19)  # of the frame's side
TILT, WOBBLE = 14.0, 6.0  # degrees; together at most 20
SPEED = (0.35, 2.2)  # pixels per frame
MOTIONS = ('linear', 'bounce', 'sinusoid', 'pause', 'static')
MOTION_WEIGHTS = (0.25, 0.3, 0.2, 0.15, 0.1)
TEXTURES = ('flat', 'stripes', 'checker', 'gradient')
BACKGROUNDS = ('gradient', 'noise', 'stripes', 'blobs')
# Share of the way back out of the frame, in the frames beside the edge of an interval.
TRANSITION = (0.55, 0.2)
POP_PROBABILITY = 0.25
NUM_CANDIDATES = 8
CARELESS = 0.25  # share of moving objects that take any track, so that occlusions happen


@dataclass(frozen=True)
class Appearance:
    """How an object looks.

    Attributes:
        rgb: colour, 0 to 255.
        tilt: in degrees, as is ``wobble``, by which it swings.
        texture: one of ``TEXTURES``; ``strength``, ``frequency``, ``phase`` and ``direction`` are the texture's.
        outline: seed of the outline of an object whose shape has no name.
    """

    rgb: tuple[int, int, int]
    tilt: float
    wobble: float
    texture: str
    strength: float
    frequency: float
    phase: float
    direction: float
    outline: int


@dataclass(frozen=True)
class SceneObject:
    """One object.

    Attributes:
        object_id: number in the scene, from 0.
        colour: colour word, None for an object known by its shape only.
        shape: shape word, None for an object known by its colour only.
        radius: in pixels.
        motion: name of the motion, one of ``MOTIONS``, or ``'phases'`` where it changes by a choreography.
        interval: frames in which it is in the scene, end exclusive.
        track: its centre (x, y) in each frame of the interval, in pixels.
        depth: objects of greater depth are painted later, on top.
    """

    object_id: int
    colour: str | None
    shape: str | None
    radius: float
    motion: str
    interval: tuple[int, int]
    track: tuple[tuple[float, float], ...]
    depth: int
    appearance: Appearance

    def centre(self, frame: int) -> tuple[float, float] | None:
        """Centre (x, y) in a frame, None outside of the interval."""
        start, end = self.interval
        return self.track[frame - start] if start <= frame < end else None


@dataclass(frozen=True)
class Background:
    """What lies behind: kind, seed of its pattern, mean brightness 0 to 255 and contrast."""

    kind: str
    seed: int
    brightness: float
    contrast: float


@dataclass(frozen=True)
class Scene:
    """A clip before rendering.

    Attributes:
        lighting: gain of each frame and channel, (T, 3) as nested tuples.
        noise: standard deviation of the pixel noise, in grey levels.
        seed: of the pixel noise.
    """

    size: int
    num_frames: int
    background: Background
    lighting: tuple[tuple[float, float, float], ...]
    noise: float
    seed: int
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True)
class Casting:
    """A part to be played in a scene: words, interval (end exclusive), and whether it is painted on top."""

    colour: str | None
    shape: str | None
    interval: tuple[int, int]
    on_top: bool = False


def draw_scene(rng: np.random.Generator, casting: Sequence[Casting], num_frames: int, size: int = FRAME_SIZE) -> Scene:
    """Draw looks, places and motions for a cast.

    Most objects take, of a few candidate tracks, the one that keeps clear of the objects before them.

    Args:
        rng: source of all that is random.
        casting: the objects, their words and intervals.
        num_frames: length of the scene; 1 for an image.
        size: side of the square frame, in pixels.
    """
    depths = rng.permutation(len(casting))
    objects: list[SceneObject] = []
    for index, role in enumerate(casting):
        radius = float(rng.uniform(*RADIUS) * size)
        tries = 1 if num_frames > 1 and rng.uniform() < CARELESS else NUM_CANDIDATES
        candidates = [_draw_track(rng, role.interval, num_frames, radius, size) for _ in range(tries)]
        crowding = [_crowding(track, role.interval, radius, objects) for _, track in candidates]
        motion, track = candidates[int(np.argmin(crowding))]
        objects.append(
            SceneObject(
                object_id=index,
                colour=role.colour,
                shape=role.shape,
                radius=radius,
                motion=motion,
                interval=role.interval,
                track=tuple((round(float(x), 3), round(float(y), 3)) for x, y in track),
                depth=int(depths[index]) + len(casting) * role.on_top,
                appearance=draw_appearance(rng, role),
            )
        )
    return dress_scene(rng, objects, num_frames, size)


def dress_scene(rng: np.random.Generator, objects: Sequence[SceneObject], num_frames: int, size: int) -> Scene:
    """Draw background, light and noise around objects."""
    return Scene(
        size=size,
        num_frames=num_frames,
        background=Background(
            kind=str(rng.choice(BACKGROUNDS)),
            seed=int(rng.integers(2**31)),
            brightness=float(rng.uniform(50, 125)),
            contrast=float(rng.uniform(10, 32)),
        ),
        lighting=_draw_lighting(rng, num_frames),
        noise=float(rng.uniform(2, 7)),
        seed=int(rng.integers(2**31)),
        objects=tuple(objects),
    )


def draw_appearance(rng: np.random.Generator, role: Casting) -> Appearance:
    """Draw how the player of a part looks."""
    named = role.colour is not None
    rgb = draw_colour(rng, role.colour) if role.colour is not None else draw_unnamed_colour(rng, str(role.shape))
    return Appearance(
        rgb=rgb,
        tilt=float(rng.uniform(-TILT, TILT)),
        wobble=float(rng.uniform(-WOBBLE, WOBBLE)),
        texture=str(rng.choice(TEXTURES)),
        strength=float(rng.uniform(0.04, 0.13 if named else 0.18)),
        frequency=float(rng.uniform(3.0, 7.0)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        direction=float(rng.uniform(0, np.pi)),
        outline=int(rng.integers(2**31)) if role.shape is None else 0,
    )


def _draw_lighting(rng: np.random.Generator, num_frames: int) -> tuple[tuple[float, float, float], ...]:
    time = np.arange(num_frames) / max(num_frames, 24)
    level = rng.uniform(0.88, 1.06) + rng.uniform(-0.12, 0.12) * time
    level = level + rng.uniform(0, 0.05) * np.sin(2 * np.pi * (rng.uniform(0.5, 3) * time + rng.uniform()))
    tint = rng.uniform(0.96, 1.04, 3)
    gains = np.clip(level, 0.75, 1.12)[:, None] * tint  # (T, 3)
    return tuple((round(float(r), 4), round(float(g), 4), round(float(b), 4)) for r, g, b in gains)


def _draw_track(
    rng: np.random.Generator, interval: tuple[int, int], num_frames: int, radius: float, size: int
) -> tuple[str, np.ndarray]:
    """Name of the motion and the centres (length of the interval, 2)."""
    length = interval[1] - interval[0]
    motion = str(rng.choice(MOTIONS, p=MOTION_WEIGHTS))
    low, high = 0.85 * radius, size - 0.85 * radius
    start = rng.uniform(low, high, 2)
    speed = 0.0 if motion == 'static' else rng.uniform(*SPEED)
    heading = rng.uniform(0, 2 * np.pi)
    time = np.arange(length, dtype=float)
    if motion == 'pause':
        stop = int(rng.integers(1, max(length - 1, 2)))
        rest = int(rng.integers(3, 9))
        time = np.where(time < stop, time, np.maximum(time - rest, stop))
    direction = np.array([np.cos(heading), np.sin(heading)])
    path = start + speed * time[:, None] * direction
    if motion == 'sinusoid':
        swing = rng.uniform(4, 9) * np.sin(2 * np.pi * np.arange(length) / rng.uniform(10, 22))
        path = path + swing[:, None] * np.array([-direction[1], direction[0]])
    if motion == 'linear':
        motion, path = _keep_straight(path, low, high)
    path = high - np.abs((path - low) % (2 * (high - low)) - (high - low))  # reflect at the walls
    path = _add_transitions(rng, path, interval, num_frames, radius, size)
    return motion, path


def _keep_straight(path: np.ndarray, low: float, high: float) -> tuple[str, np.ndarray]:
    """Shift a straight path into the frame; where it's too long for that it will bounce."""
    shift = np.maximum(low - path.min(0), 0) + np.minimum(high - path.max(0), 0)
    shifted = path + shift
    inside = shifted.min() >= low - 1e-6 and shifted.max() <= high + 1e-6
    return ('linear', np.clip(shifted, low, high)) if inside else ('bounce', path)


def _add_transitions(
    rng: np.random.Generator,
    path: np.ndarray,
    interval: tuple[int, int],
    num_frames: int,
    radius: float,
    size: int,
) -> np.ndarray:
    """Let the object come in and go out through the nearest edge within a few frames, or pop."""
    path = path.copy()
    pops = rng.uniform(size=2) < POP_PROBABILITY
    if interval[0] > 0 and not pops[0]:
        for step, share in enumerate(TRANSITION[: len(path) // 3]):
            path[step] += share * _way_out(path[step], radius, size)
    if interval[1] < num_frames and not pops[1]:
        for step, share in enumerate(TRANSITION[: len(path) // 3]):
            path[-1 - step] += share * _way_out(path[-1 - step], radius, size)
    return path


def _way_out(point: np.ndarray, radius: float, size: int) -> np.ndarray:
    """Shortest move (x, y) that takes the object out of the frame."""
    distances = np.array([point[0], size - point[0], point[1], size - point[1]]) + radius
    directions = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
    nearest = int(np.argmin(distances))
    return distances[nearest] * directions[nearest]


def _crowding(track: np.ndarray, interval: tuple[int, int], radius: float, others: Sequence[SceneObject]) -> float:
    """How much a track overlaps with those of other objects, summed over frames."""
    total = 0.0
    for other in others:
        start, end = max(interval[0], other.interval[0]), min(interval[1], other.interval[1])
        if start < end:
            mine = track[start - interval[0] : end - interval[0]]
            theirs = np.array(other.track[start - other.interval[0] : end - other.interval[0]])
            gap = np.linalg.norm(mine - theirs, axis=1)
            total += float(np.maximum(1 - gap / (radius + other.radius), 0).sum())
    return total
