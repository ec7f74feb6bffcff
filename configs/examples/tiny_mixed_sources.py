# Real images and videos beside the synthetic ones: COCO instances and DAVIS-style id masks, at the tiny model's size.
_base_ = '../lavida_tiny.py'

real_data = '../shared/data/media/'
size = (96, 96)

sources = dict(
    coco=dict(
        type='CocoInstancesSource',
        data_root=real_data + 'coco',
        ann_file='panoptic_coco_detection_format.json',
        image_folder='input_images',
        pipeline=[
            dict(type='mmdet.LoadImageFromFile'),
            dict(type='mmdet.LoadAnnotations', with_bbox=False, with_label=False, with_mask=True),
            dict(type='LoadImageObjects'),
            dict(type='ResizeFrames', scale=size),
        ],
    ),
    cutie=dict(
        type='DavisVideoSource',
        data_root=real_data + 'cutie',
        words=dict(
            judo={
                '1': ['two men fighting', 'judo fighters'],
                '2': ['man with his hands behind his back'],
                '3': ['man with folded arms'],
                '4': ['man kneeling at the edge'],
            },
            bike={'1': ['bicycle', 'bmx bike'], '2': ['boy', 'child riding a bicycle']},
        ),
        extra_words=['dog', 'car', 'umbrella', 'horse'],  # two videos alone would leave hardly any distractor
        pipeline=[
            dict(type='SampleClip', num_frames=1),  # few frames are annotated: a clip is one of them
            dict(type='LoadClipFrames'),
            dict(type='LoadPaletteMasks'),
            dict(type='ResizeFrames', scale=size),
        ],
    ),
)
train_dataloader = dict(
    dataset=dict(
        sources=sources,
        shares=dict(images=0.3, clips=0.2, clips_phrases=0.1, mp4_clips=0.1, coco=0.15, cutie=0.15),
    )
)
