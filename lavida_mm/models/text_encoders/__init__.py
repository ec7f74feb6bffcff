"""Text encoders: words in, one feature per word out."""

from lavida_mm.models.text_encoders.clip_text_encoder import CLIPTextEncoder

__all__ = ['CLIPTextEncoder']
