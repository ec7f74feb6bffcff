# MeViS as downloaded (docs/sources_video.md). The frames keep their size: the model resizes them.
mevis = dict(
    type='MeViS',
    data_root='data/mevis',
    split='train',
    max_phrases=8,  # as the authors; None draws from all of a video's phrases
    pipeline=[
        dict(type='SampleClip', num_frames=8, intervals=(2, 4, 8)),  # every frame is annotated, and motion takes time
        dict(type='LoadClipFrames'),
        dict(type='LoadClipObjects'),
    ],
)
