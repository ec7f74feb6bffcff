import runpy

import numpy as np
import pytest

from lavida_mm.datasets import CocoInstancesSource, SourceMixture
from lavida_mm.datasets.draw import Draw
from lavida_mm.datasets.word_embeddings import load_embeddings
from lavida_mm.utils.errors import UsageError
from tests.conftest import ROOT
from tests.test_end_to_end import TINY, world_options

TOOL = ROOT / 'tools' / 'dataset_tools' / 'embed_vocabulary.py'


@pytest.fixture(scope='module')
def tool():
    return runpy.run_path(str(TOOL))


def test_words_of_all_sources_are_embedded_and_serve_hard_negatives(tool, small_world, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    out = tmp_path / 'words.npz'
    options = [f'{key}={value}' for key, value in world_options(small_world).items()]
    tool['main']([TINY, '--out', str(out), '--batch-size', '7', '--cfg-options', *options])
    words, embeddings = load_embeddings(out)
    assert f'{out}: {len(words)} words' in capsys.readouterr().out
    assert np.allclose(np.linalg.norm(embeddings.astype(float), axis=1), 1, atol=2e-3)

    images = dict(data_root=str(small_world / 'images'), ann_file='instances.json')
    assert set(CocoInstancesSource(**images).vocabulary) <= set(words) and 'a blue square' in words
    loading = [
        dict(type='mmdet.LoadImageFromFile'),
        dict(type='mmdet.LoadAnnotations', with_bbox=False, with_label=False, with_mask=True),
        dict(type='LoadImageObjects'),
    ]
    mixture = SourceMixture(
        sources=dict(images=dict(type='CocoInstancesSource', **images, pipeline=loading)),
        shares=dict(images=1),
        anomaly_sampler=dict(
            type='PseudoAnomalySampler', max_categories=2, distractors='hard', embeddings=str(out), hard_pool=1
        ),
    )
    by_word = dict(zip(words, embeddings.astype(np.float32), strict=True))
    ranks = []
    for seed in range(40):
        sample = mixture[Draw(0, seed)]
        if sample['gt_category_labels'].any():
            order = sample['gt_category_labels'].argmax()
            target, near = sample['categories'][order], sample['categories'][1 - order]
            close = [
                word
                for word in mixture.datasets[0].vocabulary
                if by_word[word] @ by_word[target] > by_word[near] @ by_word[target]
            ]
            ranks.append(len(close))
    assert ranks and max(ranks) <= 12  # nearer are the target and what the image shows, and nothing else


@pytest.mark.parametrize(
    ('config', 'options', 'message'),
    [
        ('configs/eval/lavida_tiny_own_videos.py', [], r'train_dataloader\.dataset must be a SourceMixture'),
        ('configs/pretrain/tiny_segmenter_text.py', ['model.text_encoder=None'], r'model\.text_encoder must be set'),
        ('configs/examples/tiny_mllm_text.py', [], 'MLLMTextEncoder needs its MLLM; name another'),
    ],
)
def test_configs_without_what_is_needed(config, options, message, tool, small_world, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    if 'mllm_text' in config:
        options = [f'{key}={value}' for key, value in world_options(small_world).items()]
    arguments = ['--cfg-options', *options] if options else []
    with pytest.raises(UsageError, match=message):
        tool['main']([config, '--out', str(tmp_path / 'words.npz'), *arguments])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--out', 'words.txt'], '--out must end in .npz, got words.txt'),
        (['--out', 'w.npz', '--batch-size', '0'], '--batch-size must be at least 1, got 0'),
    ],
)
def test_options_out_of_range(arguments, message, tool, capsys):
    with pytest.raises(SystemExit, match='2'):
        tool['parse_args']([TINY, *arguments])
    assert message in capsys.readouterr().err
