# Another MLLM architecture by one line. Build its folder first:
# python tools/model_tools/make_tiny_models.py --family qwen2_5_vl
_base_ = '../lavida_tiny.py'

model = dict(mllm=dict(pretrained='checkpoints/tiny/mllm_qwen2_5'))
