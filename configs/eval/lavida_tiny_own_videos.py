# The tiny LAVIDA on your own videos: shows that a manifest and its figures work.
_base_ = [
    '../_base_/models/lavida_tiny.py',
    '../_base_/datasets/own_videos.py',
    '../_base_/schedules/test_only.py',
    '../_base_/default_runtime.py',
]

test_dataloader = dict(dataset=dict(window=4, frame_interval=1))  # as it was trained
