# Three clips in four hold what the prompt names, instead of every second one.
_base_ = '../lavida_tiny.py'

train_dataloader = dict(dataset=dict(shared_steps=dict(sampler=dict(anomaly_ratio=0.75))))
