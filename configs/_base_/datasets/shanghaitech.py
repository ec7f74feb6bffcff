# ShanghaiTech Campus, test set: 107 videos, labels per frame and masks. See docs/benchmarks/shanghaitech.md.
data_root = 'data/shanghaitech/'
# The paper's words, for every video the same.
anomaly_words = [
    'bicycle', 'fight', 'throw', 'pick', 'hand truck', 'run', 'skate', 'falling', 'jumping', 'motorcycle', 'tricycle',
    'cart', 'waving stick', 'hurdle', 'vehicle', 'play', 'baby carriage', 'truck'
]  # fmt: skip

test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VideoAnomalyDataset',
        benchmark=dict(type='ShanghaiTech', root=data_root),
        window=8,
        frame_interval=2,  # the paper's
        prompt_words=anomaly_words,
        reader=dict(backend='pyav'),
        pipeline=[dict(type='PackVADInputs')],
    ),
    collate_fn=dict(type='pseudo_collate'),
)
test_evaluator = dict(type='VADMetric', pixel=True, protocol='default')
