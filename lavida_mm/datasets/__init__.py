"""Data: sources of pseudo-anomalies, benchmarks, readers, transforms, and the samplers that order them."""

from lavida_mm.datasets.benchmarks import (
    CUHKAvenue,
    FolderBenchmark,
    ManifestBenchmark,
    ShanghaiTech,
    UBnormal,
    UCFCrime,
    UCSDPed1,
    UCSDPed2,
    VideoRecord,
    XDViolence,
)
from lavida_mm.datasets.mixture import SourceMixture
from lavida_mm.datasets.samplers import VideoSampler, WeightedSourceSampler
from lavida_mm.datasets.sources import CocoInstancesSource, CocoVidSource, DavisVideoSource, PlainVideoSource
from lavida_mm.datasets.transforms import (
    LoadClipFrames,
    LoadClipObjects,
    LoadForegroundMasks,
    LoadImageObjects,
    LoadPaletteMasks,
    PackRegionWords,
    PackVADInputs,
    PasteAnomalySampler,
    PseudoAnomalySampler,
    ResizeFrames,
    SampleClip,
)
from lavida_mm.datasets.video_anomaly_dataset import VideoAnomalyDataset
from lavida_mm.datasets.video_reader import VideoReader, open_video

__all__ = [
    'CUHKAvenue',
    'CocoInstancesSource',
    'CocoVidSource',
    'DavisVideoSource',
    'FolderBenchmark',
    'LoadClipFrames',
    'LoadClipObjects',
    'LoadForegroundMasks',
    'LoadImageObjects',
    'LoadPaletteMasks',
    'ManifestBenchmark',
    'PackRegionWords',
    'PackVADInputs',
    'PasteAnomalySampler',
    'PlainVideoSource',
    'PseudoAnomalySampler',
    'ResizeFrames',
    'SampleClip',
    'ShanghaiTech',
    'SourceMixture',
    'UBnormal',
    'UCFCrime',
    'UCSDPed1',
    'UCSDPed2',
    'VideoAnomalyDataset',
    'VideoReader',
    'VideoRecord',
    'VideoSampler',
    'WeightedSourceSampler',
    'XDViolence',
    'open_video',
]
