"""The multimodal LLM: frames and a prompt in, the state at ``<SEG>`` out."""

from lavida_mm.models.mllm.families import MLLMFamily, VisualInput, VisualTokens
from lavida_mm.models.mllm.mllm_backbone import MLLMBackbone, MLLMOutput
from lavida_mm.models.mllm.prompt_writer import Turn
from lavida_mm.models.mllm.prompts import ANSWER_TEMPLATES, NUM_TEMPLATES, QUESTION_TEMPLATES, SEG_TOKEN
from lavida_mm.models.mllm.visual_tokens import PatchGrid, count_visual_tokens

__all__ = [
    'ANSWER_TEMPLATES',
    'NUM_TEMPLATES',
    'QUESTION_TEMPLATES',
    'SEG_TOKEN',
    'MLLMBackbone',
    'MLLMFamily',
    'MLLMOutput',
    'PatchGrid',
    'Turn',
    'VisualInput',
    'VisualTokens',
    'count_visual_tokens',
]
