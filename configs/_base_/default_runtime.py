# What every run shares: hooks, processes, logs.
default_scope = 'lavida_mm'

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, log_metric_by_epoch=False),  # prints the time left as well
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='AtomicCheckpointHook',  # a run that is killed while it writes goes on with --resume
        by_epoch=False,
        interval=500,
        max_keep_ckpts=3,
        backend_args=dict(backend='atomic_local'),
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    skip_data=dict(type='SkipTrainedDataHook'),  # with --resume nothing is loaded that was trained already
    # A table of what is trained, and a warning of what gets no gradient; iterations=0 and table=False switch them off.
    trainable_parameters=dict(type='TrainableParametersHook', iterations=10, action='warn', table=True),
)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),  # without a GPU the tools take gloo
)
# A batch of plain images or of silent clips leaves some weights without a gradient.
find_unused_parameters = True

vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends, name='visualizer')

log_processor = dict(window_size=20, by_epoch=False)
log_level = 'INFO'

load_from = None
resume = False
