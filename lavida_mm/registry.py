"""Registries of lavida_mm: a child of each of mmengine's root registries.

Each names the package in which its modules live, so that building a component by its config imports that package and
no other. Those that hold nothing of ours stand here too: mmengine builds loops, schedulers and the like under the
config's default scope, and warns for each registry in which it does not find that scope.
"""

from mmengine.registry import Registry, root

__all__ = [
    'DATASETS',
    'DATA_SAMPLERS',
    'EVALUATORS',
    'FUNCTIONS',
    'HOOKS',
    'LOG_PROCESSORS',
    'LOOPS',
    'METRICS',
    'MLLM_FAMILIES',
    'MODELS',
    'MODEL_WRAPPERS',
    'OPTIMIZERS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'PARAM_SCHEDULERS',
    'RUNNERS',
    'TRANSFORMS',
    'VISBACKENDS',
    'VISUALIZERS',
    'WEIGHT_INITIALIZERS',
]

SCOPE = 'lavida_mm'


def _child(parent: Registry, room: str) -> Registry:
    return Registry(parent.name, parent=parent, scope=SCOPE, locations=[f'{SCOPE}.{room}'])


DATASETS = _child(root.DATASETS, 'datasets')
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _child(root.TRANSFORMS, 'datasets')
MODELS = _child(root.MODELS, 'models')
METRICS = _child(root.METRICS, 'evaluation')
MLLM_FAMILIES = Registry('mllm_family', scope=SCOPE, locations=[f'{SCOPE}.models'])  # by model_type of transformers
VISUALIZERS = _child(root.VISUALIZERS, 'visualization')
HOOKS = _child(root.HOOKS, 'engine')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'engine')

EVALUATORS = _child(root.EVALUATOR, 'evaluation')
FUNCTIONS = _child(root.FUNCTIONS, 'datasets')
LOG_PROCESSORS = _child(root.LOG_PROCESSORS, 'engine')
LOOPS = _child(root.LOOPS, 'engine')
MODEL_WRAPPERS = _child(root.MODEL_WRAPPERS, 'engine')
OPTIMIZERS = _child(root.OPTIMIZERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine')
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS, 'engine')
RUNNERS = _child(root.RUNNERS, 'engine')
VISBACKENDS = _child(root.VISBACKENDS, 'engine')
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, 'models')
