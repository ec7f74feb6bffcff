"""Segmenter on transformers' SAM 2."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from lavida_mm.models.mask_heads.canvas import Canvas
from lavida_mm.models.mask_heads.frame_features import FrameFeatures
from lavida_mm.models.mask_heads.sam2_architectures import fit_image_size, image_unit
from lavida_mm.models.mask_heads.sam2_decoding import Decoded, decode_frames
from lavida_mm.models.mask_heads.sam2_memory import MemoryBank, attend, remember
from lavida_mm.models.mask_heads.sam2_network import build_network, find_config
from lavida_mm.models.mask_heads.segmenter import SegmenterOutput, Shortcut, check_prompts, without_autocast
from lavida_mm.registry import MODELS
from lavida_mm.utils.checks import check_count, check_flag

__all__ = ['SAM2']

# Parameters that only points, boxes and mask prompts use, or nothing at all; they are there for the released weights.
UNUSED = (
    'prompt_encoder.point_embed.',
    'prompt_encoder.not_a_point_embed.',
    'prompt_encoder.mask_embed.',
    'mask_downsample.',
    'no_memory_positional_encoding',
)
OF_MEMORY = (
    'memory_attention.',
    'memory_encoder.',
    'memory_temporal_positional_encoding',
    'object_pointer_proj.',
    'no_object_pointer',
    'temporal_positional_encoding_projection_layer.',
    'occlusion_spatial_embedding_parameter',
)


@MODELS.register_module()
class SAM2(BaseModule):
    """Segment Anything 2 as a segmenter: frames of any size in, masks at their size out (docs/method.md, section 5).

    The network is transformers' ``Sam2VideoModel`` under its own names, so that the released SAM 2.1 weights in the
    Hugging Face format load as they are. The object logit is that of SAM 2's own object-score head.

    Without memory every frame is decoded alone, as the authors' code does it. With memory, the frames of a clip are
    decoded one after the other, and each attends to what is remembered of up to ``memory`` frames before it.

    In SAM 2 a user prompts a few frames ("conditioning frames") and the others follow; here every frame has its own
    prompt. The first frame of a clip counts as the conditioning frame: it sees no memory, its mask is remembered as 0
    and 1, and it takes the last place in time. All later frames count as followed ones, with their prompt tokens in the
    place of SAM 2's "no point" tokens. As after a single point, the mask of best predicted IoU among three is
    remembered. With "no point" tokens in the later frames, the masks are those of transformers'
    ``propagate_in_video_iterator`` for clips of at most ``memory`` + 1 frames. In longer ones transformers keeps the
    first frame for ever, while here it is forgotten after ``memory`` frames like every other.

    Args:
        pretrained: local folder or name on the Hugging Face hub, e.g. 'facebook/sam2.1-hiera-small'; on the ``meta``
            device only its shapes are read.
        arch: in place of ``pretrained``, a random network: ``tiny``, ``small``, ``base_plus``, ``large`` or a mapping
            of sizes, see :func:`build_config`.
        image_size: side of the canvas in pixels, 1024 as released; smaller sizes interpolate the position encodings.
            It must be a multiple of 32, and in general of :func:`image_unit`.
        resize: ``squash`` does not keep the aspect ratio, as SAM 2 and the authors of LAVIDA do it; ``pad`` does.
        memory: how many earlier frames each frame attends to, up to 7 with the released weights; 0 for none.
        freeze_image_encoder: do not train the image encoder.
        init_cfg: mmengine's initialisation config.

    Raises:
        ValueError: a value breaks its rule.
        DataError: the weights are missing, unreadable or of another model.
    """

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        arch: str | Mapping[str, Any] | None = None,
        image_size: int = 1024,
        resize: str = 'squash',
        memory: int = 0,
        freeze_image_encoder: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_flag('freeze_image_encoder', freeze_image_encoder)
        check_count('image_size', image_size)
        check_count('memory', memory, least=0)
        config = find_config(pretrained, arch)
        if not 0 <= memory <= config.num_maskmem:
            raise ValueError(f'memory must be in [0, {config.num_maskmem}], got {memory}')
        self.canvas = Canvas(image_size=image_size, unit=image_unit(config), resize=resize)
        fit_image_size(config, image_size)
        self.network = build_network(config, pretrained)
        self.network.is_init = True  # keeps mmengine from drawing the loaded weights anew
        self.image_size = image_size
        self.embed_dim = self.network.hidden_dim
        self.memory = memory
        self.freeze_image_encoder = freeze_image_encoder
        unused = UNUSED if memory else UNUSED + OF_MEMORY
        for name, parameter in self.network.named_parameters():
            frozen = freeze_image_encoder and name.startswith('vision_encoder.')
            parameter.requires_grad_(not frozen and not name.startswith(unused))
        self.train(self.training)

    @property
    def image_encoder(self) -> nn.Module:
        """The network's image encoder."""
        return self.network.vision_encoder

    @property
    def mask_size(self) -> int:
        """Side of the decoded masks, in pixels."""
        return self.network.prompt_encoder.mask_input_size[0]

    def train(self, mode: bool = True) -> 'SAM2':
        """Switch to training mode; a frozen image encoder stays in test mode."""
        super().train(mode)
        if self.freeze_image_encoder:
            self.image_encoder.eval()
        return self

    def encode(self, clips: Sequence[Tensor]) -> FrameFeatures:
        """Features of all frames of all clips, the two finer scales as the mask decoder wants them.

        Args:
            clips: RGB frames in [0, 255], (T_i, 3, H_i, W_i) each; sizes may differ between clips.

        Raises:
            FloatingPointError: the features hold NaN or infinity.
        """
        images = self.canvas.fit(clips)  # (F, 3, S, S)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze_image_encoder):
            finest, finer, deep = self.image_encoder(images).fpn_hidden_states
        if not deep.is_meta and not all(torch.isfinite(scale).all() for scale in (finest, finer, deep)):
            raise FloatingPointError('segmenter.image_encoder: its features hold NaN or infinity')
        decoder = self.network.mask_decoder
        fine = (decoder.conv_s0(finest), decoder.conv_s1(finer))
        return FrameFeatures(deep, fine, tuple(len(clip) for clip in clips))

    def position_encoding(self) -> Tensor:
        """Position encoding of the deepest features' grid, float32 (1, C, h, w)."""
        with without_autocast(self.canvas.mean.device):
            return self.network.get_image_wide_positional_embeddings()

    def default_dense(self) -> Tensor:
        """The dense prompt that stands for "no mask is given", (1, C, 1, 1); prompts of ours add to it."""
        return self.network.prompt_encoder.no_mask_embed.weight[..., None, None]

    def decode(
        self,
        features: FrameFeatures,
        sparse: Tensor,
        dense: Tensor | None = None,
        memory: Sequence[MemoryBank] | None = None,
        shortcut: Shortcut | None = None,
    ) -> SegmenterOutput:
        """Masks, their quality and the object's presence in each frame.

        Args:
            features: from :meth:`encode`.
            sparse: prompt tokens of each frame, (F, P, C).
            dense: dense prompt of each frame, (F or 1, C, h, w), taken as it is; None: no mask is given.
            memory: what an earlier call handed back, one bank per clip: the frames go on where that one ended. A stream
                that begins hands in ``[segmenter.new_memory()]``. None: the clips are whole.
            shortcut: added to the logits, also to those that are remembered.

        Returns:
            Masks and, with memory, what is to be handed in with each clip's next frames.

        Raises:
            ValueError: the prompts or the memory do not match the features.
        """
        check_prompts(features, sparse, dense)
        dense = self.default_dense() if dense is None else dense
        if memory is not None and not self.memory:
            raise ValueError('memory=0: every frame is decoded alone and no memory can be handed in')
        if memory is not None and len(memory) != len(features.lengths):
            raise ValueError(f'memory must hold one bank per clip: {len(features.lengths)} clips, {len(memory)} banks')
        if not self.memory:
            image = self._without_memory(features.deep)
            return SegmenterOutput(*self._decode(features, image, sparse, dense, shortcut)[:3])
        return self._decode_in_order(features, sparse, dense, memory, shortcut)

    def new_memory(self) -> MemoryBank:
        """The memory of a clip or stream of which nothing has been seen yet."""
        return MemoryBank(self.memory)

    def _without_memory(self, deep: Tensor) -> Tensor:
        return deep + self.network.no_memory_embedding[0, :, :, None, None]

    def _decode(
        self, features: FrameFeatures, image: Tensor, sparse: Tensor, dense: Tensor, shortcut: Shortcut | None
    ) -> Decoded:
        decoder = self.network.mask_decoder
        found = decode_frames(decoder, image, features.fine, self.position_encoding(), sparse, dense)
        if shortcut is None:
            return found
        masks, object_logits = shortcut.add(found.masks, found.object_logits)
        return found._replace(masks=masks, object_logits=object_logits)

    def _decode_in_order(
        self,
        features: FrameFeatures,
        sparse: Tensor,
        dense: Tensor,
        memory: Sequence[MemoryBank] | None,
        shortcut: Shortcut | None,
    ) -> SegmenterOutput:
        """Decode the first frames of all clips, then the second ones, and so on."""
        lengths = features.lengths
        banks = [self.new_memory()] * len(lengths) if memory is None else list(memory)
        starts = [sum(lengths[:clip]) for clip in range(len(lengths))]
        decoded: dict[int, tuple[Tensor, ...]] = {}
        attended = False
        for number in range(max(lengths)):
            alike: dict[tuple, list[int]] = defaultdict(list)  # clips whose memories have the same ages
            for clip, length in enumerate(lengths):
                if number < length:
                    span = self._pointer_span(None if memory is not None else length)
                    alike[banks[clip].ages, span].append(clip)
            for (ages, span), clips in alike.items():
                frames = [starts[clip] + number for clip in clips]
                part = features.select(frames)
                if ages:
                    attended = True
                    image = attend(self.network, part.deep, [banks[clip] for clip in clips], span)
                else:
                    image = self._without_memory(part.deep)
                added = None if shortcut is None else shortcut.select(frames)
                found = self._decode(part, image, sparse[frames], dense if len(dense) == 1 else dense[frames], added)
                decoded.update(zip(frames, zip(*found[:3], strict=True), strict=True))
                if self.training and memory is None and all(number == lengths[clip] - 1 for clip in clips):
                    continue  # nobody will look back at them
                kept = remember(self.network, part.deep, found, first=not ages)
                for clip, tokens, pointer in zip(clips, *kept, strict=True):
                    banks[clip] = banks[clip].add(tokens, pointer)
        masks, ious, object_logits = (
            torch.stack(parts) for parts in zip(*(decoded[frame] for frame in range(len(features))), strict=True)
        )
        if self.training and not attended:
            object_logits = object_logits + self._nothing_of_memory()
        return SegmenterOutput(masks, ious, object_logits, tuple(bank.detach() for bank in banks))

    def _pointer_span(self, length: int | None) -> int:
        """The age of which a pointer's age is encoded as a share, in a clip of a known length or in a stream."""
        most = self.network.config.max_object_pointers_in_encoder
        return max(1, (most if length is None else min(most, length)) - 1)

    def _nothing_of_memory(self) -> Tensor:
        """Zero, but with the memory's weights in its graph: distributed training waits for a gradient of each."""
        named = self.network.named_parameters()
        return 0.0 * torch.stack([weights.sum() for name, weights in named if name.startswith(OF_MEMORY)]).sum()

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
