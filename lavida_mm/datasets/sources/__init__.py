"""What pseudo-anomalies are made from: images and videos with object masks and words."""

from lavida_mm.datasets.sources.base_source import PseudoAnomalySource
from lavida_mm.datasets.sources.coco_instances import CocoInstancesSource
from lavida_mm.datasets.sources.coco_vid import CocoVidSource
from lavida_mm.datasets.sources.davis_video import DavisVideoSource
from lavida_mm.datasets.sources.mevis import MeViS
from lavida_mm.datasets.sources.ref_davis17 import RefDAVIS17
from lavida_mm.datasets.sources.ref_youtube_vos import RefYouTubeVOS
from lavida_mm.datasets.sources.youtube_vos import YouTubeVOS

__all__ = [
    'CocoInstancesSource',
    'CocoVidSource',
    'DavisVideoSource',
    'MeViS',
    'PseudoAnomalySource',
    'RefDAVIS17',
    'RefYouTubeVOS',
    'YouTubeVOS',
]
