# Of three that differ in the projector alone: learned queries that read <SEG> and the frame. What projector_multi_scale
# has beyond this one is the category text.
_base_ = './projector_multi_scale.py'

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
        cross_downsample=2,
    )
)
