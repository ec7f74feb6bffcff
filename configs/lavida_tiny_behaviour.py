# The tiny LAVIDA whose MLLM answers word by word, for words that no single frame answers. Its MLLM is what
# tools/model_tools/export_hf.py makes of the pretraining stand-in, configs/pretrain/tiny_mllm.py.
_base_ = [
    './_base_/models/lavida_tiny.py',
    './_base_/datasets/synthetic_behaviour.py',
    './_base_/schedules/tiny.py',
    './_base_/default_runtime.py',
]

model = dict(
    mllm=dict(
        pretrained='work_dirs/tiny_mllm/exported',
        answer='each',
        freeze_vision=True,
        freeze_language=True,
        train_embeddings='none',
        frame_pixels=(36, 36),  # in merged patches of 16 x 16 pixels
    ),
    compressor=dict(keep_ratio=1.0),
    projector=dict(seg_channels=128),
    mask_head=dict(answer_skip=True, frame_score='words'),
    lm_loss_weight=0.0,  # the pretraining has not taught the fixed answer, whose gradient would drown the others
)
