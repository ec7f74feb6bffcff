# LAVIDA of the paper: model, schedule, loss weights, 8 frames and prompts of up to 30 words.
# The data are the sources at hand, the synthetic world's: put your own in their place, in the same formats.
_base_ = [
    './_base_/models/lavida_qwen2vl_sam.py',
    './_base_/datasets/synthetic_world.py',
    './_base_/schedules/lavida_paper.py',
    './_base_/default_runtime.py',
]
num_frames = 8

clip_loading = [
    dict(type='SampleClip', num_frames=num_frames, intervals=(1, 2)),
    dict(type='LoadClipFrames', backend='pyav'),
    dict(type='LoadClipObjects'),
]
clips = dict(pipeline=clip_loading)

train_dataloader = dict(
    batch_size=2,  # per GPU
    num_workers=4,
    dataset=dict(
        sources=dict(clips=clips, clips_phrases=clips, mp4_clips=clips),
        anomaly_sampler=dict(max_categories=30, num_targets=(1, 2)),
    ),
)
val_dataloader = dict(dataset=dict(window=num_frames))
test_dataloader = dict(dataset=dict(window=num_frames))
