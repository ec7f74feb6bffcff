# The smaller Qwen2-VL in place of the 7B one; all else as there.
_base_ = './lavida_7b.py'

model = dict(
    mllm=dict(pretrained='Qwen/Qwen2-VL-2B-Instruct'),
    projector=dict(seg_channels=1536),  # the hidden size of the 2B model
)
