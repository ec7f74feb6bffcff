import importlib.util
import re

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope='module')
def sampling():
    specification = importlib.util.spec_from_file_location('sampling', ROOT / 'benchmarks' / 'sampling.py')
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_quick_benchmark_prints_every_figure(sampling, capsys):
    sampling.main(['--quick'])
    out = capsys.readouterr().out
    assert len(re.findall(r'^(?:loading and packing|with the sampler.*): [\d.]+ ms a sample$', out, re.M)) == 3
    assert re.search(r'^overhead of the sampler: -?[\d.]+ %$', out, re.M)
    assert re.search(r'^words of a prompt, vocabulary of 1,000: [\d.]+ ms$', out, re.M)
    assert re.search(r'^index of 300 videos and 3,000 objects: parsed and kept in [\d.]+ s, \d+ MB on disk$', out, re.M)
    assert len(re.findall(r'^opened, 1 workers: [\d.]+ s$', out, re.M)) == 1
    assert len(re.findall(r'^memory of the machine, 1 workers: -?\d+ MB$', out, re.M)) == 1


def test_targets_are_judged_in_the_full_run_only(sampling, capsys):
    for value, quick in ((2.0, True), (2.0, False), (3.5, False)):
        sampling.judge('x', value, f'{value} s', 3.0, quick)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ['x: 2.0 s', 'x: 2.0 s; must be at most 3: met', 'x: 3.5 s; must be at most 3: NOT MET']
