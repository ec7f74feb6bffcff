"""Metrics: pure functions in ``functional``, and the registered shell over them."""

from lavida_mm.evaluation.vad_metric import VADMetric

__all__ = ['VADMetric']
