# The paper's schedule: 8 epochs of 2000 micro-steps, two of which make one optimizer step.
max_iters = 8 * 2000
accumulative_counts = 2
warmup = 100 * accumulative_counts  # 100 optimizer steps, counted in micro-steps as the schedulers do

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='BF16OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-5, weight_decay=0.01),
    accumulative_counts=accumulative_counts,
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=warmup),
    dict(type='LinearLR', start_factor=1.0, end_factor=0.0, by_epoch=False, begin=warmup, end=max_iters),
]
randomness = dict(seed=44)
