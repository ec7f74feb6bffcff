_base_ = '../lavida_tiny_behaviour.py'

model = dict(compressor=dict(keep_ratio=0.1))
