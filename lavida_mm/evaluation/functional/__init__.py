"""Pure functions below the metrics: NumPy in, figures out."""

from lavida_mm.evaluation.functional.events import Event, find_events
from lavida_mm.evaluation.functional.frame_curves import average_precision, frame_auc
from lavida_mm.evaluation.functional.pixel_histogram import PixelHistogram

__all__ = ['Event', 'PixelHistogram', 'average_precision', 'find_events', 'frame_auc']
