"""The benchmark of the compressors runs; its targets are for its full sizes."""

import json
import re

import pytest
import torch

from benchmarks import compressors as benchmark
from tests.conftest import run_python


@pytest.mark.slow
def test_small_run_prints_every_row_and_writes_the_figures(tmp_path):
    figures = tmp_path / 'speed.json'
    options = ['--sizes', '96x16', '--long', '160x8', '--repeats', '1', '--json', figures]
    printed = run_python('benchmarks/compressors.py', *options).stdout
    for data in ('random', 'still'):
        line = rf'^96 x 16, {data} +[\d.]+s +[\d.]+s +[\d.]+s +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$'
        assert re.search(line, printed, re.MULTILINE)
    assert re.search(r'^160 x 8, random +[\d.]+s +[\d.]+s +[\d.]+ +[\d.]+$', printed, re.MULTILINE)
    assert 'met' not in printed.lower()
    rows = json.loads(figures.read_text())
    assert [row['direct'] is None for row in rows] == [False, False, True]
    assert all(row['ours'] > 0 and row['our_megabytes'] >= 0 for row in rows)


def test_both_ways_merge_the_same():
    tokens = benchmark.make_random(90, 16)
    assert torch.equal(benchmark.merge(tokens), benchmark.find_densities(tokens).topk(45).indices.sort().values)
    ours = benchmark.reverse_attn_merge(tokens, benchmark.KEEP_RATIO, benchmark.NUM_NEIGHBORS)[0]
    torch.testing.assert_close(benchmark.merge_directly(tokens), ours, rtol=1e-4, atol=1e-4)


def test_wrong_centres_stop_it(monkeypatch):
    monkeypatch.setattr(benchmark, 'merge', lambda tokens: torch.arange(len(tokens) // 2))
    with pytest.raises(RuntimeError, match=r'of 90 tokens are centres on one side only'):
        benchmark.check_centres(benchmark.make_random(90, 16))


def test_targets_are_judged_on_random_tokens(capsys):
    row = benchmark.Row(6144, 3584, 'random', floor=1.0, ours=1.6, direct=4.1, our_megabytes=190, direct_megabytes=400)
    still = benchmark.Row(6144, 3584, 'still', floor=1.0, ours=9.0, direct=1.0, our_megabytes=1, direct_megabytes=1)
    long = benchmark.Row(32768, 1024, 'random', 1.0, 2.4, None, 3000, None)
    benchmark.judge([row, still, long])
    assert [line.split(': ')[-1] for line in capsys.readouterr().out.splitlines()] == [
        *('met', 'NOT MET', 'met'),
        *('met', 'NOT MET'),
    ]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--repeats', '0'], '--repeats must be at least 1, got 0'),
        (['--sizes', '2048'], 'must be tokens x channels with at least 4 tokens, as 2048x3584, got 2048'),
        (['--sizes', '3x8'], 'got 3x8'),
        (['--long', 'x8'], 'got x8'),
    ],
)
def test_bad_options_are_refused(options, message, capsys):
    with pytest.raises(SystemExit, match='2'):
        benchmark.parse_args(options)
    assert message in capsys.readouterr().err
