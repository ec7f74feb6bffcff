# The MLLM's own token embeddings as text features: no second model. The similarity map starts from nothing, since the
# pretraining stand-in has learnt it for the other text encoder's features.
_base_ = '../lavida_tiny.py'

model = dict(
    text_encoder=dict(_delete_=True, type='MLLMTextEncoder'),
    projector=dict(text_channels=96, similarity=dict(text_channels=96, init_cfg=None)),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'projector.similarity': dict(lr_mult=1.0)}))
