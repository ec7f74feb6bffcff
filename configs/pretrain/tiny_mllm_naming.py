# The first stage of the pretraining stand-in of a tiny MLLM: each visual token that shows an object names its colour,
# its shape and how it moves. The clips and the random model are written on request:
#     python tools/dataset_tools/make_synthetic_world.py --parts behaviour_clips
#     python tools/model_tools/make_tiny_models.py --wide
_base_ = '../_base_/default_runtime.py'

world = 'data/synthetic_world/'

colours = ['red', 'orange', 'yellow', 'green', 'cyan', 'blue', 'magenta', 'white']
shapes = ['square', 'triangle', 'star', 'ring', 'cross']

model = dict(
    type='MLLMPretrainer',
    mllm=dict(
        type='MLLMBackbone',
        pretrained='checkpoints/tiny/mllm_wide',
        answer='each',
        lora=None,
        freeze_vision=False,
        freeze_language=False,
        train_embeddings='all',
        frame_pixels=(36, 36),  # in merged patches of 16 x 16 pixels
    ),
    lm_weight=0.0,
    naming_weight=1.0,
    word_groups=dict(
        colour=colours,
        shape=shapes,
        motion=['left', 'right', 'up', 'down', 'still', 'stops', 'swinging'],
        crowd=['against', 'leads', 'last'],
    ),
)

image_loading = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_mask=True),
    dict(type='LoadImageObjects'),
]
phrase_clip_loading = [
    dict(type='SampleClip', num_frames=4, intervals=(1,)),
    dict(type='LoadClipFrames', backend='pyav'),
    dict(type='LoadClipObjects'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='WeightedSourceSampler'),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='SourceMixture',
        sources=dict(
            behaviour_clips=dict(
                type='CocoVidSource',
                data_root=world + 'behaviour_clips',
                ann_file='clips.json',
                words='phrase',
                expressions='meta_expressions.json',
                pipeline=phrase_clip_loading,
            ),
            stage0=dict(  # most have a colour without a name: shapes are learnt apart from colours
                type='CocoInstancesSource',
                data_root=world + 'stage0',
                ann_file='instances.json',
                image_folder='images',
                pipeline=image_loading,
            ),
            looks=dict(  # the same clips by colour and shape
                type='CocoVidSource',
                data_root=world + 'behaviour_clips',
                ann_file='clips.json',
                pipeline=phrase_clip_loading,
            ),
        ),
        shares=dict(behaviour_clips=0.7, stage0=0.3, looks=0.0),
        pack=dict(type='AskAboutObjects', num_words=1, num_questions=0, looks=dict(colour=colours, shape=shapes)),
    ),
)

max_iters = 1000
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1.5e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=max_iters, eta_min_ratio=0.01),
]
