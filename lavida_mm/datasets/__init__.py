"""Data: sources of pseudo-anomalies, benchmarks, readers, transforms, and the samplers that order them."""

from lavida_mm.datasets.benchmarks import ManifestBenchmark, VideoRecord
from lavida_mm.datasets.mixture import SourceMixture
from lavida_mm.datasets.samplers import VideoSampler, WeightedSourceSampler
from lavida_mm.datasets.sources import CocoInstancesSource, CocoVidSource, DavisVideoSource
from lavida_mm.datasets.transforms import (
    LoadClipFrames,
    LoadClipObjects,
    LoadImageObjects,
    LoadPaletteMasks,
    PackRegionWords,
    PackVADInputs,
    PseudoAnomalySampler,
    ResizeFrames,
    SampleClip,
)
from lavida_mm.datasets.video_anomaly_dataset import VideoAnomalyDataset
from lavida_mm.datasets.video_reader import VideoReader, open_video

__all__ = [
    'CocoInstancesSource',
    'CocoVidSource',
    'DavisVideoSource',
    'LoadClipFrames',
    'LoadClipObjects',
    'LoadImageObjects',
    'LoadPaletteMasks',
    'ManifestBenchmark',
    'PackRegionWords',
    'PackVADInputs',
    'PseudoAnomalySampler',
    'ResizeFrames',
    'SampleClip',
    'SourceMixture',
    'VideoAnomalyDataset',
    'VideoReader',
    'VideoRecord',
    'VideoSampler',
    'WeightedSourceSampler',
    'open_video',
]
