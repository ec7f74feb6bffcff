# RefCOCOg (docs/sources_images.md): refcocog/refs(umd).p, refcocog/instances.json and
# images/mscoco/images/train2014/ under data_root.
refcocog = dict(
    type='RefCOCO',
    data_root='data/refer',
    dataset='refcocog',
    split_by='umd',
    split='train',
    category_words=False,  # the paper names an object by a phrase
    pipeline=[
        dict(type='SampleClip', num_frames=1),
        dict(type='LoadClipFrames'),
        dict(type='LoadClipObjects'),
    ],
)
