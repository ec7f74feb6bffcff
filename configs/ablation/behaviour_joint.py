# One question for all words, as in the paper.
_base_ = '../lavida_tiny_behaviour.py'

model = dict(mllm=dict(answer='joint'), mask_head=dict(answer_skip=False, frame_score='object'))
