# UBnormal, test set: 211 rendered videos, labels per frame and masks. See docs/benchmarks/ubnormal.md.
data_root = 'data/ubnormal/'
# The paper's words, for every video the same.
anomaly_words = [
    'running', 'jumping', 'falling', 'fighting', 'sleeping', 'crawling', 'having a seizure', 'laying down', 'dancing',
    'stealing', 'rotating 360 degrees', 'shuffling', 'injured', 'drunk', 'stumbling walk', 'car accident', 'fire',
    'smoke', 'jaywalking', 'driving outside lane'
]  # fmt: skip

test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VideoAnomalyDataset',
        benchmark=dict(type='UBnormal', root=data_root),
        window=8,
        frame_interval=4,  # the paper's
        prompt_words=anomaly_words,
        reader=dict(backend='pyav'),
        pipeline=[dict(type='PackVADInputs')],
    ),
    collate_fn=dict(type='pseudo_collate'),
)
test_evaluator = dict(type='VADMetric', pixel=True, protocol='default')
