# UCF-Crime, test set: 290 videos, labels per frame. See docs/benchmarks/ucf_crime.md.
data_root = 'data/ucf_crime/'
# The paper's words, for every video the same.
anomaly_words = [
    'abuse', 'arrest', 'arson', 'assault', 'burglary', 'explosion', 'fighting', 'road accidents', 'robbery',
    'shooting', 'shoplifting', 'stealing', 'vandalism'
]  # fmt: skip

test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VideoAnomalyDataset',
        benchmark=dict(type='UCFCrime', root=data_root),
        window=8,
        frame_interval=128,  # the paper's: 4 s at 30 fps; at 1 the 7B model would read 1.1 million frames
        prompt_words=anomaly_words,
        reader=dict(backend='pyav'),
        pipeline=[dict(type='PackVADInputs')],
    ),
    collate_fn=dict(type='pseudo_collate'),
)
test_evaluator = dict(type='VADMetric', pixel=False, protocol='default')  # it has no masks
