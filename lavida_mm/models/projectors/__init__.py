"""Projectors: from the MLLM's state and the words to prompts of the mask decoder."""

from lavida_mm.models.projectors.multi_scale_semantic_projector import MultiScaleSemanticProjector, ProjectorOutput
from lavida_mm.models.projectors.pixel_text_similarity import PixelTextSimilarity
from lavida_mm.models.projectors.two_way_qformer import TwoWayQFormer

__all__ = ['MultiScaleSemanticProjector', 'PixelTextSimilarity', 'ProjectorOutput', 'TwoWayQFormer']
