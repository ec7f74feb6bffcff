"""Run a tool in a process forked from this one: as real as a command, without its imports."""

import os
import runpy
import sys
import time
import warnings
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Finished:
    """A finished run: exit code and output."""

    code: int
    out: str
    err: str


def _main(tool, args, out, err, environment):
    for number, path in ((1, out), (2, err)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    sys.stdout = open(1, 'w', closefd=False)  # noqa: SIM115  # pytest has put its own objects there
    sys.stderr = open(2, 'w', closefd=False)  # noqa: SIM115
    os.environ.update(environment)
    warnings.simplefilter('default')  # as in a process of its own: pytest turns warnings into errors
    sys.argv = [str(tool), *map(str, args)]
    runpy.run_path(str(ROOT / tool), run_name='__main__')


def start(tool, *args, folder, **environment):
    """Start a tool; its output goes to ``folder``."""
    import lavida_mm.engine
    import lavida_mm.models  # noqa: F401  # imported here once, not in each child

    outputs = (folder / 'out.txt', folder / 'err.txt')
    process = get_context('fork').Process(target=_main, args=(tool, args, *outputs, environment))
    process.start()
    return process


def run(tool, *args, folder, **environment):
    """Run a tool to its end."""
    process = start(tool, *args, folder=folder, **environment)
    process.join(550)
    assert process.exitcode is not None, 'the tool hangs'
    return Finished(process.exitcode, (folder / 'out.txt').read_text(), (folder / 'err.txt').read_text())


def wait_for(condition, process, seconds=60):
    """Wait until a condition holds while a process runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.is_alive(), 'the process ended too early'
        assert time.monotonic() < end, 'waited too long'
        time.sleep(0.005)
