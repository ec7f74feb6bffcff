"""The models run beside mmcv-lite and without mmdet; importing the package itself costs nothing."""

import ast
import subprocess
import sys

from tests.conftest import ROOT

BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {blocked} or name in ('mmcv.ops', 'mmcv._ext'):
            raise ImportError(name + ' is blocked')
sys.meta_path.insert(0, Blocker())
"""


def run(code: str) -> str:
    return subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True, timeout=120).stdout


def test_models_import_without_mmdet_and_compiled_mmcv():
    code = BLOCKED.format(blocked={'mmdet', 'mmcv'}) + 'import lavida_mm.models; print(len(lavida_mm.models.__all__))'
    assert int(run(code)) > 10


def test_importing_evaluation_functions_needs_numpy_alone():
    for path in (ROOT / 'lavida_mm' / 'evaluation' / 'functional').glob('*.py'):
        nodes = ast.parse(path.read_text()).body  # what single functions import, only they need
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
        foreign = {name.split('.')[0] for name in names} - set(sys.stdlib_module_names) - {'numpy', 'lavida_mm'}
        assert not foreign, path


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, lavida_mm; print(sorted({'torch', 'mmengine', 'transformers', 'mmdet'} & set(sys.modules)))"
    assert run(code).strip() == '[]'
