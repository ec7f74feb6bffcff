# Each frame of a clip attends to what SAM 2 remembers of the three before it.
_base_ = '../lavida_tiny_sam2.py'

model = dict(mask_head=dict(segmenter=dict(memory=3)))
