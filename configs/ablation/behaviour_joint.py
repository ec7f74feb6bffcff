# One question for all words, as in the paper. The pretraining has not taught that, so the MLLM goes on learning.
_base_ = './behaviour_lora.py'

model = dict(mllm=dict(answer='joint'), mask_head=dict(answer_skip=False, frame_score='object'))
