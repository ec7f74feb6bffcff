# The synthetic world (tools/dataset_tools/make_synthetic_world.py): images, clips and referring phrases to train on,
# other videos to validate on, and a benchmark whose anomalies no training prompt has named.
data_root = 'data/synthetic_world/'
num_frames = 4  # T of a clip, in training and at test

image_loading = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=False, with_label=False, with_mask=True),
    dict(type='LoadImageObjects'),
]
clip_loading = [
    dict(type='SampleClip', num_frames=num_frames, intervals=(1, 2)),
    dict(type='LoadClipFrames', backend='pyav'),
    dict(type='LoadClipObjects'),
]
anomaly_sampler = dict(  # follows the loading of every source; a source may change it by an anomaly_sampler of its own
    type='PseudoAnomalySampler', anomaly_ratio=0.5, max_categories=6, num_targets=(1, 1), num_templates=6
)

# A leaf config adds or changes a source by its name, and drops one by giving it share 0.
sources = dict(
    images=dict(
        type='CocoInstancesSource',
        name='images',
        data_root=data_root + 'images',
        ann_file='instances.json',
        image_folder='images',
        pipeline=image_loading,
    ),
    clips=dict(
        type='CocoVidSource',
        name='clips',
        data_root=data_root + 'clips',
        ann_file='clips.json',
        pipeline=clip_loading,
    ),
    clips_phrases=dict(
        type='CocoVidSource',
        name='clips_phrases',
        data_root=data_root + 'clips',
        ann_file='clips.json',
        words='phrase',
        expressions='meta_expressions.json',
        pipeline=clip_loading,
    ),
    mp4_clips=dict(
        type='CocoVidSource',
        name='mp4_clips',
        data_root=data_root + 'mp4_clips',
        ann_file='clips.json',
        pipeline=clip_loading,
    ),
)
shares = dict(images=0.4, clips=0.35, clips_phrases=0.1, mp4_clips=0.15)

train_dataloader = dict(
    batch_size=12,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='WeightedSourceSampler'),
    dataset=dict(
        type='SourceMixture',
        sources=sources,
        shares=shares,
        anomaly_sampler=anomaly_sampler,
        pack=dict(type='PackVADInputs'),
    ),
    collate_fn=dict(type='pseudo_collate'),
)

val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VideoAnomalyDataset',
        benchmark=dict(type='ManifestBenchmark', root=data_root + 'val', ann_file='manifest.json'),
        window=num_frames,
        frame_interval=1,
        prompt_words='own',
        pipeline=[dict(type='PackVADInputs')],
    ),
    collate_fn=dict(type='pseudo_collate'),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VideoAnomalyDataset',
        benchmark=dict(type='ManifestBenchmark', root=data_root + 'benchmark', ann_file='manifest.json'),
        window=num_frames,
        frame_interval=1,
        prompt_words='own',
        pipeline=[dict(type='PackVADInputs')],
    ),
    collate_fn=dict(type='pseudo_collate'),
)
val_evaluator = dict(type='VADMetric')
test_evaluator = dict(type='VADMetric')
