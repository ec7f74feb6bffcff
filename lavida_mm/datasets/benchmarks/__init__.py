"""Readers of VAD benchmarks: a folder or a manifest becomes a list of video records."""

from lavida_mm.datasets.benchmarks.manifest import ManifestBenchmark
from lavida_mm.datasets.benchmarks.video_record import VideoRecord

__all__ = ['ManifestBenchmark', 'VideoRecord']
