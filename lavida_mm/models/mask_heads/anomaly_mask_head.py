"""From features and prompts to losses, or to masks and scores."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from lavida_mm.models.losses.best_of_masks import best_of_masks
from lavida_mm.models.mask_heads.feature_cache import FeatureCache
from lavida_mm.models.mask_heads.frame_features import FrameFeatures
from lavida_mm.models.mask_heads.ground_truth import check_frames, read_named_words, read_targets
from lavida_mm.models.mask_heads.mask_probabilities import GATES, MASK_CHOICES, gate_masks, select_masks
from lavida_mm.models.mask_heads.segmenter import SegmenterOutput, Shortcut
from lavida_mm.models.mask_heads.stream_memory import StreamMemory
from lavida_mm.models.mask_heads.word_logits import both_logit, category_logits, rescale, seen_logits
from lavida_mm.registry import MODELS
from lavida_mm.structures import VADDataSample
from lavida_mm.utils.checks import check_count, check_flag

__all__ = ['AnomalyMaskHead']

CATEGORY_SCORES = ('auto', 'cosine', 'similarity', 'answer')
LOSS_NORMS = ('frames', 'positives')
FRAME_SCORES = ('object', 'words')


def _check_finite(features: FrameFeatures, projected: Any) -> None:
    """Raise FloatingPointError where what masks and scores are made of holds NaN or infinity."""
    for part, values in (
        ('segmenter: its features', features.deep),
        ('projector: its dense prompts', projected.dense),
        ("projector: its words' embeddings", projected.categories),
        ('projector: its similarity logits', projected.similarity),
    ):
        if values is not None and not torch.isfinite(values).all():
            raise FloatingPointError(f'{part} hold NaN or infinity')


def _build_loss(config: dict | None, default: str) -> nn.Module:
    """A loss by its config, or the one of docs/method.md with its weight."""
    return MODELS.build({'type': default} if config is None else config)


@MODELS.register_module()
class AnomalyMaskHead(BaseModule):
    """Owns a segmenter, the losses and the post-processing (docs/method.md, section 5 and Losses).

    While training, focal and Dice loss are computed for each of the three masks of the multi-mask output (for the
    single mask with ``mask_choice='single'``); only the best of them by their sum counts, with its IoU loss. Mask
    and IoU losses count only in frames that hold the object, the object loss in all; each sum is divided by the
    number of frames in the batch. Where several processes train together, that is the mean over them, so that their
    averaged gradients are those of one process with the whole batch.

    Args:
        segmenter: config of the segmenter, ``SAM`` for example.
        loss_focal: config of the focal loss; None: 20 x ``FocalLoss``.
        loss_dice: config of the Dice loss; None: 2 x ``DiceLoss``.
        loss_iou: config of the IoU loss; None: 1 x ``MaskIoULoss``.
        loss_object: config of the object-present loss; None: 2 x ``ObjectScoreLoss``.
        loss_category: config of a loss on which named word it was, e.g. ``CategoryLoss``: in frames that hold the
            object, it trains the cosine of the prompt with the words' embeddings (with a projector without these, the
            similarity map's maximum); None for none.
        category_scores: what a word's score is at test: the ``cosine`` of the prompt with its embedding, which has a
            meaning only where ``loss_category`` trained it, the maximum of the ``similarity`` map, the MLLM's
            ``answer``, or ``auto``: the map where the projector has one, else the cosine.
        loss_norm: what the sums over frames that hold the object are divided by: the number of all ``frames``, or of
            the ``positives`` among them, at least 1. The object loss is always divided by that of all frames.
        mask_choice: ``best_iou`` (of three) or ``single``.
        gate: what the object logit does to the masks at test: ``hard``, ``soft`` or ``none``.
        similarity_skip: add the projector's similarity map, times a learned scale, to the mask logits, and its
            maximum, times another, to the object logit.
        answer_skip: add the largest answer of the MLLM, times a learned scale and with a learned bias, to the object
            logit; needs an MLLM with ``answer='each'``. With ``similarity_skip`` too, a word counts as far as it is
            both seen, by the map's maximum, and true, by the answer: see :func:`both_logit`.
        frame_score: what the object logit is made of: ``object``, the segmenter's own and what is added, or the
            ``words`` alone, what the skips add.
        loss_size: side at which masks and ground truth are compared; None: that of the decoded masks.
        feature_cache: number of frames whose features are kept at test, for windows that overlap; 0 for none.
        stream_memory: at test, the segmenter's memory goes on from one window of a video to the next, which must come
            in order; else it begins anew with each window. Needs a segmenter with memory, e.g. ``SAM2(memory=7)``.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        segmenter: dict,
        loss_focal: dict | None = None,
        loss_dice: dict | None = None,
        loss_iou: dict | None = None,
        loss_object: dict | None = None,
        loss_category: dict | None = None,
        category_scores: str = 'auto',
        loss_norm: str = 'frames',
        mask_choice: str = 'best_iou',
        gate: str = 'hard',
        similarity_skip: bool = False,
        answer_skip: bool = False,
        frame_score: str = 'object',
        loss_size: int | None = None,
        feature_cache: int = 16,
        stream_memory: bool = False,
    ) -> None:
        super().__init__()
        check_flag('similarity_skip', similarity_skip)
        check_flag('answer_skip', answer_skip)
        check_flag('stream_memory', stream_memory)
        check_count('feature_cache', feature_cache, least=0)
        if mask_choice not in MASK_CHOICES:
            raise ValueError(f'mask_choice must be one of {MASK_CHOICES}, got {mask_choice!r}')
        if gate not in GATES:
            raise ValueError(f'gate must be one of {GATES}, got {gate!r}')
        if category_scores not in CATEGORY_SCORES:
            raise ValueError(f'category_scores must be one of {CATEGORY_SCORES}, got {category_scores!r}')
        if frame_score not in FRAME_SCORES:
            raise ValueError(f'frame_score must be one of {FRAME_SCORES}, got {frame_score!r}')
        if frame_score == 'words' and not similarity_skip and not answer_skip:
            raise ValueError("frame_score='words' needs similarity_skip=True or answer_skip=True, got neither")
        if loss_norm not in LOSS_NORMS:
            raise ValueError(f'loss_norm must be one of {LOSS_NORMS}, got {loss_norm!r}')
        if loss_size is not None:
            check_count('loss_size', loss_size)
        self.cache = FeatureCache(feature_cache)
        self.segmenter = MODELS.build(segmenter)
        if stream_memory and not getattr(self.segmenter, 'memory', 0):
            raise ValueError(
                f'stream_memory=True needs a segmenter with memory, e.g. SAM2(memory=7), got {segmenter["type"]} '
                'without'
            )
        self.stream = StreamMemory() if stream_memory else None
        self.focal = _build_loss(loss_focal, 'FocalLoss')
        self.dice = _build_loss(loss_dice, 'DiceLoss')
        self.iou = _build_loss(loss_iou, 'MaskIoULoss')
        self.object = _build_loss(loss_object, 'ObjectScoreLoss')
        self.category: nn.Module | None = None if loss_category is None else MODELS.build(loss_category)
        self.mask_choice = mask_choice
        self.gate = gate
        self.category_scores = category_scores
        self.loss_norm = loss_norm
        self.loss_size = loss_size
        self.similarity_skip = similarity_skip
        if similarity_skip:
            self.mask_skip = nn.Parameter(torch.ones(()))
            self.object_skip = nn.Parameter(torch.ones(()))
        self.answer_skip = answer_skip
        if answer_skip:
            # To begin with, only what is clearly false counts: answers about what is merely seen are less sure.
            self.answer_scale = nn.Parameter(torch.full((), 0.35))
            self.answer_bias = nn.Parameter(torch.ones(()))
        self.frame_score = frame_score

    @property
    def embed_dim(self) -> int:
        """Channels of features and prompts."""
        return self.segmenter.embed_dim

    def train(self, mode: bool = True) -> 'AnomalyMaskHead':
        """Switch to training mode or back; weights may have changed: kept features and memories are forgotten."""
        self._forget()
        return super().train(mode)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._forget()
        super()._load_from_state_dict(*args, **kwargs)

    def _apply(self, *args: Any, **kwargs: Any) -> 'AnomalyMaskHead':
        self._forget()  # it may be moved to another device
        return super()._apply(*args, **kwargs)

    def _forget(self) -> None:
        self.cache.clear()
        if self.stream is not None:
            self.stream.clear()

    def encode(self, clips: Sequence[Tensor], data_samples: Sequence[VADDataSample] | None = None) -> FrameFeatures:
        """Features of all frames.

        At test each frame is encoded by itself: its features then do not depend, in the last bit, on which frames come
        with it. Those of frames that were seen not long ago are taken from the cache.

        Args:
            clips: RGB frames, (T_i, 3, H_i, W_i) each.
            data_samples: one per clip, by whose ``video_id`` and ``frame_inds`` frames are known again; None: all are
                encoded.

        Raises:
            torch.OutOfMemoryError: the GPU's memory is too small; names the settings that need less of it.
        """
        try:
            if self.training or torch.is_grad_enabled():
                return self.segmenter.encode(clips)
            return self.cache.encode(self.segmenter.encode, clips, data_samples)
        except torch.OutOfMemoryError as error:
            raise torch.OutOfMemoryError(
                "the segmenter's image encoder ran out of GPU memory; it needs less with a smaller batch_size of the "
                f'dataloader, mask_head.segmenter.image_size (now {self.segmenter.image_size}), or window of the data '
                f'set and mask_head.feature_cache (now {self.cache.capacity} frames): {error}'
            ) from error

    def position_encoding(self) -> Tensor:
        """Position encoding of the features, (1, C, h, w)."""
        return self.segmenter.position_encoding()

    def forward(self, features: FrameFeatures, projected: Any, memory: Sequence[Any] | None = None) -> SegmenterOutput:
        """Decode the projector's prompts.

        Args:
            features: from :meth:`encode`.
            projected: ``ProjectorOutput`` of the same F frames.
            memory: what an earlier call left in ``SegmenterOutput.memory``, one entry per clip; None: these clips
                are seen for the first time.

        Raises:
            FloatingPointError: the prompts hold NaN or infinity.
            ValueError: the skip is on and there is no similarity map.
        """
        if not projected.sparse.is_meta and not torch.isfinite(projected.sparse).all():
            raise FloatingPointError('projector: its prompts hold NaN or infinity')
        dense = projected.dense
        if dense is not None:
            dense = dense + self.segmenter.default_dense()
        return self.segmenter.decode(features, projected.sparse, dense, memory, self._shortcut(projected))

    def _shortcut(self, projected: Any) -> Shortcut | None:
        """What similarity map and answers add to the segmenter's logits."""
        if not self.similarity_skip and not self.answer_skip:
            return None
        masks = projected.sparse.new_zeros(len(projected.sparse), 1, 1, 1)
        found: list[Tensor] = []  # logits of each word, (F, n)
        if self.similarity_skip:
            if projected.similarity is None:
                raise ValueError('similarity_skip=True needs a projector with `similarity`, got one without')
            masks = self.mask_skip * projected.similarity.amax(dim=1, keepdim=True)  # (F, 1, h, w)
            found.append(rescale(seen_logits(projected.similarity), self.object_skip))
        if self.answer_skip:
            if projected.answers is None:
                raise ValueError("answer_skip=True needs an MLLM with answer='each', got another")
            found.append(rescale(projected.answers, self.answer_scale, self.answer_bias))
        words = both_logit(*found) if len(found) > 1 else found[0]
        return Shortcut(masks, words.amax(dim=1), float(self.frame_score == 'object'))

    def loss(self, features: FrameFeatures, projected: Any, data_samples: Sequence[VADDataSample]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            features: from :meth:`encode`.
            projected: ``ProjectorOutput`` of the same F frames.
            data_samples: the batch's samples with ``gt_frame_labels`` and ``gt_masks`` at the frames' size; with
                ``loss_category``, ``gt_category_labels`` too.

        Returns:
            ``loss_focal``, ``loss_dice``, ``loss_iou``, ``loss_object`` and, if switched on, ``loss_category``.

        Raises:
            FloatingPointError: features or prompts hold NaN or infinity; names the part that made them.
            ValueError: ground truth is missing or does not match the frames.
        """
        _check_finite(features, projected)
        output = self(features, projected)
        size = self.segmenter.mask_size if self.loss_size is None else self.loss_size
        labels, targets = read_targets(data_samples, len(features), self.segmenter.fit_masks, size, features.device)
        masks, ious = (
            part[:, :1] if self.mask_choice == 'single' else part[:, 1:] for part in (output.masks, output.ious)
        )  # (F, M, h, w), (F, M)
        masks = masks.float()
        if masks.shape[-1] != size:
            masks = F.interpolate(masks, size=(size, size), mode='bilinear', align_corners=False)
        targets = targets[:, None]  # (F, 1, h, w)

        focal, dice = self.focal(masks, targets), self.dice(masks, targets)  # (F, M) each
        focal, dice, iou = best_of_masks(focal + dice, focal, dice, self.iou(ious, masks, targets))  # (F,) each
        present = ((labels > 0) & (targets.flatten(1).amax(dim=1) > 0)).float()  # (F,)
        num_frames, num_counted = self._count_frames(present)
        losses = {
            'loss_focal': (focal * present).sum() / num_counted,
            'loss_dice': (dice * present).sum() / num_counted,
            'loss_iou': (iou * present).sum() / num_counted,
            'loss_object': self.object(output.object_logits, labels).sum() / num_frames,
        }
        if self.category is not None:
            losses['loss_category'] = self._category_loss(projected, data_samples, present) / num_counted
        if projected.categories is not None:
            # Keeps the words' embeddings in the graph: distributed training waits for a gradient of every parameter.
            losses['loss_object'] = losses['loss_object'] + 0.0 * projected.categories.float().sum()
        return losses

    @torch.no_grad()
    def predict(
        self, features: FrameFeatures, projected: Any, data_samples: Sequence[VADDataSample]
    ) -> list[VADDataSample]:
        """Fill ``pred_frame_scores``, ``pred_masks`` (at ``ori_shape``) and ``pred_category_scores``.

        The frame score is the sigmoid of the object logit; :func:`category_logits` tells what a word's score is. A
        projector without category text and similarity map has none: ``pred_category_scores`` is not set.

        Args:
            features: from :meth:`encode`.
            projected: ``ProjectorOutput`` of the same F frames.
            data_samples: samples with meta ``frame_inds``, ``img_shape``, ``ori_shape`` and ``categories``.

        Returns:
            The samples.
        """
        _check_finite(features, projected)
        lengths = [len(sample.frame_inds) for sample in data_samples]
        check_frames(lengths, len(features))
        if self.stream is None:
            output = self(features, projected)
        else:
            output = self._decode_stream(self.stream, features, projected, data_samples)
        chosen = select_masks(output.masks, output.ious, self.mask_choice).float()
        words = self._category_logits(projected)
        start = 0
        for sample, length in zip(data_samples, lengths, strict=True):
            frames = slice(start, start + length)
            start += length
            sample.pred_frame_scores = output.object_logits[frames].float().sigmoid()
            sample.pred_masks = self._place_masks(chosen[frames], output.object_logits[frames], sample)
            if words is not None:
                sample.pred_category_scores = words[frames, : len(sample.categories)].sigmoid()
        return list(data_samples)

    def _decode_stream(
        self, stream: StreamMemory, features: FrameFeatures, projected: Any, data_samples: Sequence[VADDataSample]
    ) -> SegmenterOutput:
        """Decode frame after frame; each sees what is remembered of its video, earlier windows included."""
        outputs: list[SegmenterOutput] = []
        for sample in data_samples:
            memory = stream.enter(sample, self.segmenter.new_memory)
            for number in sample.frame_inds:
                frame = len(outputs)
                output = self(features.select([frame]), projected.select(frame), [memory])
                assert output.memory is not None
                (memory,) = output.memory
                stream.keep(number, memory)
                outputs.append(output)
        return SegmenterOutput.join(outputs)

    def _place_masks(self, mask_logits: Tensor, object_logits: Tensor, sample: VADDataSample) -> Tensor:
        """Probabilities at the original resolution, (T, H, W), made frame by frame: nothing else is that large."""
        shape, image_shape = tuple(sample.ori_shape), tuple(sample.get('img_shape', sample.ori_shape))
        masks = mask_logits.new_empty(len(mask_logits), *shape)
        for frame, (logits, object_logit) in enumerate(zip(mask_logits, object_logits, strict=True)):
            masks[frame] = gate_masks(
                self.segmenter.restore(logits[None], image_shape, shape), object_logit[None], self.gate
            )[0]
        return masks

    def _count_frames(self, present: Tensor) -> tuple[Tensor, Tensor]:
        """What sums over all frames, and over those with the object, are divided by: means over the processes.

        Args:
            present: 1 where the frame holds the object, else 0, (F,).
        """
        counts = torch.stack([present.new_tensor(len(present)), present.sum()])
        all_reduce(counts)
        num_frames, num_positives = counts.clamp(min=1) / get_world_size()
        return num_frames, num_positives if self.loss_norm == 'positives' else num_frames

    def _category_logits(self, projected: Any) -> Tensor | None:
        """:func:`category_logits` by what ``category_scores`` says, (F, n) or None."""
        if self.category_scores == 'answer':
            if projected.answers is None:
                raise ValueError("category_scores='answer' needs an MLLM with answer='each', got another")
            return projected.answers
        categories = None if self.category_scores == 'similarity' else projected.categories
        similarity = None if self.category_scores == 'cosine' else projected.similarity
        logits = category_logits(projected.sparse, categories, similarity)
        if logits is None and self.category_scores != 'auto':
            needed = 'category text' if self.category_scores == 'cosine' else '`similarity`'
            raise ValueError(
                f'category_scores={self.category_scores!r} needs a projector with {needed}, got one without'
            )
        return logits

    def _category_loss(self, projected: Any, data_samples: Sequence[VADDataSample], present: Tensor) -> Tensor:
        """Loss of the words' logits, summed over the frames that hold the object."""
        assert self.category is not None
        similarity = projected.similarity if projected.categories is None else None
        logits = category_logits(projected.sparse, projected.categories, similarity)  # (F, n)
        if logits is None:
            raise ValueError('loss_category needs a projector with category text or `similarity`, got one with neither')
        named, true = read_named_words(data_samples, logits, present)
        return (self.category(logits, true, named) * present).sum()
