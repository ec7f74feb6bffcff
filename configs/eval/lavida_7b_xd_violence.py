# The full-size LAVIDA on XD-Violence; for tools/test.py, no training data are needed.
_base_ = [
    '../_base_/models/lavida_qwen2vl_sam.py',
    '../_base_/datasets/xd_violence.py',
    '../_base_/schedules/test_only.py',
    '../_base_/default_runtime.py',
]
