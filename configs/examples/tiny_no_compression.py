# Every visual token reaches the language model.
_base_ = '../lavida_tiny.py'

model = dict(compressor=None)
