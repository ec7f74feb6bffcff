"""Text encoders: words in, one feature per word out."""

from lavida_mm.models.text_encoders.clip_text_encoder import CLIPTextEncoder
from lavida_mm.models.text_encoders.mllm_text_encoder import MLLMTextEncoder
from lavida_mm.models.text_encoders.siglip2_text_encoder import SigLIP2TextEncoder
from lavida_mm.models.text_encoders.text_encoder import TextEncoder

__all__ = ['CLIPTextEncoder', 'MLLMTextEncoder', 'SigLIP2TextEncoder', 'TextEncoder']
