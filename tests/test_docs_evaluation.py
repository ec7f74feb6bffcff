"""The guides of evaluation are true: protocols.md is held against the code, the others are followed word by word."""

import csv
import json
import math
import re
import shutil
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from lavida_mm.evaluation.protocols import PROTOCOLS, Protocol
from tests.conftest import ROOT
from tests.videos import red_square_frames, write_video

COLUMNS = (
    'name', 'version', 'window', 'stride', 'overlap', 'frame_interval', 'tail', 'interval_ends', 'length', 'subset',
    'labels', 'pixel_size', 'smoothing', 'template',
)  # fmt: skip


def table_rows():
    """The rows of the table in docs/protocols.md, as the code has them."""
    return ['| ' + ' | '.join(show(protocol, name) for name in COLUMNS) + ' |' for protocol in PROTOCOLS.values()]


def show(protocol, name):
    value = getattr(protocol, name)
    if value is None:
        return '–'
    if isinstance(value, dict):
        steps = {step: [key for key, found in value.items() if found == step] for step in dict.fromkeys(value.values())}
        return '; '.join(f'{step}: {", ".join(keys)}' for step, keys in steps.items())
    if isinstance(value, tuple):
        return ' × '.join(map(str, value))
    return f'`{value}`' if isinstance(value, str) else str(value)


def descriptions():
    return [f'- `{protocol.name}`: {protocol.description}' for protocol in PROTOCOLS.values()]


def read_page(name):
    return (ROOT / 'docs' / name).read_text(encoding='utf-8')


def blocks(name, language):
    return re.findall(rf'^```{language}\n(.*?)^```', read_page(name), flags=re.MULTILINE | re.DOTALL)


def follow(name, folder):
    """Run the bash blocks of a page in a copy of the repository's entrance: what it names, and nothing else."""
    for entry in ('tools', 'configs', 'checkpoints', 'lavida_mm'):
        (folder / entry).symlink_to(ROOT / entry)
    (folder / 'bin').mkdir()
    (folder / 'bin' / 'python').write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / 'bin' / 'python').chmod(0o755)
    done = []
    for block in blocks(name, 'bash'):
        command = ['bash', '-euc', f'PATH="$PWD/bin:$PATH"\n{block}']
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500)
        assert run.returncode == 0, f'{block}\n{run.stdout}\n{run.stderr}'
        done.append(run.stdout)
    return done


def test_the_table_of_protocols_is_that_of_the_code():
    page = read_page('protocols.md')
    assert [line for line in page.splitlines() if line.startswith('| `')] == table_rows()
    for line in descriptions():
        assert line in page
    told_in_words = {'description', 'words', 'padding', 'headline'}
    assert {field.name for field in fields(Protocol)} == set(COLUMNS) | told_in_words


def test_the_protocol_of_the_page_can_be_read(tmp_path):
    from lavida_mm.evaluation.protocols import get_protocol

    (block,) = blocks('protocols.md', 'json')
    (tmp_path / 'smooth_8.json').write_text(block)
    protocol = get_protocol(tmp_path / 'smooth_8.json')
    assert (protocol.name, protocol.smoothing) == ('smooth-8', {'kind': 'gaussian', 'sigma': 8})


@pytest.mark.slow
def test_someone_elses_scores_followed_literally(shared_data, tmp_path):
    source = shared_data / 'annotations' / 'ucf_crime'
    root = tmp_path / 'data' / 'ucf_crime'
    root.mkdir(parents=True)
    listed = re.findall(r'^  (\S+\.(?:txt|csv))', blocks('evaluate_scores.md', 'text')[0], flags=re.MULTILINE)
    assert listed == ['Temporal_Anomaly_Annotation_for_Testing_Videos.txt', 'num_frames.csv']
    for name in listed:
        shutil.copy(source / name, root / name)
    with (root / 'num_frames.csv').open(newline='') as file:
        lengths = {row['video']: int(row['num_frames']) for row in csv.DictReader(file)}
    rng = np.random.default_rng(0)
    np.savez(tmp_path / 'my_scores.npz', **{name: rng.random(math.ceil(n / 16)) for name, n in lengths.items()})
    (tmp_path / 'i3d_scores').mkdir()
    for name, n in lengths.items():
        np.save(tmp_path / 'i3d_scores' / f'{name}.npy', rng.random((n - 1) // 16))
    full, features = follow('evaluate_scores.md', tmp_path)
    assert '290 of 290 videos, 1,111,808 of 1,111,808 frames, 84,331 of them anomalous' in full and '(95 %: ' in full
    assert '290 of 290 videos, 1,109,504 of 1,109,504 frames, 84,128 of them anomalous' in features
    report = json.loads((tmp_path / 'work_dirs' / 'my_report' / 'report.json').read_text())
    assert sum(video['anomalous_frames'] for video in report['videos']) == 84_331
    written = {path.name for path in (tmp_path / 'work_dirs' / 'my_report').iterdir()}
    named = re.findall(
        r'^\| `([\w.]+)`(?:, `([\w.]+)`, `(\w+)/`)? \|', read_page('evaluate_scores.md'), flags=re.MULTILINE
    )
    assert written == {name for row in named for name in row if name}
    assert (tmp_path / 'work_dirs' / 'my_report' / 'report.html').stat().st_size < 4e6


@pytest.mark.slow
def test_ones_own_videos_followed_literally(tmp_path):
    folder = tmp_path / 'my_yard'
    folder.mkdir()
    (manifest,) = blocks('evaluate_own_videos.md', 'json')
    (folder / 'manifest.json').write_text(manifest)
    write_video(folder / 'monday.mp4', red_square_frames(24, 96, 96, present=range(8, 16)), fps=8)
    write_video(folder / 'tuesday.mp4', red_square_frames(20, 96, 96), fps=8)
    doctor, _, table = follow('evaluate_own_videos.md', tmp_path)
    assert '2' in doctor
    assert '2 of 2 videos, 44 of 44 frames' in table
    live = json.loads((tmp_path / 'work_dirs' / 'my_yard' / 'metrics.json').read_text())
    report = json.loads((tmp_path / 'work_dirs' / 'my_yard' / 'report' / 'report.json').read_text())
    shared = {name.removeprefix('vad/') for name in live} & set(report['figures'])
    assert {'frame_auc', 'frame_ap', 'frame_eer', 'coverage_frames'} <= shared
    assert {name: live[f'vad/{name}'] for name in shared} == {name: report['figures'][name] for name in shared}
    assert any(name.startswith('event_') for name in [*report['figures'], *report['undefined']])
    page = (tmp_path / 'work_dirs' / 'my_yard' / 'report' / 'report.html').read_text()
    assert page.count('data:image/jpeg;base64,') == 3
