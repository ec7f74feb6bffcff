# LAVIDA as the paper describes it: Qwen2-VL-7B, CLIP ViT-B/32's text encoder and a SAM decoder at 1024 x 1024.
# The authors use SAM2.1; SAM ViT-B stands in its place here. Weights: see the error of tools/train.py without them.
model = dict(
    type='LAVIDA',
    data_preprocessor=dict(type='VADDataPreprocessor'),
    mllm=dict(
        type='MLLMBackbone',
        pretrained='Qwen/Qwen2-VL-7B-Instruct',
        lora=dict(r=8, alpha=16, dropout=0.05, targets=('q_proj', 'v_proj')),
        freeze_vision=True,
        freeze_language=True,
        train_embeddings='seg',  # the two rows of <SEG>; 'all' is the authors' way: 1.09 B parameters more
        frame_pixels=(256, 512),  # per frame, in tokens' squares of 28 x 28 pixels
        test_frame_pixels=(1280, 1536),
        image_pixels=(32, 1024),
        llm_sample_frames=8,
    ),
    compressor=dict(type='ReverseAttnCompressor', keep_ratio=0.5, num_neighbors=8),
    text_encoder=dict(type='CLIPTextEncoder', pretrained='openai/clip-vit-base-patch32', freeze=True),
    projector=dict(
        type='MultiScaleSemanticProjector',
        seg_channels=3584,
        text_channels=512,
        visual_channels=256,
        hidden=768,
        num_queries=48,
        depth=5,
        num_heads=12,
        mlp_channels=2048,
        cross_heads=8,
        cross_downsample=2,
    ),
    mask_head=dict(
        type='AnomalyMaskHead',
        segmenter=dict(
            type='SAM',
            arch='vit_b',
            image_size=1024,
            resize='squash',  # the authors do not keep the aspect ratio
            checkpoint='checkpoints/sam_vit_b_01ec64.pth',
            freeze_image_encoder=True,
        ),
        loss_focal=dict(type='FocalLoss', alpha=0.25, gamma=2.0, loss_weight=20.0),
        loss_dice=dict(type='DiceLoss', loss_weight=2.0),
        loss_iou=dict(type='MaskIoULoss', loss_weight=1.0),
        loss_object=dict(type='ObjectScoreLoss', loss_weight=2.0),
        loss_category=dict(type='CategoryLoss', loss_weight=0.1),  # ours: which of the words it was; None for none
        mask_choice='best_iou',
        gate='hard',
    ),
    lm_loss_weight=1.0,
)
