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
    CocoInstancesSource,
    CocoVidSource,
    DavisVideoSource,
    MeViS,
    RefDAVIS17,
    RefYouTubeVOS,
    YouTubeVOS,
)
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
    'CUHKAvenue',
    'CocoInstancesSource',
    'CocoVidSource',
    'DavisVideoSource',
    'FolderBenchmark',
    'LoadClipFrames',
    'LoadClipObjects',
    'LoadImageObjects',
    'LoadPaletteMasks',
    'ManifestBenchmark',
    'MeViS',
    'PackRegionWords',
    'PackVADInputs',
    'PseudoAnomalySampler',
    'RefDAVIS17',
    'RefYouTubeVOS',
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
    'YouTubeVOS',
    'open_video',
]
