"""Pure functions below the metrics: NumPy in, figures out."""

from lavida_mm.evaluation.functional.alarms import EventScores, event_scores
from lavida_mm.evaluation.functional.aupro import AuproAccumulator, aupro
from lavida_mm.evaluation.functional.bootstrap import (
    BootstrapInterval,
    bootstrap_interval,
    draw_videos,
    frame_figure_of_draws,
    pixel_auc_of_draws,
)
from lavida_mm.evaluation.functional.events import Event, find_events
from lavida_mm.evaluation.functional.frame_curves import (
    MacroAUC,
    average_precision,
    eer,
    far_at,
    frame_auc,
    frame_auc_macro,
    frame_auc_padded,
    pr_auc_trapz,
)
from lavida_mm.evaluation.functional.pixel_histogram import PixelHistogram
from lavida_mm.evaluation.functional.pixel_per_frame import (
    MeanPixelAUC,
    PixelAUCPerFrame,
    pixel_auc_of_frame,
    pixel_auc_per_frame,
)
from lavida_mm.evaluation.functional.regions import (
    RegionMatches,
    boxes_from_mask,
    detections_from_mask,
    match_regions,
    rbdc_tbdc,
    rbdc_tbdc_from_matches,
)
from lavida_mm.evaluation.functional.smoothing import smooth

__all__ = [
    'AuproAccumulator',
    'BootstrapInterval',
    'Event',
    'EventScores',
    'MacroAUC',
    'MeanPixelAUC',
    'PixelAUCPerFrame',
    'PixelHistogram',
    'RegionMatches',
    'aupro',
    'average_precision',
    'bootstrap_interval',
    'boxes_from_mask',
    'detections_from_mask',
    'draw_videos',
    'eer',
    'event_scores',
    'far_at',
    'find_events',
    'frame_auc',
    'frame_auc_macro',
    'frame_auc_padded',
    'frame_figure_of_draws',
    'match_regions',
    'pixel_auc_of_draws',
    'pixel_auc_of_frame',
    'pixel_auc_per_frame',
    'pr_auc_trapz',
    'rbdc_tbdc',
    'rbdc_tbdc_from_matches',
    'smooth',
]
