# Only normal footage, no annotated video: objects of annotated images are pasted into it. docs/only_normal_footage.md
_base_ = '../lavida_tiny.py'

# Without the shortcut that the pretraining stand-in brings along: what the model finds, it has learnt from here.
model = dict(mask_head=dict(similarity_skip=False))

world = 'data/synthetic_world/'

normal = dict(
    type='PlainVideoSource',
    data_root=world + 'normal',
    pipeline=[
        dict(type='SampleClip', num_frames=4, intervals=(1, 2)),
        dict(type='LoadClipFrames', backend='pyav'),
        dict(type='LoadForegroundMasks'),
    ],
)
paste = dict(
    _delete_=True,
    type='PasteAnomalySampler',
    objects=dict(
        type='CocoInstancesSource',
        name='objects',
        data_root=world + 'images',
        ann_file='instances.json',
        pipeline=[
            dict(type='mmdet.LoadImageFromFile'),
            dict(type='mmdet.LoadAnnotations', with_bbox=False, with_label=False, with_mask=True),
            dict(type='LoadImageObjects'),
        ],
    ),
    anomaly_ratio=0.5,
    decoy_ratio=0.5,
    max_categories=6,
    num_templates=6,
    scale=(0.2, 0.4),
    speed=(0.0, 0.04),
)
train_dataloader = dict(
    dataset=dict(
        sources=dict(normal=normal),
        shares=dict(normal=1.0, images=0, clips=0, clips_phrases=0, mp4_clips=0),  # a share of 0: not even opened
        anomaly_sampler=paste,
    )
)
