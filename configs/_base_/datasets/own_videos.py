# Your own videos, listed in data/own_videos/manifest.json. See docs/benchmarks/manifest.md.
data_root = 'data/own_videos/'

test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VideoAnomalyDataset',
        benchmark=dict(type='ManifestBenchmark', root=data_root),
        window=8,
        frame_interval=4,  # about 6 frames a second of a camera at 25 fps; 1 for short or slow videos
        prompt_words='own',  # each video names its words in the manifest
        reader=dict(backend='pyav'),
        pipeline=[dict(type='PackVADInputs')],
    ),
    collate_fn=dict(type='pseudo_collate'),
)
test_evaluator = dict(type='VADMetric', pixel=False, protocol='default')  # True where the manifest has masks
