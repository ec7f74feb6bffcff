# The eleven sources of the paper with their shares of the samples (docs/method.md, section 1). A leaf config drops a
# source by giving it share 0; its files need not be there then.
_base_ = [
    'sources/youtube_vos.py',
    'sources/ref_youtube_vos.py',
    'sources/mevis.py',
    'sources/ref_davis17.py',
    'sources/cityscapes.py',
    'sources/refcoco.py',
    'sources/refcoco_plus.py',
    'sources/refcocog.py',
    'sources/refclef.py',
    'sources/ade20k.py',
    'sources/mapillary.py',
]

sources = dict(
    youtube_vos=_base_.youtube_vos,
    ref_youtube_vos=_base_.ref_youtube_vos,
    mevis=_base_.mevis,
    ref_davis17=_base_.ref_davis17,
    cityscapes=_base_.cityscapes,
    refcoco=_base_.refcoco,
    refcoco_plus=_base_.refcoco_plus,
    refcocog=_base_.refcocog,
    refclef=_base_.refclef,
    ade20k=_base_.ade20k,
    mapillary=_base_.mapillary,
)
shares = dict(
    youtube_vos=0.05,
    ref_youtube_vos=0.20,
    mevis=0.25,
    ref_davis17=0.20,
    cityscapes=0.05,
    refcoco=0.025,  # the paper's 0.10 for the four of RefCOCO, divided evenly: it does not say how
    refcoco_plus=0.025,
    refcocog=0.025,
    refclef=0.025,
    ade20k=0.10,
    mapillary=0.05,
)

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='WeightedSourceSampler'),
    dataset=dict(
        type='SourceMixture',
        sources=sources,
        shares=shares,
        anomaly_sampler=dict(  # a source may change it: cityscapes and mapillary have fewer words
            type='PseudoAnomalySampler', anomaly_ratio=0.5, max_categories=30, num_targets=(1, 1), num_templates=6
        ),
        pack=dict(type='PackVADInputs'),
    ),
    collate_fn=dict(type='pseudo_collate'),
)
