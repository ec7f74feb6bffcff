"""Transforms, from loading to packing."""

from lavida_mm.datasets.transforms.ask_about_objects import AskAboutObjects
from lavida_mm.datasets.transforms.load_clip_frames import LoadClipFrames
from lavida_mm.datasets.transforms.load_clip_objects import LoadClipObjects
from lavida_mm.datasets.transforms.load_foreground_masks import LoadForegroundMasks
from lavida_mm.datasets.transforms.load_image_objects import LoadImageObjects
from lavida_mm.datasets.transforms.load_label_map import LoadLabelMap
from lavida_mm.datasets.transforms.load_palette_masks import LoadPaletteMasks
from lavida_mm.datasets.transforms.pack_region_words import PackRegionWords
from lavida_mm.datasets.transforms.pack_vad_inputs import PackVADInputs
from lavida_mm.datasets.transforms.paste_anomaly_sampler import PasteAnomalySampler
from lavida_mm.datasets.transforms.pseudo_anomaly_sampler import PseudoAnomalySampler
from lavida_mm.datasets.transforms.resize import ResizeFrames
from lavida_mm.datasets.transforms.sample_clip import SampleClip

__all__ = [
    'AskAboutObjects',
    'LoadClipFrames',
    'LoadClipObjects',
    'LoadForegroundMasks',
    'LoadImageObjects',
    'LoadLabelMap',
    'LoadPaletteMasks',
    'PackRegionWords',
    'PackVADInputs',
    'PasteAnomalySampler',
    'PseudoAnomalySampler',
    'ResizeFrames',
    'SampleClip',
]
