"""All parts of the synthetic world, and those that are written unless others are asked for."""

from lavida_mm.datasets.synthetic.parts import PLAIN_PARTS, Part
from lavida_mm.datasets.synthetic.phrase_parts import PHRASE_PARTS

__all__ = ['BENCHMARKS', 'DEFAULT_PARTS', 'PARTS']

PARTS: dict[str, Part] = {**PLAIN_PARTS, **PHRASE_PARTS}
DEFAULT_PARTS: tuple[str, ...] = tuple(PLAIN_PARTS)
BENCHMARKS = ('benchmark', 'behaviour', 'relation')  # made with the benchmark's seed
