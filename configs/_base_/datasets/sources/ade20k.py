# ADE20K, scene-parsing release (docs/sources_images.md): images/, annotations/ and objectInfo150.txt under data_root.
ade20k = dict(
    type='ADE20K',
    data_root='data/ADEChallengeData2016',
    split='training',
    pipeline=[
        dict(type='SampleClip', num_frames=1),
        dict(type='LoadClipFrames'),
        dict(type='LoadLabelMap'),
    ],
)
