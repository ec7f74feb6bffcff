"""Pretraining stand-ins: what released weights bring to the full-size model, learnt by the tiny one itself."""

from lavida_mm.models.pretrain.mllm_pretrainer import MLLMPretrainer
from lavida_mm.models.pretrain.pixel_text_pretrainer import PixelTextPretrainer

__all__ = ['MLLMPretrainer', 'PixelTextPretrainer']
