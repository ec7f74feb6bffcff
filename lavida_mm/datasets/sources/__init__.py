"""What pseudo-anomalies are made from: images and videos with object masks and words."""

from lavida_mm.datasets.sources.base_source import PseudoAnomalySource
from lavida_mm.datasets.sources.coco_instances import CocoInstancesSource
from lavida_mm.datasets.sources.coco_vid import CocoVidSource
from lavida_mm.datasets.sources.davis_video import DavisVideoSource
from lavida_mm.datasets.sources.plain_videos import PlainVideoSource

__all__ = ['CocoInstancesSource', 'CocoVidSource', 'DavisVideoSource', 'PlainVideoSource', 'PseudoAnomalySource']
