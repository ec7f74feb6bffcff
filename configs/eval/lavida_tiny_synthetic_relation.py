# The tiny LAVIDA on the synthetic world's split about where objects are to each other. docs/synthetic_world.md
_base_ = [
    '../_base_/models/lavida_tiny.py',
    '../_base_/datasets/own_videos.py',
    '../_base_/schedules/test_only.py',
    '../_base_/default_runtime.py',
]

test_dataloader = dict(
    dataset=dict(
        benchmark=dict(root='data/synthetic_world/relation'),
        window=4,
        frame_interval=1,  # as it was trained
    )
)
test_evaluator = dict(pixel=True)
