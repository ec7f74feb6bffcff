# The MLLM goes on learning with the rest, by LoRA.
_base_ = '../lavida_tiny_behaviour.py'

model = dict(mllm=dict(lora=dict(_delete_=True, r=8, alpha=16, dropout=0.05, targets=('q_proj', 'v_proj'))))
