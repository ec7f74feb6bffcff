# CUHK Avenue, test set: 21 videos, labels per frame and masks. See docs/benchmarks/avenue.md.
data_root = 'data/avenue/'
# Ours, from what the benchmark calls anomalous; the paper does not use Avenue.
anomaly_words = [
    'running', 'throwing', 'jumping', 'dancing', 'loitering', 'walking in the wrong direction', 'pushing a bicycle'
]  # fmt: skip

test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VideoAnomalyDataset',
        benchmark=dict(type='CUHKAvenue', root=data_root),
        window=8,
        frame_interval=2,  # as ShanghaiTech's, a camera of the same height and speed (25 fps)
        prompt_words=anomaly_words,
        reader=dict(backend='pyav'),
        pipeline=[dict(type='PackVADInputs')],
    ),
    collate_fn=dict(type='pseudo_collate'),
)
test_evaluator = dict(type='VADMetric', pixel=True, protocol='default')
