# The 7B model with the paper's segmenter, SAM 2.1 small, in place of SAM ViT-B.
_base_ = './lavida_7b.py'

model = dict(
    mask_head=dict(
        segmenter=dict(
            _delete_=True,
            type='SAM2',
            pretrained='facebook/sam2.1-hiera-small',
            image_size=1024,
            resize='squash',
            memory=0,  # as the authors' code, which decodes every frame alone; up to 7 earlier frames
            freeze_image_encoder=True,
        )
    )
)
