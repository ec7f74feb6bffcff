# A few minutes of the tiny model's training, to see it learn: the validation figures rise from chance (0.5).
_base_ = './lavida_tiny.py'

# Without the shortcut from words to scores, which the pretraining stand-in brings along, the mask decoder has to learn
# what the prompt means: that is what the curve shows.
model = dict(mask_head=dict(similarity_skip=False))

max_iters = 300

train_cfg = dict(max_iters=max_iters, val_interval=75)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=max_iters, eta_min_ratio=0.01),
]
