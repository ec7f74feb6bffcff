"""The synthetic world: coloured shapes that move, written in the formats of real data sets.

``vocabulary`` says which words there are, ``scene`` and ``storyboard`` draw what happens, ``shapes`` renders it,
``parts`` and ``world`` write the files, and ``oracles`` measures what shortcuts would reach.
"""

from lavida_mm.datasets.synthetic.oracles import score_oracles
from lavida_mm.datasets.synthetic.parts import PARTS, describe_benchmark, plan_video
from lavida_mm.datasets.synthetic.vocabulary import COLOURS, HELD_OUT_PAIRS, SHAPES, TRAINED_PAIRS, Pair
from lavida_mm.datasets.synthetic.world import WORLD_VERSION, build_world, derive_benchmark_seed

__all__ = [
    'COLOURS', 'HELD_OUT_PAIRS', 'PARTS', 'SHAPES', 'TRAINED_PAIRS', 'WORLD_VERSION', 'Pair', 'build_world',
    'derive_benchmark_seed', 'describe_benchmark', 'plan_video', 'score_oracles',
]  # fmt: skip
