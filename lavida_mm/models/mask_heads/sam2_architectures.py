"""Sizes of SAM 2: those that were released, and networks of other sizes and for other image sizes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ['SAM2_ARCHS', 'SAM2_RELEASES', 'build_config', 'fit_image_size', 'image_unit']

# From the files sam2/configs/sam2.1/sam2.1_hiera_*.yaml of facebookresearch/sam2; what they leave out (base_plus) are
# the defaults of its class Hiera. On top of a stage, its numbers of blocks, channels, heads and the window's side.
SAM2_ARCHS: dict[str, dict[str, Any]] = {
    'tiny': {
        'blocks': (1, 2, 7, 2),
        'embed_dims': (96, 192, 384, 768),
        'num_heads': (1, 2, 4, 8),
        'window_sizes': (8, 4, 14, 7),
        'global_blocks': (5, 7, 9),
        'background_size': 7,
    },
    'small': {
        'blocks': (1, 2, 11, 2),
        'embed_dims': (96, 192, 384, 768),
        'num_heads': (1, 2, 4, 8),
        'window_sizes': (8, 4, 14, 7),
        'global_blocks': (7, 10, 13),
        'background_size': 7,
    },
    'base_plus': {
        'blocks': (2, 3, 16, 3),
        'embed_dims': (112, 224, 448, 896),
        'num_heads': (2, 4, 8, 16),
        'window_sizes': (8, 4, 14, 7),
        'global_blocks': (12, 16, 20),
        'background_size': 14,
    },
    'large': {
        'blocks': (2, 6, 36, 4),
        'embed_dims': (144, 288, 576, 1152),
        'num_heads': (2, 4, 8, 16),
        'window_sizes': (8, 4, 16, 8),
        'global_blocks': (23, 33, 43),
        'background_size': 7,
    },
}
SAM2_RELEASES = {f'facebook/sam2.1-hiera-{arch.replace("_", "-")}': arch for arch in SAM2_ARCHS}

DEFAULTS: dict[str, Any] = {
    'patch_stride': 4,
    'channels': 256,
    'decoder_heads': 8,
    'decoder_mlp': 2048,
    'memory_layers': 4,
    'memory_mlp': 2048,
    'fuser_layers': 2,
    'fuser_mlp': 1024,
    'init_std': 0.02,
}
MEMORY_CHANNELS = 64  # fixed in transformers' memory attention
POOLED_BELOW = 2  # halvings between the finest scale and the deepest that the decoder reads; one more below it


def build_config(arch: str | Mapping[str, Any]) -> Any:
    """transformers' config of a network.

    Args:
        arch: a name in ``SAM2_ARCHS``, or a mapping with the keys of its entries and, as wanted, those of
            ``DEFAULTS``: ``patch_stride``, the stride of the finest scale; ``channels`` C of features and prompts;
            heads and MLP of the mask decoder; layers and MLP of the memory attention and of the memory encoder's
            fuser; ``init_std`` of random weights.

    Raises:
        ValueError: unknown name, unknown or missing key, or channels that the memory cannot split.
    """
    from transformers import (
        Sam2HieraDetConfig,
        Sam2VideoConfig,
        Sam2VideoMaskDecoderConfig,
        Sam2VideoPromptEncoderConfig,
        Sam2VisionConfig,
    )

    sizes = _complete(arch)
    stride, channels = sizes['patch_stride'], sizes['channels']
    background, dims = sizes['background_size'], list(sizes['embed_dims'])
    overlap = stride // 2 + 1  # patches of 7 pixels at stride 4, as released
    backbone = Sam2HieraDetConfig(
        hidden_size=dims[0],
        patch_kernel_size=[2 * overlap + 1] * 2,
        patch_stride=[stride, stride],
        patch_padding=[overlap, overlap],
        window_positional_embedding_background_size=[background, background],
        blocks_per_stage=list(sizes['blocks']),
        embed_dim_per_stage=dims,
        num_attention_heads_per_stage=list(sizes['num_heads']),
        window_size_per_stage=list(sizes['window_sizes']),
        global_attention_blocks=list(sizes['global_blocks']),
        initializer_range=sizes['init_std'],
    )
    return Sam2VideoConfig(
        vision_config=Sam2VisionConfig(
            backbone_config=backbone,
            backbone_channel_list=dims[::-1],
            fpn_hidden_size=channels,
            initializer_range=sizes['init_std'],
        ),
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(hidden_size=channels),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(
            hidden_size=channels,
            mlp_dim=sizes['decoder_mlp'],
            num_attention_heads=sizes['decoder_heads'],
            iou_head_hidden_dim=channels,
        ),
        initializer_range=sizes['init_std'],
        memory_attention_hidden_size=channels,
        memory_attention_num_layers=sizes['memory_layers'],
        memory_attention_feed_forward_hidden_size=sizes['memory_mlp'],
        memory_encoder_hidden_size=channels,
        memory_encoder_output_channels=MEMORY_CHANNELS,
        mask_downsampler_embed_dim=channels,
        memory_fuser_num_layers=sizes['fuser_layers'],
        memory_fuser_embed_dim=channels,
        memory_fuser_intermediate_dim=sizes['fuser_mlp'],
    )


def _complete(arch: str | Mapping[str, Any]) -> dict[str, Any]:
    """All sizes of an architecture, checked."""
    if isinstance(arch, str):
        if arch not in SAM2_ARCHS:
            raise ValueError(f'arch must be one of {sorted(SAM2_ARCHS)} or a dict, got {arch!r}')
        arch = SAM2_ARCHS[arch]
    needed = set(SAM2_ARCHS['tiny'])
    unknown, missing = sorted(set(arch) - needed - set(DEFAULTS)), sorted(needed - set(arch))
    if unknown or missing:
        known = sorted(needed | set(DEFAULTS))
        raise ValueError(f'arch: unknown keys {unknown}, missing keys {missing}; known keys are {known}')
    sizes = {**DEFAULTS, **arch}
    for key in ('blocks', 'embed_dims', 'num_heads', 'window_sizes'):
        if len(sizes[key]) != len(SAM2_ARCHS['tiny'][key]):
            raise ValueError(f'arch.{key} must have one entry for each of the 4 stages, got {tuple(sizes[key])}')
    if sizes['channels'] % MEMORY_CHANNELS:
        raise ValueError(f'arch.channels must be a multiple of {MEMORY_CHANNELS}, got {sizes["channels"]}')
    return sizes


def image_unit(config: Any) -> int:
    """What the image size must be a multiple of: all scales halve exactly, and windows of the first stage fill it."""
    backbone = config.vision_config.backbone_config
    return backbone.patch_stride[0] * math.lcm(2 * 2**POOLED_BELOW, backbone.window_size_per_stage[0])


def fit_image_size(config: Any, image_size: int) -> None:
    """Set all that depends on the image size in a config that is ours alone.

    Args:
        config: transformers' config; changed in place.
        image_size: side of the images, a multiple of :func:`image_unit`.
    """
    stride = config.vision_config.backbone_config.patch_stride[0]
    sides: Sequence[int] = [image_size // (stride * 2**scale) for scale in range(POOLED_BELOW + 1)]
    config.image_size = image_size
    config.vision_config.backbone_config.image_size = [image_size, image_size]
    config.vision_config.backbone_feature_sizes = [[side, side] for side in sides]
    config.prompt_encoder_config.image_size = image_size
    config.prompt_encoder_config.patch_size = stride * 2**POOLED_BELOW
    config.memory_attention_rope_feat_sizes = [sides[-1], sides[-1]]
