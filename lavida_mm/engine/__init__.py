"""What mmengine lacks: whole checkpoints, safe loading, and a launch without GPUs.

Importing this package registers the storage backend ``atomic_local``, the safetensors loader, the hooks and the
bfloat16 optimizer wrapper, and puts on torch's allow-list the classes that mmengine's own checkpoints hold.
"""

from lavida_mm.engine.atomic_checkpoint_hook import AtomicCheckpointHook
from lavida_mm.engine.atomic_local_backend import AtomicLocalBackend
from lavida_mm.engine.bf16_optim_wrapper import BF16OptimWrapper
from lavida_mm.engine.checkpoint_io import (
    check_checkpoint,
    check_initial_weights,
    check_training_state,
    load_from_safetensors,
    read_checkpoint_shapes,
)
from lavida_mm.engine.paramwise import check_custom_keys
from lavida_mm.engine.resume import find_last_checkpoint
from lavida_mm.engine.skip_trained_data_hook import SkipTrainedDataHook
from lavida_mm.engine.trainable_parameters_hook import TrainableParametersHook

__all__ = [
    'AtomicCheckpointHook',
    'AtomicLocalBackend',
    'BF16OptimWrapper',
    'SkipTrainedDataHook',
    'TrainableParametersHook',
    'check_checkpoint',
    'check_custom_keys',
    'check_initial_weights',
    'check_training_state',
    'find_last_checkpoint',
    'load_from_safetensors',
    'read_checkpoint_shapes',
]
