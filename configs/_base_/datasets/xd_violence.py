# XD-Violence, test set: 800 videos, labels per frame. See docs/benchmarks/xd_violence.md.
data_root = 'data/xd_violence/'
# The paper's words, for every video the same.
anomaly_words = ['fighting', 'shooting', 'riot', 'abuse', 'car accident', 'explosion']

test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VideoAnomalyDataset',
        benchmark=dict(type='XDViolence', root=data_root),
        window=8,
        frame_interval=128,  # the paper's: 5 s at 24 fps; at 1 the 7B model would read 2.3 million frames
        prompt_words=anomaly_words,
        reader=dict(backend='pyav'),
        pipeline=[dict(type='PackVADInputs')],
    ),
    collate_fn=dict(type='pseudo_collate'),
)
test_evaluator = dict(type='VADMetric', pixel=False, protocol='default')  # it has no masks
