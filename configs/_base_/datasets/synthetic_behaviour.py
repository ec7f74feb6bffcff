# Words that no single frame answers, beside the plain ones of synthetic_world.py; the test is the behaviour split. The
# parts are written on request: tools/dataset_tools/make_synthetic_world.py --parts behaviour_clips relation_clips ...
_base_ = './synthetic_world.py'

world = 'data/synthetic_world/'

phrase_clip_loading = [
    dict(
        type='SampleClip', num_frames=4, intervals=(1,)
    ),  # of every second frame, jerks would look like straight moves
    dict(type='LoadClipFrames', backend='pyav'),
    dict(type='LoadClipObjects'),
]

train_dataloader = dict(
    dataset=dict(
        sources=dict(
            behaviour_clips=dict(
                type='CocoVidSource',
                name='behaviour_clips',
                data_root=world + 'behaviour_clips',
                ann_file='clips.json',
                words='phrase',
                expressions='meta_expressions.json',
                pipeline=phrase_clip_loading,
                # The other words of a prompt look like the target: what it does decides.
                anomaly_sampler=dict(
                    distractors='hard', embeddings=world + 'behaviour_clips/phrase_embeddings.npz', hard_pool=8
                ),
            ),
            relation_clips=dict(
                type='CocoVidSource',
                name='relation_clips',
                data_root=world + 'relation_clips',
                ann_file='clips.json',
                words='phrase',
                expressions='meta_expressions.json',
                pipeline=phrase_clip_loading,
                anomaly_sampler=dict(
                    distractors='hard', embeddings=world + 'relation_clips/phrase_embeddings.npz', hard_pool=3
                ),
            ),
        ),
        shares=dict(images=0.25, clips=0.2, clips_phrases=0.05, mp4_clips=0.1, behaviour_clips=0.3, relation_clips=0.1),
    )
)
test_dataloader = dict(
    dataset=dict(
        benchmark=dict(type='ManifestBenchmark', root=world + 'behaviour', ann_file='manifest.json'),
        stride=1,  # what happens begins and ends inside of windows: a frame's score is the mean of four
        overlap='mean',
    )
)
