"""Readers of VAD benchmarks: a folder or a manifest becomes a list of video records."""

from lavida_mm.datasets.benchmarks.avenue import CUHKAvenue
from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark, BenchmarkTotals, Finding
from lavida_mm.datasets.benchmarks.doctor import DoctorReport, check_benchmark, find_benchmarks
from lavida_mm.datasets.benchmarks.folder import FolderBenchmark
from lavida_mm.datasets.benchmarks.manifest import ManifestBenchmark
from lavida_mm.datasets.benchmarks.shanghaitech import ShanghaiTech
from lavida_mm.datasets.benchmarks.ubnormal import UBnormal
from lavida_mm.datasets.benchmarks.ucf_crime import UCFCrime
from lavida_mm.datasets.benchmarks.ucsd_ped import UCSDPed1, UCSDPed2
from lavida_mm.datasets.benchmarks.xd_violence import XDViolence
from lavida_mm.structures import VideoRecord

__all__ = [
    'BaseBenchmark',
    'BenchmarkTotals',
    'CUHKAvenue',
    'DoctorReport',
    'Finding',
    'FolderBenchmark',
    'ManifestBenchmark',
    'ShanghaiTech',
    'UBnormal',
    'UCFCrime',
    'UCSDPed1',
    'UCSDPed2',
    'VideoRecord',
    'XDViolence',
    'check_benchmark',
    'find_benchmarks',
]
