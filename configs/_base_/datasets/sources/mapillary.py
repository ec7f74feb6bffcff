# Mapillary Vistas (docs/sources_images.md): training/ and config.json under data_root. For version='v2.0' the maps are
# in training/v2.0/labels and the names in config_v2.0.json.
mapillary = dict(
    type='MapillaryVistas',
    data_root='data/mapillary_vistas',
    split='training',
    version='v1.2',
    anomaly_sampler=dict(max_categories=20),  # the paper's
    pipeline=[
        dict(type='SampleClip', num_frames=1),
        dict(type='LoadClipFrames'),
        # Images have up to 22 million pixels. Reduced before the map is split, they cost 1 MB per class.
        dict(type='ResizeFrames', scale=(1024, 1024), keep_ratio=True),
        dict(type='LoadLabelMap'),
    ],
)
