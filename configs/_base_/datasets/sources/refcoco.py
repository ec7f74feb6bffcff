# RefCOCO (docs/sources_images.md): refcoco/refs(unc).p, refcoco/instances.json and
# images/mscoco/images/train2014/ under data_root.
refcoco = dict(
    type='RefCOCO',
    data_root='data/refer',
    dataset='refcoco',
    split_by='unc',
    split='train',
    category_words=False,  # the paper names an object by a phrase
    pipeline=[
        dict(type='SampleClip', num_frames=1),
        dict(type='LoadClipFrames'),
        dict(type='LoadClipObjects'),
    ],
)
