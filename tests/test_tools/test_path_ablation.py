import json
import runpy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from lavida_mm.models.compressors import NoCompressor
from tests.conftest import ROOT
from tests.test_engine import forked

ablation = runpy.run_path(str(ROOT / 'tools' / 'analysis_tools' / 'ablation.py'))


@dataclass
class Read:
    seg_states: torch.Tensor
    loss: float


class Reader(nn.Module):
    def forward(self, x):
        return Read(x + 1, 3.0)


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.mllm, self.text_encoder, self.compressor = Reader(), nn.Identity(), nn.Identity()
        self.compressor.keep_ratio = 0.5


def test_threshold_finds_the_share_and_not_one_frame_more_than_needed():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.1, 0.95, 0.2])
    labels = np.array([1, 1, 1, 1, 1, 0, 0])
    threshold = ablation['find_threshold'](scores, labels, 0.8)
    assert threshold == 0.6
    assert (scores[labels > 0] >= threshold).mean() == 0.8
    assert ablation['find_threshold'](scores, labels, 1.0) == 0.1


def test_silenced_parts_hand_on_zeros_and_speak_again_afterwards():
    model, x = Parts(), torch.ones(2, 3)
    with ablation['silence'](model, 'mllm'):
        read = model.mllm(x)
        assert not read.seg_states.any()
        assert read.loss == 3.0
        assert model.text_encoder(x).all()
    with ablation['silence'](model, 'text_encoder'):
        assert not model.text_encoder(x).any()
        assert model.mllm(x).seg_states.all()
    with ablation['silence'](model, None):
        assert model.mllm(x).seg_states.all()
        assert model.text_encoder(x).all()


def test_keep_ratio_is_put_back_even_after_an_error():
    model = Parts()
    seen = []

    def stop():
        seen.append(model.compressor.keep_ratio)
        raise RuntimeError('stop')

    with pytest.raises(RuntimeError, match='stop'), ablation['keep'](model, 0.25):
        stop()
    assert seen == [0.25]
    with ablation['keep'](model, None):
        assert model.compressor.keep_ratio == 0.5
    assert model.compressor.keep_ratio == 0.5


def test_no_keep_ratio_without_a_compressor():
    model = Parts()
    assert [s.name for s in ablation['select_settings'](model)] == [s.name for s in ablation['SETTINGS']]
    for keeps_all in (None, NoCompressor()):
        model.compressor = keeps_all
        assert not [s for s in ablation['select_settings'](model) if s.keep_ratio]


def test_markdown_shows_what_was_measured():
    rows = [{'setting': 'right words', 'frame_auc': 0.95}, {'setting': 'wrong', 'frame_auc': 0.5}]
    summary = {'threshold': 0.7, 'found': 0.8, 'alarms_right_words': 0.3, 'alarms_absent_words': 0.05}
    lines = ablation['make_markdown'](rows, summary).splitlines()
    assert lines[0] == '| setting | frame AUC | change of frame AUC |'
    assert lines[3] == '| wrong | 0.5000 | -0.4500 |'
    assert 'words of absent objects, 5.0% of all frames' in lines[-1]


@pytest.mark.slow
def test_table_of_the_tiny_model_on_a_small_world(small_world, tmp_path):
    from mmengine.registry import init_default_scope

    from lavida_mm.engine.launch import load_config
    from lavida_mm.registry import MODELS

    config = ROOT / 'configs' / 'lavida_tiny.py'
    init_default_scope('lavida_mm')
    model = MODELS.build(load_config(config).model)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'tiny.pth')
    done = forked.run(
        'tools/analysis_tools/ablation.py', config, tmp_path / 'tiny.pth', '--out', tmp_path / 'out',
        '--benchmark-root', small_world / 'benchmark', folder=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    result = json.loads((tmp_path / 'out' / 'ablation.json').read_text())
    table = (tmp_path / 'out' / 'ablation.md').read_text()
    assert table.strip() in done.out
    figures = {row['setting']: row for row in result['rows']}
    assert len(figures) == 8
    assert figures['keep ratio 0.5'] == {**figures['right words'], 'setting': 'keep ratio 0.5'}  # that of the config
    assert figures['words of absent objects'] != {**figures['right words'], 'setting': 'words of absent objects'}
    assert result['summary']['found'] >= 0.8
