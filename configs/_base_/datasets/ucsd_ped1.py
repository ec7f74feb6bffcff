# UCSD Ped1, test set: 36 clips, labels per frame, masks for 10 of them. See docs/benchmarks/ucsd_ped1.md.
data_root = 'data/ucsd_ped1/'
# The paper's words, for every video the same.
anomaly_words = ['car', 'cart', 'wheelchair', 'skate', 'bicycle']

test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VideoAnomalyDataset',
        benchmark=dict(type='UCSDPed1', root=data_root),
        window=8,
        frame_interval=1,  # the paper's for Ped2: clips are short and slow (10 fps)
        prompt_words=anomaly_words,
        reader=dict(backend='pyav'),
        pipeline=[dict(type='PackVADInputs')],
    ),
    collate_fn=dict(type='pseudo_collate'),
)
test_evaluator = dict(type='VADMetric', pixel=True, protocol='default')  # pixels of those 10
