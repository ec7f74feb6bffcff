"""Readers of videos, one per library."""

from lavida_mm.datasets.readers.base_reader import VideoReader
from lavida_mm.datasets.readers.decord_reader import DecordReader
from lavida_mm.datasets.readers.image_folder_reader import ImageFolderReader
from lavida_mm.datasets.readers.pyav_reader import PyAVReader

__all__ = ['DecordReader', 'ImageFolderReader', 'PyAVReader', 'VideoReader']
