# The tiny LAVIDA with a SAM 2 of 0.7 M parameters, which the same stand-in has taught words.
_base_ = ['./lavida_tiny.py', './_base_/models/tiny_sam2.py']

pixel_text = 'checkpoints/tiny/pixel_text_sam2.safetensors'  # written by configs/pretrain/tiny_sam2_text.py

model = dict(
    text_encoder=dict(init_cfg=dict(checkpoint=pixel_text)),
    projector=dict(similarity=dict(init_cfg=dict(checkpoint=pixel_text))),
    mask_head=dict(
        segmenter=dict(
            _delete_=True,
            freeze_image_encoder=True,
            init_cfg=dict(type='Pretrained', checkpoint=pixel_text, prefix='segmenter.'),
            **_base_.sam2,
        )
    ),
)
