"""From features and prompts to losses, or to masks and scores."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from lavida_mm.models.mask_heads.sam import SegmenterOutput
from lavida_mm.registry import MODELS
from lavida_mm.structures import VADDataSample

__all__ = ['AnomalyMaskHead', 'category_logits', 'gate_masks', 'select_masks']

GATES = ('hard', 'soft', 'none')
MASK_CHOICES = ('best_iou', 'single')
NO_OBJECT_LOGIT = -1024.0  # the authors' value
COSINE_SCALE = 10.0


def select_masks(masks: Tensor, ious: Tensor, choice: str) -> Tensor:
    """One mask per frame.

    Args:
        masks: mask logits, the single mask first, (F, 4, H, W).
        ious: predicted IoUs, (F, 4).
        choice: ``single`` takes the first mask, ``best_iou`` that of highest predicted IoU among the others.

    Returns:
        Mask logits, (F, H, W).
    """
    if choice == 'single':
        return masks[:, 0]
    best = ious[:, 1:].argmax(dim=1) + 1  # (F,)
    return masks[torch.arange(len(masks), device=masks.device), best]


def gate_masks(mask_logits: Tensor, object_logits: Tensor, gate: str) -> Tensor:
    """Probability of each pixel, given whether the frame holds the object at all.

    Args:
        mask_logits: (T, H, W).
        object_logits: (T,).
        gate: ``hard`` empties the masks of frames whose object logit is not above 0, as the authors do; ``soft``
            multiplies the pixels' probabilities by the frame's; ``none`` leaves them alone.

    Returns:
        Probabilities, float32 (T, H, W).
    """
    mask_logits = mask_logits.float()
    object_logits = object_logits.float()[:, None, None]
    if gate == 'hard':
        mask_logits = mask_logits.masked_fill(object_logits <= 0, NO_OBJECT_LOGIT)
    probabilities = mask_logits.sigmoid()
    return probabilities * object_logits.sigmoid() if gate == 'soft' else probabilities


def category_logits(sparse: Tensor, categories: Tensor, similarity: Tensor | None) -> Tensor:
    """How strongly each named word is found in each frame.

    With a pixel-text similarity map it is the map's maximum over the frame. Without one it is the scaled cosine
    between the frame's prompt and the word's embedding; this has a meaning only if ``loss_category`` trains it.

    Args:
        sparse: prompts, (F, P, C).
        categories: embeddings of the words, (F, n, C).
        similarity: similarity logits, (F, n, h, w) or None.

    Returns:
        Logits, float32 (F, n).
    """
    if similarity is not None:
        return similarity.float().flatten(2).amax(dim=2)
    prompt = sparse.float().mean(dim=1, keepdim=True)  # (F, 1, C)
    return COSINE_SCALE * F.cosine_similarity(prompt, categories.float(), dim=2)


def _build_loss(config: dict | None, default: str) -> nn.Module:
    """A loss by its config, or the one of docs/method.md with its weight."""
    return MODELS.build({'type': default} if config is None else config)


@MODELS.register_module()
class AnomalyMaskHead(BaseModule):
    """Owns a segmenter, the losses and the post-processing (docs/method.md, section 5 and Losses).

    While training, focal and Dice loss are computed for each of the three masks of the multi-mask output (for the
    single mask with ``mask_choice='single'``); only the best of them by their sum counts, with its IoU loss. Mask
    and IoU losses count only in frames that hold the object, the object loss in all; each sum is divided by the
    number of frames in the batch.

    Args:
        segmenter: config of the segmenter, ``SAM`` for example.
        loss_focal: config of the focal loss; None: 20 x ``FocalLoss``.
        loss_dice: config of the Dice loss; None: 2 x ``DiceLoss``.
        loss_iou: config of the IoU loss; None: 1 x ``MaskIoULoss``.
        loss_object: config of the object-present loss; None: 2 x ``ObjectScoreLoss``.
        loss_category: config of a loss on which named word it was, or None for none.
        mask_choice: ``best_iou`` (of three) or ``single``.
        gate: what the object logit does to the masks at test: ``hard``, ``soft`` or ``none``.
        similarity_skip: add the projector's similarity map, times a learned scale, to the mask logits, and its
            maximum, times another, to the object logit.
        loss_size: side at which masks and ground truth are compared; None: that of the decoded masks.
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
        mask_choice: str = 'best_iou',
        gate: str = 'hard',
        similarity_skip: bool = False,
        loss_size: int | None = None,
    ) -> None:
        super().__init__()
        if mask_choice not in MASK_CHOICES:
            raise ValueError(f'mask_choice must be one of {MASK_CHOICES}, got {mask_choice!r}')
        if gate not in GATES:
            raise ValueError(f'gate must be one of {GATES}, got {gate!r}')
        if loss_size is not None and loss_size < 1:
            raise ValueError(f'loss_size must be None or at least 1, got {loss_size}')
        self.segmenter = MODELS.build(segmenter)
        self.focal = _build_loss(loss_focal, 'FocalLoss')
        self.dice = _build_loss(loss_dice, 'DiceLoss')
        self.iou = _build_loss(loss_iou, 'MaskIoULoss')
        self.object = _build_loss(loss_object, 'ObjectScoreLoss')
        self.category: nn.Module | None = None if loss_category is None else MODELS.build(loss_category)
        self.mask_choice = mask_choice
        self.gate = gate
        self.loss_size = loss_size
        self.similarity_skip = similarity_skip
        if similarity_skip:
            self.mask_skip = nn.Parameter(torch.ones(()))
            self.object_skip = nn.Parameter(torch.ones(()))

    @property
    def embed_dim(self) -> int:
        """Channels of features and prompts."""
        return self.segmenter.embed_dim

    def encode(self, clips: Sequence[Tensor]) -> Tensor:
        """Features of all frames: clips of (T_i, 3, H_i, W_i) in, (F, C, h, w) out."""
        return self.segmenter.encode(clips)

    def position_encoding(self) -> Tensor:
        """Position encoding of the features, (1, C, h, w)."""
        return self.segmenter.position_encoding()

    def forward(self, features: Tensor, projected: Any) -> SegmenterOutput:
        """Decode the projector's prompts.

        Args:
            features: (F, C, h, w).
            projected: ``ProjectorOutput`` of the same F frames.

        Raises:
            FloatingPointError: the prompts hold NaN or infinity.
            ValueError: the skip is on and there is no similarity map.
        """
        if not projected.sparse.is_meta and not torch.isfinite(projected.sparse).all():
            raise FloatingPointError('projector: its prompts hold NaN or infinity')
        dense = projected.dense
        if dense is not None:
            dense = dense + self.segmenter.default_dense()
        output = self.segmenter.decode(features, projected.sparse, dense)
        if not self.similarity_skip:
            return output
        if projected.similarity is None:
            raise ValueError('similarity_skip=True needs a projector with `similarity`, got one without')
        found = projected.similarity.amax(dim=1, keepdim=True)  # (F, 1, h, w)
        shortcut = F.interpolate(found, size=output.masks.shape[-2:], mode='bilinear', align_corners=False)
        return SegmenterOutput(
            masks=output.masks + self.mask_skip * shortcut,
            ious=output.ious,
            object_logits=output.object_logits + self.object_skip * found.flatten(1).amax(dim=1),
        )

    def loss(self, features: Tensor, projected: Any, data_samples: Sequence[VADDataSample]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            features: (F, C, h, w).
            projected: ``ProjectorOutput`` of the same F frames.
            data_samples: the batch's samples with ``gt_frame_labels`` and ``gt_masks`` at the frames' size; with
                ``loss_category``, ``gt_category_labels`` too.

        Returns:
            ``loss_focal``, ``loss_dice``, ``loss_iou``, ``loss_object`` and, if switched on, ``loss_category``.

        Raises:
            ValueError: ground truth is missing or does not match the frames.
        """
        output = self(features, projected)
        num_frames = len(features)
        labels, targets = self._targets(data_samples, num_frames, features.device)
        masks, ious = (
            part[:, :1] if self.mask_choice == 'single' else part[:, 1:] for part in (output.masks, output.ious)
        )  # (F, M, h, w), (F, M)
        masks = masks.float()
        size = targets.shape[-1]
        if masks.shape[-1] != size:
            masks = F.interpolate(masks, size=(size, size), mode='bilinear', align_corners=False)
        targets = targets[:, None]  # (F, 1, h, w)

        focal = self.focal(masks, targets)  # (F, M)
        dice = self.dice(masks, targets)
        best = (focal + dice).detach().argmin(dim=1, keepdim=True)  # (F, 1)
        present = (labels > 0) & (targets.flatten(1).amax(dim=1) > 0)
        weights = present.float() / num_frames
        losses = {
            'loss_focal': (focal.gather(1, best)[:, 0] * weights).sum(),
            'loss_dice': (dice.gather(1, best)[:, 0] * weights).sum(),
            'loss_iou': (self.iou(ious, masks, targets).gather(1, best)[:, 0] * weights).sum(),
            'loss_object': self.object(output.object_logits, labels).sum() / num_frames,
        }
        if self.category is not None:
            losses['loss_category'] = self._category_loss(projected, data_samples, labels) / num_frames
        else:
            # Keeps the words' embeddings in the graph: distributed training waits for a gradient of every parameter.
            losses['loss_object'] = losses['loss_object'] + 0.0 * projected.categories.float().sum()
        return losses

    @torch.no_grad()
    def predict(self, features: Tensor, projected: Any, data_samples: Sequence[VADDataSample]) -> list[VADDataSample]:
        """Fill ``pred_frame_scores``, ``pred_masks`` (at ``ori_shape``) and ``pred_category_scores``.

        The frame score is the sigmoid of the object logit; :func:`category_logits` tells what a word's score is.

        Args:
            features: (F, C, h, w).
            projected: ``ProjectorOutput`` of the same F frames.
            data_samples: samples with meta ``frame_inds``, ``img_shape``, ``ori_shape`` and ``categories``.

        Returns:
            The samples.
        """
        output = self(features, projected)
        chosen = select_masks(output.masks, output.ious, self.mask_choice).float()
        words = category_logits(projected.sparse, projected.categories, projected.similarity).sigmoid()
        lengths = [len(sample.frame_inds) for sample in data_samples]
        self._check_frames(lengths, len(features))
        start = 0
        for sample, length in zip(data_samples, lengths, strict=True):
            frames = slice(start, start + length)
            start += length
            image_shape = tuple(sample.get('img_shape', sample.ori_shape))
            masks = self.segmenter.restore(chosen[frames], image_shape, tuple(sample.ori_shape))
            sample.pred_frame_scores = output.object_logits[frames].float().sigmoid()
            sample.pred_masks = gate_masks(masks, output.object_logits[frames], self.gate)
            sample.pred_category_scores = words[frames, : len(sample.categories)]
        return list(data_samples)

    def _targets(
        self, data_samples: Sequence[VADDataSample], num_frames: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Labels (F,) and masks (F, size, size) of all frames, as the segmenter sees them."""
        size = self.segmenter.mask_size if self.loss_size is None else self.loss_size
        labels, masks = [], []
        for sample in data_samples:
            name = sample.get('video_id', '?')
            for field in ('gt_frame_labels', 'gt_masks'):
                if field not in sample:
                    raise ValueError(f'sample {name}: {field} is needed for the loss and missing')
            if len(sample.gt_masks) != len(sample.gt_frame_labels):
                raise ValueError(
                    f'sample {name}: gt_masks and gt_frame_labels must have one entry per frame, got '
                    f'{len(sample.gt_masks)} and {len(sample.gt_frame_labels)}'
                )
            image_shape = sample.get('img_shape', None)
            if image_shape is not None and tuple(sample.gt_masks.shape[1:]) != tuple(image_shape):
                raise ValueError(
                    f"sample {name}: gt_masks must have the frames' size {tuple(image_shape)}, got "
                    f'{tuple(sample.gt_masks.shape[1:])}'
                )
            labels.append(sample.gt_frame_labels.to(device))
            masks.append(self.segmenter.fit_masks(sample.gt_masks.to(device), size))
        self._check_frames([len(part) for part in labels], num_frames)
        return torch.cat(labels), torch.cat(masks)

    def _category_loss(self, projected: Any, data_samples: Sequence[VADDataSample], labels: Tensor) -> Tensor:
        """Loss of the words' logits, the mean over a frame's words, summed over frames."""
        assert self.category is not None
        logits = category_logits(projected.sparse, projected.categories, projected.similarity)  # (F, n)
        total = 0.0 * projected.categories.float().sum()
        start = 0
        for sample in data_samples:
            frames = slice(start, start + len(sample.gt_frame_labels))
            start = frames.stop
            if 'gt_category_labels' not in sample or len(sample.gt_category_labels) != len(sample.categories):
                raise ValueError(
                    f'sample {sample.get("video_id", "?")}: loss_category needs gt_category_labels with one entry for '
                    f'each of the {len(sample.categories)} named words'
                )
            words = sample.gt_category_labels.to(logits)
            truth = words[None] * (labels[frames, None] > 0)  # (T, n)
            total = total + self.category(logits[frames, : len(words)], truth).mean(dim=1).sum()
        return total

    @staticmethod
    def _check_frames(lengths: Sequence[int], num_frames: int) -> None:
        if sum(lengths) != num_frames:
            raise ValueError(f'the samples hold {sum(lengths)} frames {list(lengths)}, the features {num_frames}')
