"""The shipped checkpoint tells which of six named words an anomaly is."""

import json

import pytest

from tests.conftest import run_python
from tests.test_end_to_end import TINY, world_options

CHECKPOINT = 'checkpoints/lavida_tiny.safetensors'


@pytest.mark.slow
def test_a_true_word_scores_highest_among_six(small_world, tmp_path):
    """The four of each video's prompt and two more that are surely absent."""
    manifest = json.loads((small_world / 'benchmark' / 'manifest.json').read_text())
    for video in manifest['videos']:
        video['categories'] += video['absent_categories'][:2]
        video['absent_categories'] = video['absent_categories'][2:]
    (tmp_path / 'manifest.json').write_text(json.dumps(manifest))
    (tmp_path / 'videos').symlink_to(small_world / 'benchmark' / 'videos')
    options = {name: value for name, value in world_options(small_world).items() if name.startswith('test_')}
    options['test_dataloader.dataset.benchmark.root'] = tmp_path
    arguments = [f'{name}={value}' for name, value in options.items()]
    run_python('tools/test.py', TINY, CHECKPOINT, '--work-dir', tmp_path, '--cfg-options', *arguments)
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert metrics['vad/category_top1'] >= 0.8
    assert any(note.startswith('category_top1 is of the ') for note in metrics['vad/notes'])
