# Ref-DAVIS17 as downloaded (docs/sources_video.md). The frames keep their size: the model resizes them.
ref_davis17 = dict(
    type='RefDAVIS17',
    data_root='data/ref_davis17',
    layout='davis',
    split='train',
    pipeline=[
        dict(type='SampleClip', num_frames=8, intervals=(1, 2, 4, 8)),  # every frame is annotated
        dict(type='LoadClipFrames'),
        dict(type='LoadPaletteMasks'),
    ],
)
