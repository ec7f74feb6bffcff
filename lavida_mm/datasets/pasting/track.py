"""Where a pasted object stands in each frame, and how large it is there."""

import math
from dataclasses import dataclass

import numpy as np

__all__ = ['Track', 'TrackOptions', 'draw_track', 'move', 'perspective_factor']

NEAREST_HORIZON = 0.1  # feet are drawn in the lower nine tenths of what lies below the horizon


@dataclass(frozen=True, eq=False)
class Track:
    """Place and size of an object, frame by frame.

    Attributes:
        feet: x of the middle of its lower edge and y of that edge, in pixels, float64 (T, 2).
        sides: its longer side in pixels, float64 (T,); 0 in frames that do not show it.
    """

    feet: np.ndarray
    sides: np.ndarray


@dataclass(frozen=True)
class TrackOptions:
    """Between what a track is drawn.

    Attributes:
        scale: least and most of an object's longer side, relative to the frame's shorter side; uniform.
        horizon: see ``perspective_factor``; feet stand below it, and the scale holds at the lower edge.
        speed: least and most way per frame of the video, relative to the frame's shorter side; uniform.
        turn: most change of direction per frame of the video, in degrees, to either side.
        cut_ratio: probability that an object is there in a part of the clip only.
    """

    scale: tuple[float, float]
    horizon: float | None
    speed: tuple[float, float]
    turn: float
    cut_ratio: float


def perspective_factor(feet_y: np.ndarray, height: int, horizon: float | None) -> np.ndarray:
    """Size of a thing relative to the same thing at the lower edge of the frame: 0 at the horizon, at most 1.

    Args:
        feet_y: y of its lower edge, in pixels, any shape.
        height: H.
        horizon: share of the height at which things have no size, from above; None: they have the same size everywhere.
    """
    if horizon is None:
        return np.ones_like(feet_y)
    return np.clip((feet_y - horizon * height) / ((1 - horizon) * height), 0, 1)


def move(times: np.ndarray, speed: float, heading: float, turn: float) -> np.ndarray:
    """Way along an arc at constant speed, from time 0 on and back.

    Args:
        times: (T,).
        speed: pixels per unit of time.
        heading: direction at time 0 in radians, 0 to the right, growing downwards.
        turn: change of direction per unit of time, in radians.

    Returns:
        x and y relative to the place at time 0, float64 (T, 2).
    """
    half = turn * times / 2
    chord = speed * times * np.sinc(half / math.pi)
    return np.stack([chord * np.cos(heading + half), chord * np.sin(heading + half)], axis=1)


def draw_track(
    times: np.ndarray,
    frame_size: tuple[int, int],
    aspect: float,
    options: TrackOptions,
    rng: np.random.Generator,
) -> Track:
    """Draw how an object moves through a clip, so that it is in one frame of it at least.

    There, the middle of its box is inside the frame, or that of its lower edge where there is a horizon.

    Args:
        times: number of each frame in its video, int64 (T,); equal numbers get equal places.
        frame_size: (H, W).
        aspect: the object's height over its longer side.
        options: between what to draw.
        rng: source of all randomness.
    """
    height, width = frame_size
    shorter = min(frame_size)
    horizon = options.horizon
    full = rng.uniform(*options.scale) * shorter
    x, y = rng.uniform(0, width), rng.uniform()
    if horizon is None:
        foot_y = y * height + aspect * full / 2  # the middle of its box is anywhere in the frame
    else:
        foot_y = height * (horizon + (1 - horizon) * (NEAREST_HORIZON + (1 - NEAREST_HORIZON) * y))
    first, last = _draw_interval(len(times), options.cut_ratio, rng)
    seen_at = times[int(rng.integers(first, last))]
    near = float(perspective_factor(np.asarray(foot_y), height, horizon))
    way = move(
        (times - seen_at).astype(np.float64),
        rng.uniform(*options.speed) * shorter * near,
        rng.uniform(0, 2 * math.pi),
        math.radians(rng.uniform(-options.turn, options.turn)),
    )
    feet = np.asarray([x, foot_y]) + way  # (T, 2)
    sides = full * perspective_factor(feet[:, 1], height, horizon)  # (T,)
    sides[:first] = sides[last:] = 0
    return Track(feet, sides)


def _draw_interval(num_frames: int, cut_ratio: float, rng: np.random.Generator) -> tuple[int, int]:
    """First frame and the one after the last: all of the clip, or a shorter part of any length."""
    if num_frames == 1 or rng.random() >= cut_ratio:
        return 0, num_frames
    length = int(rng.integers(1, num_frames))
    first = int(rng.integers(0, num_frames - length + 1))
    return first, first + length
