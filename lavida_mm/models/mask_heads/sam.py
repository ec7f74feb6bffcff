"""Segmenter on the networks of segment-anything."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModule
from segment_anything.modeling import PromptEncoder
from torch import Tensor, nn

from lavida_mm.models.mask_heads.canvas import Canvas
from lavida_mm.models.mask_heads.frame_features import FrameFeatures
from lavida_mm.models.mask_heads.object_mask_decoder import ObjectMaskDecoder
from lavida_mm.models.mask_heads.sam_checkpoint import load_released
from lavida_mm.models.mask_heads.sam_image_encoder import SAMImageEncoder
from lavida_mm.models.mask_heads.segmenter import SegmenterOutput, Shortcut, check_prompts, without_autocast
from lavida_mm.registry import MODELS
from lavida_mm.utils.checks import check_count, check_flag

__all__ = ['SAM', 'SAM_ARCHS']

PATCH_SIZE = 16
RELEASED_IMAGE_SIZE = 1024

SAM_ARCHS: dict[str, dict[str, Any]] = {
    'vit_b': {'embed_dim': 768, 'depth': 12, 'num_heads': 12, 'global_attn_indexes': (2, 5, 8, 11)},
    'vit_l': {'embed_dim': 1024, 'depth': 24, 'num_heads': 16, 'global_attn_indexes': (5, 11, 17, 23)},
    'vit_h': {'embed_dim': 1280, 'depth': 32, 'num_heads': 16, 'global_attn_indexes': (7, 15, 23, 31)},
}
ARCH_KEYS = {'embed_dim', 'depth', 'num_heads', 'global_attn_indexes', 'patch_size', 'window_size', 'position_size'}


def build_vit(arch: str | Mapping[str, Any], out_channels: int) -> SAMImageEncoder:
    """segment-anything's image encoder by name or by sizes.

    Args:
        arch: a name in ``SAM_ARCHS``, or a mapping with ``embed_dim``, ``depth``, ``num_heads``,
            ``global_attn_indexes`` and, as wanted, ``patch_size`` (16), ``window_size`` (14) and ``position_size``,
            the image size that the position embeddings are made for (1024, the released one).
        out_channels: channels of the features.

    Raises:
        ValueError: unknown name, unknown or missing key.
    """
    if isinstance(arch, str):
        if arch not in SAM_ARCHS:
            raise ValueError(f'arch must be one of {sorted(SAM_ARCHS)} or a dict, got {arch!r}')
        arch = SAM_ARCHS[arch]
    unknown = sorted(set(arch) - ARCH_KEYS)
    missing = sorted({'embed_dim', 'depth', 'num_heads', 'global_attn_indexes'} - set(arch))
    if unknown or missing:
        raise ValueError(f'arch: unknown keys {unknown}, missing keys {missing}; known keys are {sorted(ARCH_KEYS)}')
    return SAMImageEncoder(
        img_size=arch.get('position_size', RELEASED_IMAGE_SIZE),
        patch_size=arch.get('patch_size', PATCH_SIZE),
        embed_dim=arch['embed_dim'],
        depth=arch['depth'],
        num_heads=arch['num_heads'],
        global_attn_indexes=tuple(arch['global_attn_indexes']),
        window_size=arch.get('window_size', 14),
        out_chans=out_channels,
        use_rel_pos=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )


@MODELS.register_module()
class SAM(BaseModule):
    """Segment Anything as a segmenter: frames of any size in, masks at their size out (docs/method.md, section 5).

    It owns what belongs to it: resizing and normalisation of the frames, the released names and shapes of its
    weights, and the way back from its canvas to the frame. An object-score token, which SAM lacks, is added so that
    the released weights give the released masks (see ``ReadingTwoWayTransformer``). Parts of the prompt encoder that
    only points, boxes and mask prompts use are kept, so that released weights fit, and not trained.

    Args:
        arch: ``vit_b``, ``vit_l``, ``vit_h`` or a mapping of sizes, see :func:`build_vit`. Not used when
            ``image_encoder`` is given.
        image_encoder: config of a registered image encoder with attributes ``stride`` and ``out_channels``, in
            place of the ViT.
        image_size: side of the canvas in pixels; a multiple of the encoder's stride.
        checkpoint: released weights (``sam_vit_b_01ec64.pth`` and its like) or a file of the same names; not read on
            the ``meta`` device.
        prompt_dim: channels C of features and prompts.
        transformer_depth: two-way blocks of the mask decoder.
        transformer_heads: attention heads of the mask decoder.
        transformer_mlp: hidden channels of the mask decoder's MLP blocks.
        iou_hidden: hidden channels of the IoU and object heads.
        mask_in_channels: hidden channels of the mask prompts' encoder.
        resize: ``pad`` keeps the aspect ratio, as SAM does; ``squash`` does not, as the authors of LAVIDA do.
        freeze_image_encoder: train neither the image encoder's weights nor its statistics.

    Raises:
        ValueError: a value breaks its rule.
        DataError: the checkpoint is missing, unreadable or of another model.
    """

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Any] = 'vit_b',
        image_encoder: dict | None = None,
        image_size: int = 1024,
        checkpoint: str | None = None,
        prompt_dim: int = 256,
        transformer_depth: int = 2,
        transformer_heads: int = 8,
        transformer_mlp: int = 2048,
        iou_hidden: int = 256,
        mask_in_channels: int = 16,
        resize: str = 'pad',
        freeze_image_encoder: bool = True,
    ) -> None:
        super().__init__()
        check_flag('freeze_image_encoder', freeze_image_encoder)
        for name, value in (
            ('image_size', image_size), ('prompt_dim', prompt_dim), ('transformer_depth', transformer_depth),
            ('transformer_heads', transformer_heads), ('transformer_mlp', transformer_mlp),
            ('iou_hidden', iou_hidden), ('mask_in_channels', mask_in_channels),
        ):  # fmt: skip
            check_count(name, value)
        if image_encoder is None:
            self.image_encoder: nn.Module = build_vit(arch, prompt_dim)
            stride = self.image_encoder.patch_embed.proj.stride[0]
        else:
            self.image_encoder = MODELS.build(image_encoder)
            stride = self.image_encoder.stride
            if self.image_encoder.out_channels != prompt_dim:
                raise ValueError(
                    f'image_encoder.out_channels must equal prompt_dim ({prompt_dim}), '
                    f'got {self.image_encoder.out_channels}'
                )
        self.canvas = Canvas(image_size=image_size, unit=stride, resize=resize)
        self.arch = arch if image_encoder is None else None
        self.image_size = image_size
        self.embed_dim = prompt_dim
        self.freeze_image_encoder = freeze_image_encoder
        self.prompt_encoder = PromptEncoder(
            embed_dim=prompt_dim,
            image_embedding_size=(image_size // stride, image_size // stride),
            input_image_size=(image_size, image_size),
            mask_in_chans=mask_in_channels,
        )
        self.mask_decoder = ObjectMaskDecoder(
            transformer_dim=prompt_dim,
            transformer_depth=transformer_depth,
            num_heads=transformer_heads,
            mlp_channels=transformer_mlp,
            iou_hidden=iou_hidden,
        )

        self.prompt_encoder.requires_grad_(False)
        self.prompt_encoder.no_mask_embed.requires_grad_(True)
        if freeze_image_encoder:
            self.image_encoder.requires_grad_(False)
        if checkpoint is not None and not self.prompt_encoder.no_mask_embed.weight.is_meta:
            load_released(self, checkpoint, self.arch)
        self.train(self.training)

    @property
    def mask_size(self) -> int:
        """Side of the decoded masks, in pixels."""
        return self.prompt_encoder.mask_input_size[0]

    def train(self, mode: bool = True) -> 'SAM':
        """Switch to training mode; a frozen image encoder stays in test mode."""
        super().train(mode)
        if self.freeze_image_encoder:
            self.image_encoder.eval()
        return self

    def encode(self, clips: Sequence[Tensor]) -> FrameFeatures:
        """Features of all frames of all clips.

        Args:
            clips: RGB frames in [0, 255], (T_i, 3, H_i, W_i) each; sizes may differ between clips.

        Raises:
            FloatingPointError: the features hold NaN or infinity.
        """
        images = self.canvas.fit(clips)  # (F, 3, S, S)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze_image_encoder):
            features = self.image_encoder(images)
        if not features.is_meta and not torch.isfinite(features).all():
            raise FloatingPointError('segmenter.image_encoder: its features hold NaN or infinity')
        return FrameFeatures(features, lengths=tuple(len(clip) for clip in clips))

    def position_encoding(self) -> Tensor:
        """Position encoding of the features' grid, float32 (1, C, h, w)."""
        with without_autocast(self.canvas.mean.device):
            return self.prompt_encoder.get_dense_pe()

    def default_dense(self) -> Tensor:
        """The dense prompt that stands for "no mask is given", (1, C, 1, 1); prompts of ours add to it."""
        return self.prompt_encoder.no_mask_embed.weight[..., None, None]

    def decode(
        self,
        features: FrameFeatures,
        sparse: Tensor,
        dense: Tensor | None = None,
        memory: Sequence[Any] | None = None,
        shortcut: Shortcut | None = None,
    ) -> SegmenterOutput:
        """Masks, their quality and the object's presence in each frame.

        Args:
            features: from :meth:`encode`.
            sparse: prompt tokens of each frame, (F, P, C).
            dense: dense prompt of each frame, (F or 1, C, h, w), taken as it is; None: no mask is given.
            memory: must be None, SAM has none.
            shortcut: added to the logits.

        Raises:
            ValueError: the prompts do not match the features, or there is a memory.
        """
        check_prompts(features, sparse, dense)
        if memory is not None:
            raise ValueError('SAM decodes every frame alone and has no use for a memory; SAM2 has')
        dense = self.default_dense() if dense is None else dense
        masks, ious, object_logits = self.mask_decoder(features.deep, self.position_encoding(), sparse, dense)
        if shortcut is not None:
            masks, object_logits = shortcut.add(masks, object_logits)
        return SegmenterOutput(masks, ious, object_logits)

    def fit_masks(self, masks: Tensor, size: int | None = None) -> Tensor:
        """Masks (T, H, W) of the frames where the segmenter sees them: shares in [0, 1], (T, size, size).

        Args:
            masks: masks at the frames' size.
            size: side of the result; by default that of the decoded masks.
        """
        return self.canvas.fit_masks(masks, self.mask_size if size is None else size)

    def restore(self, mask_logits: Tensor, size: tuple[int, int], output_size: tuple[int, int] | None = None) -> Tensor:
        """Mask logits (F, h', w') back on the frames.

        Args:
            mask_logits: logits on the segmenter's canvas, at any resolution.
            size: height and width of the frames that were encoded.
            output_size: height and width of the result; ``size`` by default.

        Returns:
            Logits, (F, *output_size).
        """
        return self.canvas.restore(mask_logits, size, output_size)
