"""Pictures for people: annotated frames and score curves."""

from lavida_mm.visualization.contact_sheet import draw_contact_sheet
from lavida_mm.visualization.overlay import FrameAnnotator, display_size, format_time, overlay_mask
from lavida_mm.visualization.score_timeline import draw_score_timeline

__all__ = ['FrameAnnotator', 'display_size', 'draw_contact_sheet', 'draw_score_timeline', 'format_time', 'overlay_mask']
