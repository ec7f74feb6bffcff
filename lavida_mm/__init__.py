"""lavida_mm: zero-shot video anomaly detection without a single labelled anomaly."""

from lavida_mm.version import __version__

__all__ = ['__version__']
