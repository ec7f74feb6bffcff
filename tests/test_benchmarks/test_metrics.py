"""The benchmark of the metrics runs; its targets are for its full size."""

import re

import pytest

from benchmarks.metrics import parse_args
from tests.conftest import run_python


def test_quick_run_prints_every_row():
    printed = run_python('benchmarks/metrics.py', '--quick', '--repeats', '1').stdout
    for row in ('float16 maps', 'float32 maps'):
        assert re.search(rf'pixel AUC, 0\.9 M pixels, {row} +[\d.]+ s +[\d.]+ s +[\d.]+$', printed, re.MULTILINE)
    memory = re.search(r'pixel AUC, extra memory, float16 and float32 maps +([\d.]+) MB$', printed, re.MULTILINE)
    assert 0 < float(memory[1]) <= 100  # it does not grow with the number of maps, so the target holds here too
    assert re.search(r'frame AUC, 0\.02 M frames, float64 +[\d.]+ s +[\d.]+ s +[\d.]+$', printed, re.MULTILINE)
    assert re.search(r'frame AP, 0\.02 M frames', printed)
    assert re.search(r'RBDC, TBDC, 5 videos, 500 det\., 300 regions +[\d.]+ s$', printed, re.MULTILINE)
    assert 'MET' not in printed


def test_bad_option_is_refused(capsys):
    with pytest.raises(SystemExit, match='2'):
        parse_args(['--repeats', '0'])
    assert '--repeats must be at least 1, got 0' in capsys.readouterr().err
