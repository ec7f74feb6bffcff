# Three clips in four hold what the prompt names, instead of every second one.
_base_ = '../lavida_tiny.py'

train_dataloader = dict(dataset=dict(anomaly_sampler=dict(anomaly_ratio=0.75)))
