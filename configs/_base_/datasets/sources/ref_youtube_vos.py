# Ref-YouTube-VOS as downloaded (docs/sources_video.md). The frames keep their size: the model resizes them.
ref_youtube_vos = dict(
    type='RefYouTubeVOS',
    data_root='data/ref_youtube_vos',
    split='train',
    pipeline=[
        dict(type='SampleClip', num_frames=8, intervals=(1, 2, 3)),  # of the annotated frames, 6 a second
        dict(type='LoadClipFrames'),
        dict(type='LoadPaletteMasks'),
    ],
    anomaly_sampler=dict(num_targets=(1, 2)),  # one phrase each, as the authors draw them
)
