import json
import math
import re
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import init_default_scope
from safetensors.torch import save_file

from lavida_mm.engine.launch import load_config
from lavida_mm.models.compressors import NoCompressor, ReverseAttnCompressor
from lavida_mm.models.mllm.visual_tokens import PatchGrid
from lavida_mm.registry import MODELS
from tests.conftest import ROOT
from tests.test_engine import forked

TOOL = 'tools/analysis_tools/compression_curve.py'
CONFIG = 'configs/lavida_tiny.py'

sys.path.insert(0, str(ROOT / 'tools' / 'analysis_tools'))
import compression_scores  # noqa: E402
import compression_settings as settings  # noqa: E402
import compression_timing  # noqa: E402


@pytest.fixture(scope='module')
def tiny():
    init_default_scope('lavida_mm')
    torch.manual_seed(0)
    return MODELS.build(load_config(ROOT / CONFIG).model).eval()


def make_batches(tiny):
    """Two batches, of one and two clips, with masks on some of them."""
    batches = []
    for number, sizes in enumerate([[(96, 96)], [(60, 100), (96, 96)]]):
        batch = {'inputs': [], 'data_samples': []}
        for size in sizes:
            clip = compression_timing.make_clip(4, size, ['car', 'person'][: number + 1])
            sample = clip['data_samples'][0]
            sample.gt_masks = torch.zeros(4, *size, dtype=torch.bool)
            sample.gt_masks[1, :20, :20] = number == 1
            batch['inputs'] += [clip['inputs'][0].roll(number, dims=0)]
            batch['data_samples'] += [sample]
        batches.append(batch)
    return batches


class Recorder:
    """In the place of a metric: keeps what it is given."""

    def __init__(self):
        self.scores = []

    def process(self, batch, samples):
        self.scores += [(s.pred_frame_scores.clone(), s.pred_masks.clone()) for s in samples]

    def evaluate(self, size):
        return {'vad/frame_auc': float(torch.cat([scores for scores, _ in self.scores]).mean())}


def test_settings_begin_with_all_tokens_and_share_them():
    names = ['ReverseAttnCompressor', 'ReverseAttnCompressor']
    found = settings.make_settings(names, [0.25, 1.0, 0.5])
    assert found == [(None, 1.0), ('ReverseAttnCompressor', 0.5), ('ReverseAttnCompressor', 0.25)]
    assert [setting.name for setting in found[:2]] == ['all tokens', 'ReverseAttnCompressor']


def test_the_own_compressor_keeps_its_options():
    init_default_scope('lavida_mm')
    config = SimpleNamespace(model=dict(compressor=dict(type='ReverseAttnCompressor', keep_ratio=0.5, num_neighbors=3)))
    found = settings.build_compressors(config, 'x.py', settings.make_settings(['ReverseAttnCompressor'], [0.25]))
    every, merging = found.values()
    assert isinstance(every, NoCompressor)
    assert (merging.keep_ratio, merging.num_neighbors) == (0.25, 3)
    config.model['compressor'] = None
    *_, merging = settings.build_compressors(config, 'x.py', list(found)).values()
    assert merging.num_neighbors == 8


def test_tape_plays_back_until_it_is_erased_and_gives_the_methods_back():
    class Counter:
        value = 0

        def count(self, step):
            self.value += step
            return self.value

    counter = Counter()
    tape = settings.Tape([(counter, 'count')])
    with tape.running():
        assert [counter.count(1), counter.count(1)] == [1, 2]
        tape.rewind()
        assert [counter.count(1), counter.count(1), counter.count(1)] == [1, 2, 3]
        assert tape.answers['count'] == [1, 2, 3]
        tape.erase()
        assert counter.count(5) == 8
    assert counter.count(1) == 9 and 'count' not in vars(counter)
    with pytest.raises(RuntimeError), settings.replaced(Counter, 'count', lambda method: None):
        raise RuntimeError
    assert counter.count(1) == 10


def test_tokens_that_a_mask_touches():
    # Three frames of 8 x 8 pixels in two steps of two frames; 2 x 2 tokens of 4 x 4 pixels in a step.
    masks = torch.zeros(3, 8, 8, dtype=torch.bool)
    masks[1, 0, 4] = True  # row 0, column 1 of step 0
    masks[2, 7, 3] = True  # row 1, column 0 of step 1
    touched = compression_scores.touched_tokens(masks, (2, 4, 4), PatchGrid(patch=2, merge=2, temporal=2))
    assert touched.tolist() == [False, True, False, False, False, False, True, False]
    masks[1, 0, 5] = True  # the edge of 3 x 3 tokens at 5 1/3 runs through it
    one = compression_scores.touched_tokens(masks[1:2], (1, 6, 6), PatchGrid(patch=2, merge=2, temporal=2))
    assert one.tolist() == [False, True, True] + 6 * [False]


def test_distances_are_relative_to_the_spread_of_the_tokens():
    tokens = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 0.0], [4.0, 0.0]])  # each at 2 from their mean
    distances = compression_scores.distances_to_nearest(tokens, torch.tensor([[0.0, 0.0], [5.0, 0.0]]))
    assert distances.tolist() == [0.0, 0.5, 0.0, 0.5]
    assert compression_scores.distances_to_nearest(torch.ones(3, 2), torch.ones(1, 2)).isnan().all()


def test_losses_of_a_clip_without_target_are_of_the_seg_state_alone():
    probe, losses = compression_scores.Probe(), compression_scores.Losses()
    probe.states = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    tokens = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 0.0], [4.0, 0.0]])
    kept = NoCompressor()([tokens])[0]._replace(indices=torch.tensor([0]))
    probe.tokens, probe.merges = [tokens, tokens], [kept, kept]
    full = torch.tensor([[3.0, 3.0], [0.0, 1.0]])
    losses.add(probe, full, [torch.tensor([False, True, False, False]), torch.zeros(4, dtype=torch.bool)])
    assert losses.means() == {
        'seg_change': pytest.approx(0.5 / math.sqrt(18)),
        'target_error': 2.0,
        'background_error': pytest.approx(2 / 3),
    }
    losses = compression_scores.Losses()
    losses.add(probe, full, [None, None])
    assert list(losses.means()) == ['seg_change']


def test_mean_and_deviation_over_checkpoints():
    assert compression_scores.summarise([{'a': 1.0, 'b': 1.0}, {'a': 3.0}]) == {
        'mean': {'a': 2.0},
        'std': {'a': pytest.approx(math.sqrt(2))},
    }
    assert compression_scores.summarise([{'a': 1.0, 'b': math.nan}]) == {'mean': {'a': 1.0}}


def test_one_loop_gives_every_setting_what_a_loop_of_its_own_gives(tiny, monkeypatch):
    names = settings.list_compressors()
    compressors = settings.build_compressors(
        load_config(ROOT / CONFIG), CONFIG, settings.make_settings(names, [0.5, 0.1])
    )
    assert len(compressors) == 1 + 2 * len(names) and 'RandomCompressor' in names
    batches, recorders, own = make_batches(tiny), [], tiny.compressor
    bench = SimpleNamespace(model=tiny, build_metric=lambda loader: recorders.append(Recorder()) or recorders[-1])
    looks = []
    embed = tiny.mllm.family.embed
    monkeypatch.setattr(tiny.mllm.family, 'embed', lambda *args: looks.append(1) or embed(*args))
    steps = []
    found = compression_scores.score(bench, batches, compressors, lambda: steps.append(1))
    assert len(looks) == len(steps) == 2  # the tower runs once per batch
    assert tiny.compressor is own
    for compressor, recorder in zip(compressors.values(), recorders, strict=True):
        tiny.compressor = compressor
        alone = Recorder()
        with torch.no_grad():
            for batch in make_batches(tiny):
                alone.process(batch, tiny.test_step(batch))
        for ours, theirs in zip(recorder.scores, alone.scores, strict=True):
            assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
    tiny.compressor = own
    every = found[settings.ALL_TOKENS]
    half, tenth = (found['ReverseAttnCompressor', ratio] for ratio in (0.5, 0.1))
    assert every['seg_change'] == 0.0 and every['target_error'] == pytest.approx(0.0, abs=1e-6)
    assert half['seg_change'] > 0 and half['target_error'] > 0
    assert 0 < half['background_error'] < tenth['background_error']


def test_parts_add_up_to_the_pass(tiny):
    compressors = {settings.Setting('ReverseAttnCompressor', 0.5): ReverseAttnCompressor()}
    rows = compression_timing.measure(tiny, compressors, compression_timing.make_clip(4, (96, 96), ['car']), 1)
    (row,) = rows.values()
    assert all(row[part] > 0 for part in compression_timing.PARTS)
    assert sum(row[part] for part in (*compression_timing.PARTS, 'rest')) == pytest.approx(row['whole'])
    assert 'forward' not in vars(tiny.compressor) and 'predict' not in vars(tiny.mask_head)


def test_peak_memory_sees_what_is_gone():
    memory = compression_timing.PeakMemory(torch.device('cpu'))
    torch.ones(2**25).sum()
    if memory.before is None:
        pytest.skip('the peak of the resident set cannot be reset here')
    assert memory.read() > 2**26


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            [CONFIG, '--compressors', 'Nope'],
            r'--compressors must be registered \(.*ReverseAttnCompressor.*\), got Nope',
        ),
        ([CONFIG, '--compressors', 'NoCompressor'], 'got NoCompressor'),  # it has no ratio
        ([CONFIG, '--keep-ratios', '0.5', '0'], r'--keep-ratios must be in \(0, 1\], got 0'),
        ([CONFIG, '--keep-ratios', '1.5'], r'--keep-ratios must be in \(0, 1\], got 1.5'),
        ([CONFIG, '--keep-ratios', 'nan'], r'--keep-ratios must be in \(0, 1\], got nan'),
        ([CONFIG, '--repeats', '-1'], '--repeats must be at least 0, got -1'),
        ([CONFIG, '--words', '0'], '--words must be at least 1, got 0'),
        ([CONFIG, '--size', '0', '9'], '--size must be at least 1 x 1, got 0 x 9'),
        (['configs/pretrain/tiny_segmenter_text.py'], 'tiny_segmenter_text.py: model.mllm must be set'),
        (['configs/nope.py'], 'configs/nope.py: config file not found'),
    ],
)
def test_bad_options(arguments, message, tmp_path):
    done = forked.run(TOOL, *arguments, '--out', tmp_path / 'out', folder=tmp_path)
    assert done.code == 2 and not (tmp_path / 'out').exists()
    assert re.search(message, done.err), done.err


def test_full_size_without_weights_is_counted(tmp_path):
    done = forked.run(
        TOOL, 'configs/lavida_7b.py', '--keep-ratios', 0.5, '--compressors', 'ReverseAttnCompressor',
        '--size', 240, 360, '--out', tmp_path / 'out', folder=tmp_path, HF_HUB_OFFLINE='1',
    )  # fmt: skip
    assert done.code == 0, done.err
    result = json.loads((tmp_path / 'out' / 'compression_curve.json').read_text())
    assert 'timing' not in result and 'scores' not in result
    rows = result['operations']['phases']['test']['passes']
    # 240 x 360 pixels are enlarged to 30 x 44 tokens, four times.
    assert [(row['keep_ratio'], row['before'], row['after']) for row in rows] == [(1.0, 5280, 5280), (0.5, 5280, 2640)]
    assert rows[1]['language'] < 0.55 * rows[0]['language']  # the text remains, attention is a quarter
    for row in rows:
        assert row['total'] == row['vision'] + row['segmenter'] + row['language'] + row['head']
    assert (tmp_path / 'out' / 'compression_curve.md').read_text().strip() in done.out
    assert 'No time was measured: weights that the config names are not here.' in done.out
    assert (tmp_path / 'out' / 'compression_curve.png').stat().st_size > 1000


def test_a_checkpoint_of_another_model_is_refused_before_anything_is_measured(small_world, tmp_path):
    save_file({'backbone.weight': torch.zeros(3)}, tmp_path / 'other.safetensors')
    done = forked.run(
        TOOL, CONFIG, 'checkpoints/lavida_tiny.safetensors', tmp_path / 'other.safetensors',
        '--compressors', 'ReverseAttnCompressor', '--out', tmp_path / 'out',
        '--benchmark-root', small_world / 'benchmark', folder=tmp_path,
    )  # fmt: skip
    assert done.code == 1 and 'other.safetensors: state_dict: none of its 1 weights' in done.err
    assert 'Operations' not in done.out


@pytest.mark.slow
def test_figures_of_the_own_setting_are_those_of_the_test(small_world, tmp_path):
    root, seeds = small_world / 'benchmark', []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = MODELS.build(load_config(ROOT / CONFIG).model)
        seeds.append(tmp_path / f'seed{seed}.pth')
        torch.save({'state_dict': model.state_dict()}, seeds[-1])
    done = forked.run(
        TOOL, CONFIG, *seeds, '--compressors', 'ReverseAttnCompressor', '--keep-ratios', 1, 0.5, '--repeats', 1,
        '--frames', 4, '--size', 96, 96, '--benchmark-root', root, '--out', tmp_path / 'out', folder=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    result = json.loads((tmp_path / 'out' / 'compression_curve.json').read_text())
    every, own = result['scores']
    assert (every['name'], own['compressor'], own['keep_ratio']) == ('all tokens', 'ReverseAttnCompressor', 0.5)
    for ratio, row in ((1.0, every), (0.5, own)):
        tested = forked.run(
            'tools/test.py', CONFIG, seeds[1], '--work-dir', tmp_path / f'{ratio}', '--cfg-options',
            f'test_dataloader.dataset.benchmark.root={root}', f'model.compressor.keep_ratio={ratio}', folder=tmp_path,
        )  # fmt: skip
        assert tested.code == 0, tested.err
        metrics = json.loads((tmp_path / f'{ratio}' / 'metrics.json').read_text())
        figures = {name.split('/')[1]: value for name, value in metrics.items() if name.startswith('vad/')}
        figures = {name: value for name, value in figures.items() if isinstance(value, float)}
        assert len(figures) > 4
        assert {name: row['checkpoints'][1][name] for name in figures} == figures
    assert own['std']['frame_auc'] > 0 and own['mean']['seg_change'] > 0
    assert result['checkpoints'] == ['seed1.pth', 'seed2.pth']
    assert [row['name'] for row in result['timing']['rows']] == ['all tokens', 'ReverseAttnCompressor']
    assert 'Mean and sample standard deviation over 2 checkpoints.' in done.out
