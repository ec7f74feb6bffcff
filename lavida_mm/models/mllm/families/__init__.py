"""What differs between families of multimodal LLMs, and nothing else: one small class each."""

from typing import Any

from lavida_mm.models.mllm.families.base_family import MLLMFamily, VisualInput, VisualTokens
from lavida_mm.models.mllm.families.internvl import InternVLFamily
from lavida_mm.models.mllm.families.llava_onevision import LlavaOnevisionFamily
from lavida_mm.models.mllm.families.qwen_vl import Qwen2VLFamily, Qwen3VLFamily, Qwen25VLFamily
from lavida_mm.models.mllm.families.smolvlm import SmolVLMFamily
from lavida_mm.registry import MLLM_FAMILIES

__all__ = [
    'InternVLFamily',
    'LlavaOnevisionFamily',
    'MLLMFamily',
    'Qwen2VLFamily',
    'Qwen3VLFamily',
    'Qwen25VLFamily',
    'SmolVLMFamily',
    'VisualInput',
    'VisualTokens',
    'family_of',
]


def family_of(config: Any, pretrained: str) -> MLLMFamily:
    """The family of a model, chosen by the ``model_type`` of its config.

    Args:
        config: of the model, from transformers.
        pretrained: where it came from, for the error.

    Raises:
        ValueError: no family serves it.
    """
    if not hasattr(config, 'vision_config'):
        raise ValueError(
            f"MLLMBackbone.pretrained='{pretrained}' must be a vision-language model, got one of model_type "
            f"'{config.model_type}' without a vision tower"
        )
    family = MLLM_FAMILIES.get(config.model_type)
    if family is None:
        raise ValueError(
            f"MLLMBackbone.pretrained='{pretrained}' is of model_type '{config.model_type}', which no family serves; "
            f'served: {", ".join(sorted(MLLM_FAMILIES.module_dict))}. To add one, register a subclass of MLLMFamily '
            f"under the name '{config.model_type}' in a module that the config names in custom_imports: "
            'docs/backbones.md shows it'
        )
    return family(config)
