"""The benchmark of the mask head runs and checks itself; its targets are for its full size."""

import re

import pytest

from benchmarks.mask_head import parse_args, segmenter_config
from tests.conftest import run_python


@pytest.mark.slow
@pytest.mark.parametrize('arch', ['conv', 'sam2_tiny'])
def test_quick_run_prints_every_row(arch):
    """It stops by itself if the cache changes a bit, or if a frame is encoded twice."""
    printed = run_python('benchmarks/mask_head.py', '--quick', '--arch', arch, '--image-size', '96').stdout
    assert re.search(r'per frame, cache off, on +[\d.]+ s +[\d.]+ s +[\d.]+$', printed, re.MULTILINE)
    memory = re.search(r'memory of predict, 480x270, 960x540 +([\d.]+) MB +([\d.]+) MB +[\d.]+$', printed, re.MULTILINE)
    assert float(memory[2]) < 100
    assert 'MET' not in printed


def test_segmenters_by_name():
    assert segmenter_config('vit_b', 1024) == dict(type='SAM', arch='vit_b', image_size=1024, resize='squash')
    assert segmenter_config('sam2_base_plus', 512)['arch'] == 'base_plus'


def test_bad_option_is_refused(capsys):
    with pytest.raises(SystemExit, match='2'):
        parse_args(['--arch', 'vit_x'])
    assert "invalid choice: 'vit_x'" in capsys.readouterr().err
