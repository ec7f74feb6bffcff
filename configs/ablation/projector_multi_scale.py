# Of three that differ in the projector alone: that of the paper, which reads <SEG>, the words' text and the frame.
# The similarity map of the tiny model, ours, is off: it leads words to pixels past the projector, and with it even a
# projector that cannot read words finds what they name. A compared figure would be the map's.
#   python tools/analysis_tools/train_ablation.py configs/ablation/projector_{mlp,qformer,multi_scale}.py
_base_ = '../lavida_tiny.py'

model = dict(projector=dict(similarity=None), mask_head=dict(similarity_skip=False))
