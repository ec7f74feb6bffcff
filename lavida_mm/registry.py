"""Registries of lavida_mm: children of mmengine's root registries.

Each names the package in which its modules live, so that building a component by its config imports that
package and no other.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry

__all__ = ['DATASETS', 'DATA_SAMPLERS', 'HOOKS', 'METRICS', 'MODELS', 'TRANSFORMS', 'VISUALIZERS']

SCOPE = 'lavida_mm'

DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope=SCOPE, locations=['lavida_mm.datasets'])
DATA_SAMPLERS = Registry('data sampler', parent=MMENGINE_DATA_SAMPLERS, scope=SCOPE, locations=['lavida_mm.datasets'])
TRANSFORMS = Registry('transform', parent=MMENGINE_TRANSFORMS, scope=SCOPE, locations=['lavida_mm.datasets'])
MODELS = Registry('model', parent=MMENGINE_MODELS, scope=SCOPE, locations=['lavida_mm.models'])
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope=SCOPE, locations=['lavida_mm.evaluation'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope=SCOPE, locations=['lavida_mm.engine'])
VISUALIZERS = Registry('visualizer', parent=MMENGINE_VISUALIZERS, scope=SCOPE, locations=['lavida_mm.visualization'])
