# The tiny LAVIDA, trained on pseudo-anomalies of the synthetic world (tools/dataset_tools/make_synthetic_world.py).
_base_ = [
    './_base_/models/lavida_tiny.py',
    './_base_/datasets/synthetic_world.py',
    './_base_/schedules/tiny.py',
    './_base_/default_runtime.py',
]
