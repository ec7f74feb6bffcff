"""What pseudo-anomalies are made from: images and videos with object masks and words."""

from lavida_mm.datasets.sources.ade20k import ADE20K
from lavida_mm.datasets.sources.base_source import PseudoAnomalySource
from lavida_mm.datasets.sources.cityscapes import Cityscapes
from lavida_mm.datasets.sources.coco_instances import CocoInstancesSource
from lavida_mm.datasets.sources.coco_panoptic import CocoPanopticSource
from lavida_mm.datasets.sources.coco_vid import CocoVidSource
from lavida_mm.datasets.sources.davis_video import DavisVideoSource
from lavida_mm.datasets.sources.label_map_source import LabelMapSource
from lavida_mm.datasets.sources.mapillary_vistas import MapillaryVistas
from lavida_mm.datasets.sources.mevis import MeViS
from lavida_mm.datasets.sources.plain_videos import PlainVideoSource
from lavida_mm.datasets.sources.ref_coco import RefCOCO
from lavida_mm.datasets.sources.ref_davis17 import RefDAVIS17
from lavida_mm.datasets.sources.ref_youtube_vos import RefYouTubeVOS
from lavida_mm.datasets.sources.youtube_vos import YouTubeVOS

__all__ = [
    'ADE20K',
    'Cityscapes',
    'CocoInstancesSource',
    'CocoPanopticSource',
    'CocoVidSource',
    'DavisVideoSource',
    'LabelMapSource',
    'MapillaryVistas',
    'MeViS',
    'PlainVideoSource',
    'PseudoAnomalySource',
    'RefCOCO',
    'RefDAVIS17',
    'RefYouTubeVOS',
    'YouTubeVOS',
]
