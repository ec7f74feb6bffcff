# Cityscapes (docs/sources_images.md): leftImg8bit/ and gtFine/ under data_root.
cityscapes = dict(
    type='Cityscapes',
    data_root='data/cityscapes',
    split='train',
    extra_words=[
        'tunnel',
        'caravan',
        'trailer',
    ],  # few images show them: with the paper's 8 alone some have no distractor
    anomaly_sampler=dict(max_categories=6),  # the paper's, for 8 classes
    pipeline=[
        dict(type='SampleClip', num_frames=1),
        dict(type='LoadClipFrames'),
        dict(type='LoadLabelMap'),
    ],
)
