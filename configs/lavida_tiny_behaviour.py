# The tiny LAVIDA whose MLLM answers word by word, for words that no single frame answers. Its MLLM is what
# tools/model_tools/export_hf.py made of the pretraining stand-in, configs/pretrain/tiny_mllm.py.
_base_ = [
    './_base_/models/lavida_tiny.py',
    './_base_/datasets/synthetic_behaviour.py',
    './_base_/schedules/tiny.py',
    './_base_/default_runtime.py',
]

model = dict(
    mllm=dict(
        pretrained='checkpoints/tiny/mllm_behaviour',
        answer='each',
        lora=None,  # with LoRA, training on the words that it is asked there costs the ones that it is not
        freeze_vision=True,
        freeze_language=True,
        train_embeddings='none',
        frame_pixels=(36, 36),  # in merged patches of 16 x 16 pixels
    ),
    compressor=dict(keep_ratio=1.0),
    projector=dict(seg_channels=128),
    mask_head=dict(answer_skip=True, frame_score='words'),
    lm_loss_weight=0.0,  # the pretraining has not taught the fixed answer, whose gradient would drown the others
)

max_iters = 600
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=max_iters, eta_min_ratio=0.01),
]
