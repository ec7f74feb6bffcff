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
from lavida_mm.datasets.sources import (
    ADE20K,
    Cityscapes,
    CocoInstancesSource,
    CocoPanopticSource,
    CocoVidSource,
    DavisVideoSource,
    LabelMapSource,
    MapillaryVistas,
    RefCOCO,
)
from lavida_mm.datasets.transforms import (
    LoadClipFrames,
    LoadClipObjects,
    LoadImageObjects,
    LoadLabelMap,
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
    'ADE20K',
    'CUHKAvenue',
    'Cityscapes',
    'CocoInstancesSource',
    'CocoPanopticSource',
    'CocoVidSource',
    'DavisVideoSource',
    'FolderBenchmark',
    'LabelMapSource',
    'LoadClipFrames',
    'LoadClipObjects',
    'LoadImageObjects',
    'LoadLabelMap',
    'LoadPaletteMasks',
    'ManifestBenchmark',
    'MapillaryVistas',
    'PackRegionWords',
    'PackVADInputs',
    'PseudoAnomalySampler',
    'RefCOCO',
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
