import json
import runpy

import pytest

from lavida_mm.utils.errors import UsageError
from tests.conftest import ROOT
from tests.test_engine import forked

tool = runpy.run_path(str(ROOT / 'tools' / 'analysis_tools' / 'prompt_sensitivity.py'))


def make_settings(**changes):
    fields = dict(generic=['anything unusual'], others=['ucf_crime'], words=['smoke, fire'], templates=[0, 1])
    return tool['make_settings']('own', **{**fields, **changes})


def test_words_are_compared_with_one_template_and_templates_with_the_oracle_words():
    groups = make_settings(template=1)
    assert [(s.words if isinstance(s.words, str) else s.words[:2], s.template) for s in groups['words']] == [
        ('own', 1),
        (('anything unusual',), 1),
        (('abuse', 'arrest'), 1),
        (('smoke', 'fire'), 1),
    ]
    assert [(s.words, s.template) for s in groups['template']] == [('own', 0), ('own', 1)]
    listed = tool['make_settings'](['a', 'b'], generic=[], others=[], words=[], templates=[0])
    assert [s.words for group in listed.values() for s in group] == [('a', 'b')] * 2


def test_bad_words_are_refused():
    with pytest.raises(UsageError, match=r'--other must name a benchmark .*ucf_crime, .* got nope'):
        make_settings(others=['nope'])
    with pytest.raises(UsageError, match="--words must hold at least one word, got ' ,'"):
        make_settings(words=[' ,'])


def test_another_benchmark_is_not_the_tested_one():
    import lavida_mm.datasets  # noqa: F401

    assert tool['choose_others']('UCFCrime') == ['shanghaitech']
    assert tool['choose_others']('ManifestBenchmark') == ['ucf_crime']


def test_table_and_spread():
    rows = {
        'words': [{'setting': 'a', 'frame_auc': 0.9}, {'setting': 'b', 'frame_auc': 0.5}],
        'template': [{'setting': 't', 'frame_auc': 0.9}],
    }
    spreads = {name: tool['find_spread'](group, ['frame_auc']) for name, group in rows.items()}
    assert spreads['words']['frame_auc'] == {'lowest': 0.5, 'highest': 0.9, 'spread': 0.4}
    assert tool['make_markdown'](rows, spreads).splitlines() == [
        '| prompt | frame AUC |',
        '| --- | ---: |',
        '| a | 0.9000 |',
        '| b | 0.5000 |',
        '| **spread by words** | **0.4000** |',
        '| t | 0.9000 |',
    ]


@pytest.mark.slow
def test_the_tiny_model_loses_with_other_words(small_world, tmp_path):
    done = forked.run(
        'tools/analysis_tools/prompt_sensitivity.py', 'configs/lavida_tiny.py', 'checkpoints/lavida_tiny.safetensors',
        '--benchmark-root', small_world / 'benchmark', '--templates', 0, 3, '--out', tmp_path / 'out',
        '--cfg-options', 'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False', folder=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (tmp_path / 'out' / 'prompt_sensitivity.md').read_text().strip() in done.out
    result = json.loads((tmp_path / 'out' / 'prompt_sensitivity.json').read_text())
    oracle, generic, other = result['rows']['words']
    assert (oracle['setting'], other['setting']) == ('oracle words', 'words of ucf_crime')
    assert oracle['frame_auc'] > max(generic['frame_auc'], other['frame_auc']) + 0.15
    first, second = result['rows']['template']
    assert {**first, 'setting': ''} == {**oracle, 'setting': ''}
    assert second['template'] == 3
    assert result['spreads']['words']['frame_auc']['highest'] == oracle['frame_auc']
    wrong = forked.run(
        'tools/analysis_tools/prompt_sensitivity.py', 'configs/lavida_tiny.py', 'checkpoints/lavida_tiny.safetensors',
        '--templates', 6, folder=tmp_path,
    )  # fmt: skip
    assert wrong.code == 2 and '--templates must be in 0..5, got 6' in wrong.err
