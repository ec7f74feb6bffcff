"""LAVIDA: frames and words in, a score and a mask per frame out. The only place where the parts meet."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from mmengine.model import BaseModel
from torch import Tensor

from lavida_mm.models.losses import answer_loss, find_answers
from lavida_mm.models.mask_heads import FrameFeatures
from lavida_mm.registry import MODELS
from lavida_mm.structures import VADDataSample
from lavida_mm.utils.checks import check_number

__all__ = ['LAVIDA']


class _Encoded(NamedTuple):
    """What the heads need of one batch of clips with F frames in all."""

    features: FrameFeatures
    projected: object  # ProjectorOutput
    lm_loss: Tensor  # ()
    answers: Tensor | None  # (B, n)


def check_width(config: dict, key: str, part: str, width: int | None, name: str = 'projector') -> None:
    """Raise ValueError where a config expects other channels than a part gives.

    Args:
        config: of who takes the channels.
        key: its setting.
        part: who gives them.
        width: how many it gives; None: it does not say.
        name: where the config stands.
    """
    if width is not None and key in config and config[key] != width:
        raise ValueError(f'{name}.{key} must be {width}, the channels of {part}, got {config[key]!r}')


@MODELS.register_module()
class LAVIDA(BaseModel):
    """Zero-shot video anomaly detector (LAVIDA, arXiv 2602.19248).

    The multimodal LLM reads frames and words and gives a hidden state at ``<SEG>``; the projector makes prompts of
    the mask decoder from that state and the words' text features; the mask head gives masks and frame scores.

    Args:
        mllm: config of the multimodal LLM (section 3.2), e.g. ``MLLMBackbone``.
        text_encoder: config of the encoder of the named words, e.g. ``CLIPTextEncoder``. One with a method ``bind`` is
            given the MLLM: ``MLLMTextEncoder``.
        projector: config of the projector (section 3.4), e.g. ``MultiScaleSemanticProjector``.
        mask_head: config of the mask head (section 3.5), e.g. ``AnomalyMaskHead``.
        compressor: config of the visual token compressor (section 3.3); None keeps all tokens.
        token_filter: config of what drops visual tokens before the vision tower, e.g. ``StaticTokenFilter``; None
            drops none.
        lm_loss_weight: weight of the language-model loss.
        answer_loss_weight: weight of the cross entropy of what the MLLM says of each word, where its ``answer`` is
            ``'each'``.
        data_preprocessor: config of the data preprocessor; ``VADDataPreprocessor`` where None.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        *,
        mllm: dict,
        text_encoder: dict,
        projector: dict,
        mask_head: dict,
        compressor: dict | None = None,
        token_filter: dict | None = None,
        lm_loss_weight: float = 1.0,
        answer_loss_weight: float = 1.0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='VADDataPreprocessor')), init_cfg)
        check_number('answer_loss_weight', answer_loss_weight, least=0)
        self.mllm = MODELS.build(mllm)
        self.compressor = MODELS.build(compressor) if compressor is not None else None
        self.token_filter = MODELS.build(token_filter) if token_filter is not None else None
        self.text_encoder = MODELS.build(text_encoder)
        if hasattr(self.text_encoder, 'bind'):  # it takes its features from the MLLM
            self.text_encoder.bind(self.mllm)
        check_width(projector, 'seg_channels', 'mllm', getattr(self.mllm, 'hidden_size', None))
        check_width(projector, 'text_channels', 'text_encoder', getattr(self.text_encoder, 'out_channels', None))
        self.projector = MODELS.build(projector)
        self.mask_head = MODELS.build(mask_head)
        self._check_visual_widths(projector)
        self._check_similarity(projector)
        self._check_answers()
        self.lm_loss_weight = lm_loss_weight
        self.answer_loss_weight = answer_loss_weight

    def _check_visual_widths(self, projector: dict) -> None:
        """Raise ValueError where the projector's config and its similarity map's expect other features."""
        visual = getattr(self.mask_head, 'embed_dim', None)
        check_width(projector, 'visual_channels', 'the segmenter', visual)
        similarity = projector.get('similarity') or {}
        check_width(similarity, 'visual_channels', 'the segmenter', visual, 'projector.similarity')
        text = getattr(self.text_encoder, 'out_channels', None)
        check_width(similarity, 'text_channels', 'text_encoder', text, 'projector.similarity')

    def _check_similarity(self, projector: dict) -> None:
        """Raise ValueError where the mask head needs a similarity map and the projector makes none."""
        if projector.get('similarity') is not None:
            return
        if getattr(self.mask_head, 'similarity_skip', False):
            raise ValueError('mask_head.similarity_skip=True needs projector.similarity, got a projector without')
        if getattr(self.mask_head, 'category_scores', None) == 'similarity':
            raise ValueError(
                "mask_head.category_scores='similarity' needs projector.similarity, got a projector without"
            )

    def _check_answers(self) -> None:
        """Raise ValueError where the mask head needs an answer for each word and the MLLM gives one for all."""
        if getattr(self.mllm, 'answer', 'joint') == 'each':
            return
        for setting, wanted in (('answer_skip', True), ('category_scores', 'answer')):
            if getattr(self.mask_head, setting, None) == wanted:
                raise ValueError(f"mask_head.{setting}={wanted!r} needs mllm.answer='each', got another")

    def forward(self, inputs: list[Tensor], data_samples: list[VADDataSample], mode: str = 'tensor'):
        """Dispatch to :meth:`loss`, :meth:`predict` or the raw outputs.

        Args:
            inputs: B clips, uint8 RGB (T_i, 3, H_i, W_i).
            data_samples: one per clip; each names its words in ``categories``.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self._forward(inputs, data_samples)
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def loss(self, inputs: list[Tensor], data_samples: list[VADDataSample]) -> dict[str, Tensor]:
        """The five losses of the paper: focal, dice, IoU, object-present and language-model cross entropy.

        Where the MLLM is asked word by word, ``loss_answer`` too.
        """
        encoded = self._encode(inputs, data_samples)
        losses = self.mask_head.loss(encoded.features, encoded.projected, data_samples)
        losses['loss_lm'] = self.lm_loss_weight * encoded.lm_loss
        if encoded.answers is not None:
            answers = find_answers(data_samples, encoded.answers.device)
            losses['loss_answer'] = self.answer_loss_weight * answer_loss(encoded.answers, answers)
        return losses

    def predict(self, inputs: list[Tensor], data_samples: list[VADDataSample]) -> list[VADDataSample]:
        """Fill ``pred_frame_scores``, ``pred_masks`` and ``pred_category_scores`` of each sample."""
        encoded = self._encode(inputs, data_samples)
        return self.mask_head.predict(encoded.features, encoded.projected, data_samples)

    def _forward(self, inputs: list[Tensor], data_samples: list[VADDataSample]):
        encoded = self._encode(inputs, data_samples)
        return self.mask_head(encoded.features, encoded.projected)

    def _encode(self, inputs: list[Tensor], data_samples: list[VADDataSample]) -> _Encoded:
        categories = [sample.categories for sample in data_samples]
        templates = [sample.get('template', 0) for sample in data_samples]
        read = self.mllm(inputs, categories, templates, self.compressor, self.token_filter)
        features = self.mask_head.encode(inputs, data_samples)
        text, text_mask = self._encode_words(categories)  # (B, n, Ct), (B, n)
        frames_per_clip = torch.tensor(features.lengths, device=features.device)
        clip_index = torch.arange(len(inputs), device=features.device).repeat_interleave(frames_per_clip)  # (F,)
        projected = self.projector(
            read.seg_states, text, text_mask, features.deep, self.mask_head.position_encoding(), clip_index
        )
        answers = getattr(read, 'answers', None)
        if answers is not None:
            projected = replace(projected, answers=answers[clip_index])  # (F, n)
        return _Encoded(features, projected, read.loss, answers)

    def _encode_words(self, categories: Sequence[list[str]]) -> tuple[Tensor, Tensor]:
        """Encode each distinct word once, then lay the words of each clip side by side.

        Returns:
            Text features (B, n, Ct), n the longest list, zero where a clip names fewer words; and the mask of
            named words, bool (B, n).
        """
        words = list(dict.fromkeys(word for clip_words in categories for word in clip_words))
        row_of = {word: row for row, word in enumerate(words)}
        rows = [[row_of[word] for word in clip_words] for clip_words in categories]
        longest = max(len(clip_rows) for clip_rows in rows)
        features = self.text_encoder(words)  # (distinct words, Ct)
        padded = torch.tensor([r + [-1] * (longest - len(r)) for r in rows], device=features.device)
        mask = padded >= 0  # (B, n)
        return features[padded.clamp(min=0)] * mask.unsqueeze(-1), mask
