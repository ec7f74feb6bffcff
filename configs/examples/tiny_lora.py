# LoRA and the rows of <SEG> beside a frozen MLLM, as the 7B model is trained.
_base_ = '../lavida_tiny.py'

model = dict(mllm=dict(freeze_vision=True, freeze_language=True, train_embeddings='seg'))
