"""Ready to use: a detector for one's own videos, and the evaluation of scores that lie in files."""

from lavida_mm.apis.categories import MAX_CATEGORIES, check_categories, split_categories
from lavida_mm.apis.evaluation import build_benchmark, evaluate_scores, make_report_data
from lavida_mm.apis.vad_inferencer import VADInferencer, WindowResult, choose_device, open_any_video

__all__ = [
    'MAX_CATEGORIES',
    'VADInferencer',
    'WindowResult',
    'build_benchmark',
    'check_categories',
    'choose_device',
    'evaluate_scores',
    'make_report_data',
    'open_any_video',
    'split_categories',
]
