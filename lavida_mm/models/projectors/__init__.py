"""Projectors: from the MLLM's state and the words to prompts of the mask decoder."""

from lavida_mm.models.projectors.mlp_projector import MLPProjector
from lavida_mm.models.projectors.multi_scale_semantic_projector import MultiScaleSemanticProjector
from lavida_mm.models.projectors.pixel_text_similarity import PixelTextSimilarity
from lavida_mm.models.projectors.projector import Projector, ProjectorInput
from lavida_mm.models.projectors.projector_output import ProjectorOutput
from lavida_mm.models.projectors.qformer_projector import QFormerProjector
from lavida_mm.models.projectors.two_way_qformer import TwoWayQFormer

__all__ = [
    'MLPProjector',
    'MultiScaleSemanticProjector',
    'PixelTextSimilarity',
    'Projector',
    'ProjectorInput',
    'ProjectorOutput',
    'QFormerProjector',
    'TwoWayQFormer',
]
