# Of three that differ in the projector alone: <SEG> through an MLP. What the words say reaches the decoder by the MLLM
# or not at all.
_base_ = './projector_multi_scale.py'

model = dict(projector=dict(_delete_=True, type='MLPProjector', seg_channels=96, visual_channels=64, hidden=64))
