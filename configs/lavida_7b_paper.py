# The 7B model on the eleven training sources of the paper (docs/sources_video.md, docs/sources_images.md).
# tools/dataset_tools/check_sources.py configs/lavida_7b_paper.py says which of them are there.
_base_ = [
    './_base_/models/lavida_qwen2vl_sam.py',
    './_base_/datasets/paper_mixture.py',
    './_base_/datasets/ubnormal.py',
    './_base_/schedules/lavida_paper.py',
    './_base_/default_runtime.py',
]
# No validation while it trains: UBnormal is the test, and its labels choose nothing.
val_cfg = None
