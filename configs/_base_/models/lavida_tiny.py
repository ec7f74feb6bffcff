# LAVIDA with every part of the full-size model, at 96 x 96 pixels: trains and detects on two CPU cores.
# The parts in checkpoints/tiny play the role of released weights; see docs/model_card_lavida_tiny.md.
pixel_text = 'checkpoints/tiny/pixel_text.safetensors'  # written by configs/pretrain/tiny_segmenter_text.py

model = dict(
    type='LAVIDA',
    data_preprocessor=dict(type='VADDataPreprocessor'),
    mllm=dict(
        type='MLLMBackbone',
        pretrained='checkpoints/tiny/mllm',
        lora=dict(r=8, alpha=16, dropout=0.05, targets=('q_proj', 'v_proj')),
        freeze_vision=False,  # nothing pretrained it, so nothing is lost by training it
        freeze_language=False,
        train_embeddings='all',
        frame_pixels=(16, 16),  # in merged patches of 24 x 24 pixels: a frame of 96 x 96
    ),
    compressor=dict(type='ReverseAttnCompressor', keep_ratio=0.5, num_neighbors=8),
    text_encoder=dict(
        type='CLIPTextEncoder',
        pretrained='checkpoints/tiny/clip_text',
        freeze=True,
        init_cfg=dict(type='Pretrained', checkpoint=pixel_text, prefix='text_encoder.'),
    ),
    projector=dict(
        type='MultiScaleSemanticProjector',
        seg_channels=96,
        text_channels=64,
        visual_channels=64,
        hidden=64,
        num_queries=4,
        depth=1,
        num_heads=4,
        mlp_channels=128,
        cross_heads=4,
        cross_downsample=2,
        similarity=dict(  # ours: words meet pixels directly, beside the paper's cross-attention
            type='PixelTextSimilarity',
            visual_channels=64,
            text_channels=64,
            embed_channels=64,
            init_cfg=dict(type='Pretrained', checkpoint=pixel_text, prefix='similarity.'),
        ),
    ),
    mask_head=dict(
        type='AnomalyMaskHead',
        segmenter=dict(
            type='SAM',
            image_size=96,
            prompt_dim=64,
            transformer_depth=1,
            transformer_heads=4,
            transformer_mlp=256,
            iou_hidden=64,
            image_encoder=dict(
                type='ConvImageEncoder',
                widths=(16, 48, 96),
                depths=(1, 1, 2),
                out_channels=64,
                init_cfg=dict(type='Pretrained', checkpoint=pixel_text, prefix='segmenter.image_encoder.'),
            ),
            freeze_image_encoder=True,
        ),
        gate='soft',
        similarity_skip=True,
    ),
)
