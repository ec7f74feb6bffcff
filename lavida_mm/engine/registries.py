"""Children of mmengine's other root registries, so that scope ``lavida_mm`` is known to each of them.

mmengine builds loops, schedulers and the like under the config's default scope, and warns once for each registry in
which it does not find that scope.
"""

from mmengine.registry import Registry, root

from lavida_mm.registry import SCOPE

__all__ = [
    'EVALUATORS',
    'FUNCTIONS',
    'LOG_PROCESSORS',
    'LOOPS',
    'MODEL_WRAPPERS',
    'OPTIMIZERS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'PARAM_SCHEDULERS',
    'RUNNERS',
    'VISBACKENDS',
    'WEIGHT_INITIALIZERS',
]

LOCATIONS = ['lavida_mm.engine']

EVALUATORS = Registry('evaluator', parent=root.EVALUATOR, scope=SCOPE, locations=LOCATIONS)
FUNCTIONS = Registry('function', parent=root.FUNCTIONS, scope=SCOPE, locations=LOCATIONS)
LOG_PROCESSORS = Registry('log processor', parent=root.LOG_PROCESSORS, scope=SCOPE, locations=LOCATIONS)
LOOPS = Registry('loop', parent=root.LOOPS, scope=SCOPE, locations=LOCATIONS)
MODEL_WRAPPERS = Registry('model wrapper', parent=root.MODEL_WRAPPERS, scope=SCOPE, locations=LOCATIONS)
OPTIMIZERS = Registry('optimizer', parent=root.OPTIMIZERS, scope=SCOPE, locations=LOCATIONS)
OPTIM_WRAPPERS = Registry('optim wrapper', parent=root.OPTIM_WRAPPERS, scope=SCOPE, locations=LOCATIONS)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optim wrapper constructor', parent=root.OPTIM_WRAPPER_CONSTRUCTORS, scope=SCOPE, locations=LOCATIONS
)
PARAM_SCHEDULERS = Registry('parameter scheduler', parent=root.PARAM_SCHEDULERS, scope=SCOPE, locations=LOCATIONS)
RUNNERS = Registry('runner', parent=root.RUNNERS, scope=SCOPE, locations=LOCATIONS)
VISBACKENDS = Registry('vis backend', parent=root.VISBACKENDS, scope=SCOPE, locations=LOCATIONS)
WEIGHT_INITIALIZERS = Registry('weight initializer', parent=root.WEIGHT_INITIALIZERS, scope=SCOPE, locations=LOCATIONS)
