# RefCLEF (docs/sources_images.md): refclef/refs(unc).p, refclef/instances.json and images/saiapr_tc-12/ in data_root.
refclef = dict(
    type='RefCOCO',
    data_root='data/refer',
    dataset='refclef',
    split_by='unc',
    split='train',
    category_words=False,  # the paper names an object by a phrase
    pipeline=[
        dict(type='SampleClip', num_frames=1),
        dict(type='LoadClipFrames'),
        dict(type='LoadClipObjects'),
    ],
)
