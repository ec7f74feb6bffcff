"""Whether mmcv's compiled operators load beside the installed torch; needs nothing else of mmcv's dependencies."""

import importlib.util
from pathlib import Path

import torch  # noqa: F401  (the operators link against its libraries)

package = importlib.util.find_spec('mmcv')
extension = next(Path(package.submodule_search_locations[0]).glob('_ext*.so'))
importlib.util.module_from_spec(importlib.util.spec_from_file_location('_ext', extension))
