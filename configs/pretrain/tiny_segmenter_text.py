# A stand-in for the pretraining of CLIP and SAM, whose released weights the tiny model cannot use: pixels learn the
# words of the objects they show. It never sees or names a held-out pair; three objects in four have a colour
# without a name and are known by their shape alone, so that shapes are learnt apart from colours.
_base_ = '../_base_/default_runtime.py'

colours = ['red', 'orange', 'yellow', 'green', 'cyan', 'blue', 'magenta', 'white']
shapes = ['square', 'triangle', 'star', 'ring', 'cross']
held_out = [
    'red square', 'cyan square', 'green triangle', 'orange triangle', 'blue star', 'yellow star',
    'magenta ring', 'red ring', 'white cross', 'green cross',
]  # fmt: skip
names = []
for colour in colours:
    for shape in shapes:
        if f'{colour} {shape}' not in held_out:
            names.append(f'{colour} {shape}')

model = dict(
    type='PixelTextPretrainer',
    segmenter=dict(
        type='SAM',
        image_encoder=dict(type='ConvImageEncoder', widths=(16, 48, 96), depths=(1, 1, 2), out_channels=64),
        image_size=96,
        prompt_dim=64,
        transformer_depth=1,
        transformer_heads=4,
        transformer_mlp=256,
        iou_hidden=64,
        freeze_image_encoder=False,
    ),
    text_encoder=dict(type='CLIPTextEncoder', pretrained='checkpoints/tiny/clip_text', freeze=False),
    similarity=dict(type='PixelTextSimilarity', visual_channels=64, text_channels=64, embed_channels=64),
    word_groups=dict(colour=colours, shape=shapes, name=names),
)

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='CocoInstancesSource',
        data_root='data/synthetic_world/stage0',
        ann_file='instances.json',
        name='stage0',
        pipeline=[
            dict(type='mmdet.LoadImageFromFile'),
            dict(type='mmdet.LoadAnnotations', with_mask=True),
            dict(type='LoadImageObjects'),
            dict(type='PackRegionWords'),
        ],
    ),
)

max_iters = 1500
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=max_iters, eta_min_ratio=0.01),
]
