"""Ready to use: a detector for one's own videos."""

from lavida_mm.apis.categories import MAX_CATEGORIES, check_categories, split_categories
from lavida_mm.apis.vad_inferencer import VADInferencer, WindowResult, choose_device, open_any_video

__all__ = [
    'MAX_CATEGORIES',
    'VADInferencer',
    'WindowResult',
    'check_categories',
    'choose_device',
    'open_any_video',
    'split_categories',
]
