"""The shipped checkpoint for words that no single frame answers: it answers them, and by the path that it should."""

import json

import pytest

from tests.conftest import run_python

CONFIG, CHECKPOINT = 'configs/lavida_tiny_behaviour.py', 'checkpoints/lavida_tiny_behaviour.safetensors'


@pytest.mark.slow
def test_the_mllm_and_the_order_of_frames_carry_the_score(tmp_path):
    """Floors far below the reported figures: fourteen videos only, and no figure of the docs depends on it."""
    world = tmp_path / 'world'
    run_python(
        'tools/dataset_tools/make_synthetic_world.py', '--out', world, '--parts', 'behaviour', '--num-behaviour', 14
    )
    run_python(
        'tools/analysis_tools/path_ablation.py', CONFIG, CHECKPOINT, '--benchmark-root', world / 'behaviour',
        '--settings', 'seg_zeroed', 'frames_shuffled', '--draws', 20, '--out', tmp_path / 'out',
        timeout=900,
    )  # fmt: skip
    (split,) = json.loads((tmp_path / 'out' / 'path_ablation.json').read_text())['splits'].values()
    auc = {row['key']: row['figures']['frame_auc'] for row in split['rows']}
    assert auc['right_words'] > 0.7
    assert auc['seg_zeroed'] < auc['right_words'] - 0.1
    assert auc['frames_shuffled'] < auc['right_words'] - 0.05
