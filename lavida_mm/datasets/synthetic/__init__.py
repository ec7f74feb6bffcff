"""The synthetic world: coloured shapes that move, written in the formats of real data sets.

``vocabulary`` says which words there are, ``scene`` and ``storyboard`` draw what happens, ``shapes`` renders it,
``parts`` and ``world`` write the files, and ``oracles`` measures what shortcuts would reach. ``phrases``,
``choreography`` and the ``phrase_*`` files do the same for words about behaviour and relation.
"""

from lavida_mm.datasets.synthetic.catalogue import DEFAULT_PARTS, PARTS
from lavida_mm.datasets.synthetic.oracles import score_oracles
from lavida_mm.datasets.synthetic.parts import describe_benchmark, plan_video
from lavida_mm.datasets.synthetic.phrase_oracles import score_looks, score_window
from lavida_mm.datasets.synthetic.phrase_parts import describe_phrase_benchmark, plan_phrase_video
from lavida_mm.datasets.synthetic.phrases import BEHAVIOURS, RELATIONS
from lavida_mm.datasets.synthetic.vocabulary import COLOURS, HELD_OUT_PAIRS, SHAPES, TRAINED_PAIRS, Pair
from lavida_mm.datasets.synthetic.world import WORLD_VERSION, build_world, derive_benchmark_seed

__all__ = [
    'BEHAVIOURS', 'COLOURS', 'DEFAULT_PARTS', 'HELD_OUT_PAIRS', 'PARTS', 'RELATIONS', 'SHAPES', 'TRAINED_PAIRS',
    'WORLD_VERSION', 'Pair', 'build_world', 'derive_benchmark_seed', 'describe_benchmark', 'describe_phrase_benchmark',
    'plan_phrase_video', 'plan_video', 'score_looks', 'score_oracles', 'score_window',
]  # fmt: skip
