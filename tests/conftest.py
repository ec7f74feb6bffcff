"""Fixtures that several test modules share."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Set before torch is imported: a process with a pool of OpenMP threads must not fork, and many tests here do; on two
# cores more threads would not be faster.
os.environ['OMP_NUM_THREADS'] = '1'
# A shell starts what runs in its background with SIGINT ignored, and children inherit that: tests of Ctrl-C would wait.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / 'shared' / 'data'


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Real annotations and clips, kept outside the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f'real test data is not here: {SHARED_DATA}')
    return SHARED_DATA


@pytest.fixture(scope='session')
def small_world(tmp_path_factory) -> Path:
    """A synthetic world of a few samples per part, made by the tool itself."""
    root = tmp_path_factory.mktemp('world') / 'synthetic_world'
    counts = ['--num-stage0', '8', '--num-images', '12', '--num-clips', '4', '--num-mp4-clips', '2']
    counts += ['--num-normal', '1', '--num-val', '2', '--num-benchmark', '3']
    run_python('tools/dataset_tools/make_synthetic_world.py', '--out', root, '--seed', '5', *counts)
    return root


def run_python(*args, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess:
    """Run a tool of the repository as a user would, from the repository's root."""
    command = [sys.executable, *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode:
        raise AssertionError(f'{" ".join(command)}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}')
    return done


def uncovered_environment() -> dict[str, str]:
    """The environment without coverage's hook: it cannot write its data where files may not grow."""
    return {name: value for name, value in os.environ.items() if not name.startswith('COVERAGE_')}
