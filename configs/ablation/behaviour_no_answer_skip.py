# The answers reach the score through the projector alone.
_base_ = '../lavida_tiny_behaviour.py'

model = dict(mask_head=dict(answer_skip=False, frame_score='object'))
