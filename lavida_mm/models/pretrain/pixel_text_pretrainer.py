"""Pixel-text alignment: a stand-in for the pretraining of CLIP and SAM, for models too small to have any."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor

from lavida_mm.registry import MODELS
from lavida_mm.structures import VADDataSample

__all__ = ['PixelTextPretrainer', 'region_targets']

UNKNOWN = -100  # torch's ignore_index: the object has no known word in this group
BACKGROUND = -1


def region_targets(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Give each cell of the feature grid the object that covers most of it.

    Args:
        masks: object masks of one frame, bool (N, H, W).
        size: height and width (h, w) of the feature grid.

    Returns:
        Index of the object in each cell, int64 (h, w); ``BACKGROUND`` where objects cover less than a tenth of
        the cell, ``UNKNOWN`` where they cover part of it but none covers half.
    """
    if not len(masks):
        return masks.new_full(size, BACKGROUND, dtype=torch.long)
    covered = F.adaptive_avg_pool2d(masks[None].float(), size)[0]  # (N, h, w)
    share, target = covered.max(dim=0)  # (h, w)
    target[share < 0.5] = UNKNOWN
    target[covered.sum(dim=0) < 0.1] = BACKGROUND
    return target


@MODELS.register_module()
class PixelTextPretrainer(BaseModel):
    """Aligns the segmenter's features with the text encoder's, from images whose objects carry words.

    Words are grouped (colours, shapes, names, ...): an object has at most one word per group, and the words of a
    group exclude each other. For every pixel of an object the words of each group compete in a softmax; a sigmoid
    says of every known word whether it is there at all, on the background too.

    Args:
        segmenter: config of the segmenter whose image encoder learns.
        text_encoder: config of the text encoder, not frozen.
        similarity: config of the pixel-text similarity, e.g. ``PixelTextSimilarity``.
        word_groups: groups of words that exclude each other.
        presence_weight: weight of the sigmoid loss beside the softmax one.
        data_preprocessor: config of the data preprocessor; ``VADDataPreprocessor`` where None.
    """

    def __init__(
        self,
        *,
        segmenter: dict,
        text_encoder: dict,
        similarity: dict,
        word_groups: dict[str, list[str]],
        presence_weight: float = 5.0,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='VADDataPreprocessor')))
        self.segmenter = MODELS.build(segmenter)
        self.text_encoder = MODELS.build(text_encoder)
        self.similarity = MODELS.build(similarity)
        self.word_groups = {name: list(words) for name, words in word_groups.items()}
        self.words = [word for words in self.word_groups.values() for word in words]
        if len(set(self.words)) != len(self.words):
            raise ValueError(f'word_groups must not name a word twice, got {sorted(self.words)}')
        self.presence_weight = presence_weight

    def forward(self, inputs: list[Tensor], data_samples: list[VADDataSample], mode: str = 'tensor'):
        """Dispatch to :meth:`loss` or the raw similarity logits (F, V, h, w); see :class:`LAVIDA` for the inputs."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'tensor':
            return self._forward(inputs)
        raise ValueError(f"mode must be 'loss' or 'tensor': this model only pretrains, got {mode!r}")

    def loss(self, inputs: list[Tensor], data_samples: list[VADDataSample]) -> dict[str, Tensor]:
        """Softmax loss and accuracy per word group, and the sigmoid presence loss.

        Args:
            inputs: images, uint8 (1, 3, H, W) each.
            data_samples: ``gt_object_masks`` bool (N, 1, H, W) and ``object_words``, N lists of words.
        """
        logits = self._forward(inputs)  # (F, V, h, w)
        labels = torch.stack(
            [self._label_pixels(sample, (logits.shape[-2], logits.shape[-1])) for sample in data_samples]
        )  # (F, groups, h, w): word of the group, BACKGROUND or UNKNOWN
        losses, present, known, start = {}, [], [], 0
        for index, (name, words) in enumerate(self.word_groups.items()):
            group_logits = logits[:, start : start + len(words)].float()
            group_labels = labels[:, index]
            target = group_labels.masked_fill(group_labels == BACKGROUND, UNKNOWN)
            counted = target != UNKNOWN
            count = counted.sum().clamp(min=1)
            losses[f'loss_{name}'] = (
                F.cross_entropy(group_logits, target, ignore_index=UNKNOWN, reduction='sum') / count
            )
            losses[f'acc_{name}'] = (group_logits.argmax(1) == target)[counted].float().sum() / count
            present.append(F.one_hot(target.clamp(min=0), len(words)).movedim(-1, 1) * counted.unsqueeze(1))
            known.append((group_labels != UNKNOWN).unsqueeze(1).expand_as(present[-1]))
            start += len(words)
        known_words = torch.cat(known, dim=1)
        presence = F.binary_cross_entropy_with_logits(
            logits.float(), torch.cat(present, dim=1).float(), weight=known_words.float(), reduction='sum'
        )
        losses['loss_presence'] = self.presence_weight * presence / known_words.sum().clamp(min=1)
        return losses

    def _forward(self, inputs: list[Tensor]) -> Tensor:
        features = self.segmenter.encode(inputs).deep  # (F, C, h, w)
        text = self.text_encoder(self.words)  # (V, Ct)
        return self.similarity(features, text.expand(len(features), -1, -1))

    def _label_pixels(self, sample: VADDataSample, size: tuple[int, int]) -> Tensor:
        """Word of each group at each cell of the feature grid, int64 (groups, h, w)."""
        target = region_targets(sample.gt_object_masks[:, 0], size)
        rows = [self._words_of(words, sample.video_id) for words in sample.object_words]
        rows += [[UNKNOWN] * len(self.word_groups), [BACKGROUND] * len(self.word_groups)]
        table = torch.tensor(rows, device=target.device)  # (N + 2, groups); UNKNOWN and BACKGROUND come last
        target = torch.where(target == UNKNOWN, len(rows) - 2, target)  # BACKGROUND is -1: the last row
        return table[target].movedim(-1, 0)

    def _words_of(self, words: Sequence[str], video_id: str) -> list[int]:
        unknown = [word for word in words if word not in self.words]
        if unknown:
            raise ValueError(f'{video_id}: object word {unknown[0]!r} is in none of word_groups')
        row = []
        for name, group in self.word_groups.items():
            found = [group.index(word) for word in words if word in group]
            if len(found) > 1:
                raise ValueError(f'{video_id}: an object may have one word of group {name!r}, got {list(words)}')
            row.append(found[0] if found else UNKNOWN)
        return row
