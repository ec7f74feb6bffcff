# Learned queries read the <SEG> state and the frame; no category text and no similarity map.
_base_ = '../lavida_tiny.py'

model = dict(
    projector=dict(
        _delete_=True,
        type='QFormerProjector',
        seg_channels=96,
        visual_channels=64,
        hidden=64,
        num_queries=4,
        depth=1,
        num_heads=4,
        mlp_channels=128,
    ),
    mask_head=dict(similarity_skip=False),
)
