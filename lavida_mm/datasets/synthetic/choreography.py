"""How the objects of a scene about behaviour move: straight, in jerks, back and forth, or not at all, phase by phase.

Each change of place between two frames belongs to the later one, and so to that one's phase. What a phase is shows in
any three frames of it in a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ['DIRECTIONS', 'Choreography', 'draw_crowd', 'draw_solos', 'find_behaviours', 'find_relations']

DIRECTIONS: dict[str, tuple[int, int]] = {'left': (-1, 0), 'right': (1, 0), 'up': (0, -1), 'down': (0, 1)}
OPPOSITE = {'left': 'right', 'right': 'left', 'up': 'down', 'down': 'up'}
SOLO = (*DIRECTIONS, 'still', 'stops', 'swings')
SPEED = (2.2, 3.2)  # pixels per frame
JERK = (4.5, 6.0)  # pixels, of every second frame
PHASE = (8, 14)  # frames
CROWD_SPEED = (2.0, 2.6)  # a crowd has less room than one object
CROWD_PHASE = (6, 10)
WALL = 0.9  # radii that an object keeps from the edge
FAVOURITE = 0.4
REBEL = 0.6
CANDIDATES = 4
MARGIN = 4.0  # pixels by which the first of a crowd is ahead of the second
CROWD_GAP = 24.0  # least pixels between the centres of a crowd, at its start
CROWD_SIDE = 0.48  # of the frame's side, of the square that holds these centres: the rest is room to move
NEAR = 5.0  # pixels beyond touching that still count as next to each other


@dataclass(frozen=True)
class Choreography:
    """Where the objects are and what each of them does, before they have looks.

    Attributes:
        centres: x and y in pixels, float (N, T, 2).
        moves: what each object does in each frame, by the names in ``SOLO``, text (N, T).
        radii: in pixels, (N,).
    """

    centres: np.ndarray
    moves: np.ndarray
    radii: tuple[float, ...]


def draw_solos(
    rng: np.random.Generator, radii: Sequence[float], num_frames: int, size: int, favourite: str | None = None
) -> Choreography:
    """Objects that move each on their own, clear of each other where that can be.

    Args:
        rng: source of all that is random.
        radii: of the objects, in pixels.
        num_frames: T.
        size: side of the frame, in pixels.
        favourite: behaviour to show more often than others.
    """
    centres: list[np.ndarray] = []
    moves: list[np.ndarray] = []
    for radius in radii:
        tries = [_draw_solo(rng, radius, num_frames, size, favourite) for _ in range(CANDIDATES)]
        crowding = [
            sum(
                np.maximum(radius + other - np.linalg.norm(path - theirs, axis=1), 0).sum()
                for theirs, other in zip(centres, radii, strict=False)
            )
            for path, _ in tries
        ]
        path, names = tries[int(np.argmin(crowding))]
        centres.append(path)
        moves.append(names)
    return Choreography(np.stack(centres), np.stack(moves), tuple(radii))


def draw_crowd(
    rng: np.random.Generator, radii: Sequence[float], num_frames: int, size: int, rebels: bool
) -> Choreography:
    """Objects that move the same way at one speed, or all rest.

    Args:
        rng: source of all that is random.
        radii: of the objects, in pixels.
        num_frames: T.
        size: side of the frame, in pixels.
        rebels: whether in most phases one of them moves against the others.
    """
    low = np.array([WALL * radius for radius in radii])[:, None]
    speed = rng.uniform(*CROWD_SPEED)
    place = _scatter(rng, radii, size)
    centres = np.empty((len(radii), num_frames, 2))
    moves = np.empty((len(radii), num_frames), dtype='<U6')
    for start, end in _draw_phases(rng, num_frames, CROWD_PHASE):
        rebel = int(rng.integers(len(radii))) if rebels and rng.uniform() < REBEL else None
        for name in [*rng.permutation(list(DIRECTIONS)), 'still']:
            names = [OPPOSITE.get(name, name) if index == rebel else str(name) for index in range(len(radii))]
            heading = np.array([DIRECTIONS.get(one, (0, 0)) for one in names])  # (N, 2)
            steps = np.arange(1, end - start + 1) - (start == 0)
            path = place[:, None] + speed * steps[:, None] * heading[:, None]  # (N, frames, 2)
            if np.all(path[:, -1] >= low) and np.all(path[:, -1] <= size - low):
                break
        centres[:, start:end] = path
        moves[:, start:end] = np.array(names)[:, None]
        place = path[:, -1]
    return Choreography(centres, moves, tuple(radii))


def find_behaviours(dance: Choreography) -> dict[str, np.ndarray]:
    """Which objects show which behaviour in which frames, bool (N, T) by behaviour.

    * ``left``, ``right``, ``up``, ``down``: moves that way, step by step.
    * ``still``: does not move; ``stops``: moves aslant in every second frame and rests in the others; ``swings``: moves
      one way in every second frame and back in the others.
    * ``against``: moves one of the four ways, and each of the others, at least two, the opposite way.
    * ``leads``, ``last``: all, at least three, move the same way, and of their centres its own is foremost or hindmost,
      by ``MARGIN`` pixels at least.
    """
    moves = dance.moves
    found = {name: moves == name for name in SOLO}
    for name in ('against', 'leads', 'last'):
        found[name] = np.zeros(moves.shape, bool)
    number = len(moves)
    if number < 3:
        return found
    for name, heading in DIRECTIONS.items():
        same = moves == name
        against = same & (same.sum(0) == 1) & ((moves == OPPOSITE[name]).sum(0) == number - 1)
        found['against'] |= against
        along = dance.centres @ np.array(heading)  # (N, T)
        ordered = np.sort(along, axis=0)
        together = same.all(0)
        found['leads'] |= together & (along == ordered[-1]) & (ordered[-1] - ordered[-2] >= MARGIN)
        found['last'] |= together & (along == ordered[0]) & (ordered[1] - ordered[0] >= MARGIN)
    return found


def find_relations(centres: np.ndarray, radii: Sequence[float]) -> dict[str, np.ndarray]:
    """Which objects are where to which others, bool (N, N, T) by relation; the first is the one spoken of.

    * ``left_of``, ``right_of``, ``above``, ``below``: its centre is that way of the other's, and further so than it is
      aside.
    * ``next_to``: the circles around them are at most ``NEAR`` pixels apart.

    Args:
        centres: x and y in pixels, float (N, T, 2).
        radii: in pixels, (N,).
    """
    away = centres[:, None] - centres[None]  # (N, N, T, 2)
    reach = np.asarray(radii)[:, None] + np.asarray(radii)[None]
    x, y = away[..., 0], away[..., 1]
    other = ~np.eye(len(centres), dtype=bool)[..., None]
    return {
        'left_of': (x < 0) & (-x > np.abs(y)),
        'right_of': (x > 0) & (x > np.abs(y)),
        'above': (y < 0) & (-y > np.abs(x)),
        'below': (y > 0) & (y > np.abs(x)),
        'next_to': other & (np.hypot(x, y) <= reach[..., None] + NEAR),
    }


def _draw_phases(rng: np.random.Generator, num_frames: int, length: tuple[int, int]) -> list[tuple[int, int]]:
    phases = []
    start = 0
    while start < num_frames:
        end = start + int(rng.integers(length[0], length[1] + 1))
        end = num_frames if num_frames - end < length[0] else end
        phases.append((start, end))
        start = end
    return phases


def _draw_solo(
    rng: np.random.Generator, radius: float, num_frames: int, size: int, favourite: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Centres (T, 2) and moves (T,) of one object; no two phases in a row are alike."""
    low, high = WALL * radius, size - WALL * radius
    place = rng.uniform(low, high, 2)
    centres = np.empty((num_frames, 2))
    moves = np.empty(num_frames, dtype='<U6')
    last = None
    for start, end in _draw_phases(rng, num_frames, PHASE):
        order = [str(name) for name in rng.permutation(SOLO) if name != last]
        if favourite is not None and favourite != last and rng.uniform() < FAVOURITE:
            order.insert(0, favourite)
        for name in order:
            path = place + np.cumsum(_draw_steps(rng, name, end - start, first=start == 0), axis=0)
            if path.min() >= low and path.max() <= high:
                break
        else:  # in a corner, and at rest before: it stays at rest
            name, path = 'still', np.tile(place, (end - start, 1))
        centres[start:end], moves[start:end] = path, name
        place, last = path[-1], name
    return centres, moves


def _draw_steps(rng: np.random.Generator, name: str, length: int, first: bool) -> np.ndarray:
    """Changes of place up to each frame of a phase, (length, 2); the first frame of a scene has none."""
    odd = np.arange(length) % 2
    if name in DIRECTIONS:
        steps = rng.uniform(*SPEED) * np.tile(DIRECTIONS[name], (length, 1))
    elif name == 'stops':
        aslant = rng.choice([-1, 1], 2) / np.sqrt(2)
        steps = rng.uniform(*JERK) * odd[:, None] * aslant
    elif name == 'swings':
        axis = np.array([[1, 0], [0, 1]])[rng.integers(2)]
        steps = rng.uniform(*JERK) * (rng.choice([-1, 1]) * (2 * odd - 1))[:, None] * axis
    else:
        steps = np.zeros((length, 2))
    if first:
        steps[0] = 0
    return steps


def _scatter(rng: np.random.Generator, radii: Sequence[float], size: int) -> np.ndarray:
    """Centres (N, 2) of a crowd: apart from each other, and with room to move."""
    wall, side = WALL * max(radii), CROWD_SIDE * size
    corner = rng.uniform(wall, size - wall - side, 2)
    while True:
        places = corner + rng.uniform(0, side, (len(radii), 2))
        gaps = np.linalg.norm(places[:, None] - places[None], axis=2) + size * np.eye(len(radii))
        if gaps.min() >= CROWD_GAP:
            return places
