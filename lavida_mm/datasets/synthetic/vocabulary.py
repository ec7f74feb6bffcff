"""Words of the synthetic world: eight colours, five shapes, and the ten pairs that training never sees."""

import colorsys
from typing import NamedTuple

import numpy as np

__all__ = [
    'COLOURS', 'HELD_OUT_PAIRS', 'SHAPES', 'TRAINED_PAIRS', 'Pair', 'draw_colour', 'draw_unnamed_colour', 'looks_like',
    'paraphrases',
]  # fmt: skip


class Pair(NamedTuple):
    """A colour word and a shape word; ``str(pair)`` is the category."""

    colour: str
    shape: str

    def __str__(self) -> str:
        return f'{self.colour} {self.shape}'


class Tone(NamedTuple):
    """Ranges from which a named colour is drawn: hue in degrees, saturation and value in [0, 1]."""

    hue: float
    saturation: tuple[float, float]
    value: tuple[float, float]


VIVID = ((0.84, 1.0), (0.80, 1.0))
COLOURS: dict[str, Tone] = {
    'red': Tone(0, *VIVID),
    'orange': Tone(29, *VIVID),
    'yellow': Tone(56, *VIVID),
    'green': Tone(122, *VIVID),
    'cyan': Tone(182, *VIVID),
    'blue': Tone(228, *VIVID),
    'magenta': Tone(303, *VIVID),
    'white': Tone(0, (0.0, 0.04), (0.92, 1.0)),
}
SHAPES: tuple[str, ...] = ('square', 'triangle', 'star', 'ring', 'cross')

# Every shape misses two colours and every colour at most two shapes, so that each word is seen in training.
HELD_OUT_PAIRS: tuple[Pair, ...] = tuple(
    Pair(*words.split())
    for words in (
        'red square', 'cyan square', 'green triangle', 'orange triangle', 'blue star', 'yellow star',
        'magenta ring', 'red ring', 'white cross', 'green cross',
    )
)  # fmt: skip
TRAINED_PAIRS: tuple[Pair, ...] = tuple(
    Pair(colour, shape) for shape in SHAPES for colour in COLOURS if Pair(colour, shape) not in HELD_OUT_PAIRS
)

HUE_JITTER = 5.0
# What still passes for a named colour: wider than what is drawn for it, narrower than the gap to its neighbours.
LOOKS_HUE, LOOKS_SATURATION, LOOKS_VALUE = 13.0, 0.5, 0.45
LOOKS_WHITE_SATURATION, LOOKS_WHITE_VALUE = 0.2, 0.75
PARAPHRASES = ('the {shape} that is {colour}', '{shape} in {colour}', 'a {colour} {shape}', 'the {colour} {shape}')


def draw_colour(rng: np.random.Generator, colour: str) -> tuple[int, int, int]:
    """One RGB shade, 0 to 255, of a named colour."""
    tone = COLOURS[colour]
    hue = (tone.hue + rng.uniform(-HUE_JITTER, HUE_JITTER)) % 360
    return _to_rgb(hue, rng.uniform(*tone.saturation), rng.uniform(*tone.value))


def draw_unnamed_colour(rng: np.random.Generator, shape: str) -> tuple[int, int, int]:
    """A random RGB colour for an object that is known by its shape only.

    A colour that would make the object a held-out pair in the eye of a viewer, or hide it, is drawn again.
    """
    forbidden = [pair.colour for pair in HELD_OUT_PAIRS if pair.shape == shape]
    while True:
        red, green, blue = (int(channel) for channel in rng.integers(0, 256, 3))
        brightest, darkest = max(red, green, blue), min(red, green, blue)
        like_backgrounds = brightest < 110 or (brightest < 200 and brightest - darkest < 60)
        if not like_backgrounds and not any(looks_like((red, green, blue), colour) for colour in forbidden):
            return red, green, blue


def looks_like(rgb: tuple[int, int, int], colour: str) -> bool:
    """Whether a viewer would call ``rgb``, 0 to 255, by the name ``colour``."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in rgb))
    if colour == 'white':
        return saturation <= LOOKS_WHITE_SATURATION and value >= LOOKS_WHITE_VALUE
    distance = abs((hue * 360 - COLOURS[colour].hue + 180) % 360 - 180)
    return distance <= LOOKS_HUE and saturation >= LOOKS_SATURATION and value >= LOOKS_VALUE


def paraphrases(pair: Pair, rng: np.random.Generator) -> list[str]:
    """Two or three referring phrases of a pair."""
    chosen = sorted(rng.permutation(len(PARAPHRASES))[: rng.integers(2, 4)])
    return [PARAPHRASES[index].format(colour=pair.colour, shape=pair.shape) for index in chosen]


def _to_rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 * channel) for channel in colorsys.hsv_to_rgb(hue / 360, saturation, value))
    return red, green, blue
