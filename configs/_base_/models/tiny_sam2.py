# A SAM 2 of 0.7 M parameters, for frames of 96 x 96 pixels.
sam2 = dict(
    type='SAM2',
    arch=dict(
        blocks=(1, 1, 2, 1),
        embed_dims=(16, 32, 64, 96),
        num_heads=(1, 2, 4, 6),
        window_sizes=(8, 4, 6, 3),
        global_blocks=(3,),
        background_size=4,
        patch_stride=2,  # half of the released one: features of 12 x 12 at 96 pixels, as the tiny SAM's
        channels=64,
        decoder_heads=4,
        decoder_mlp=128,
        memory_layers=1,
        memory_mlp=128,
        fuser_layers=1,
        fuser_mlp=128,
        init_std=0.05,  # for a width of 64; the released 0.02 fits 256
    ),
    image_size=96,
    memory=0,
)
