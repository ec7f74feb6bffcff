# As tiny_segmenter_text.py, for the tiny SAM 2.
_base_ = ['./tiny_segmenter_text.py', '../_base_/models/tiny_sam2.py']

model = dict(segmenter=dict(_delete_=True, freeze_image_encoder=False, **_base_.sam2))

# Shapes come later than to the convolutions of tiny_segmenter_text.py.
max_iters = 4000
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=max_iters, eta_min_ratio=0.01),
]
