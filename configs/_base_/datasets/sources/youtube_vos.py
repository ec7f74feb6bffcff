# YouTube-VOS as downloaded (docs/sources_video.md). The frames keep their size: the model resizes them.
youtube_vos = dict(
    type='YouTubeVOS',
    data_root='data/youtube_vos',
    split='train',
    pipeline=[
        dict(type='SampleClip', num_frames=8, intervals=(1, 2, 3)),  # of the annotated frames, 6 a second
        dict(type='LoadClipFrames'),
        dict(type='LoadPaletteMasks'),
    ],
    # The authors name every category that is present; a clip with fewer than six names all of its own.
    anomaly_sampler=dict(num_targets=(6, 6)),
)
