"""What every room may use: errors of the user's making, and files that are whole or absent."""

from lavida_mm.utils.atomic import atomic_path, write_json
from lavida_mm.utils.errors import DataError, UsageError, run_tool

__all__ = ['DataError', 'UsageError', 'atomic_path', 'run_tool', 'write_json']
