# A stand-in for the pretraining of a multimodal LLM, whose released weights the tiny model cannot use: it says of each
# word of a prompt where it is true of a clip. No prompt names a held-out combination. It goes on from the first stage:
#     python tools/train.py configs/pretrain/tiny_mllm_naming.py --work-dir work_dirs/tiny_mllm_naming
_base_ = './tiny_mllm_naming.py'

load_from = 'work_dirs/tiny_mllm_naming/iter_1000.pth'

model = dict(answer_weight=1.0, naming_weight=0.3)
train_dataloader = dict(
    dataset=dict(
        shares=dict(behaviour_clips=0.75, stage0=0.15, looks=0.1),
        pack=dict(num_words=8, candidates=400),  # most of 542 phrases: what is false is as near as it can be
    )
)

max_iters = 7500
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1.2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=max_iters, eta_min_ratio=0.01),
]
