# The <SEG> state alone becomes the prompt, through an MLP: no category text, no visual features, no similarity map.
_base_ = '../lavida_tiny.py'

model = dict(
    projector=dict(_delete_=True, type='MLPProjector', seg_channels=96, visual_channels=64, hidden=64),
    mask_head=dict(similarity_skip=False),
)
