"""The instrument against detectors whose one path is known."""

import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from torch import nn

from lavida_mm.models.compressors import NoCompressor, UniformCompressor
from lavida_mm.models.mllm import MLLMOutput
from lavida_mm.structures import VADDataSample
from lavida_mm.utils.errors import DataError, UsageError
from tests.conftest import ROOT
from tests.path_detector import TRAP, PathDetector
from tests.test_engine import forked
from tests.videos import write_video

sys.path.insert(0, str(ROOT / 'tools' / 'analysis_tools'))
import path_ablation
import path_interventions as interventions
import path_report as report
from path_settings import BASELINE, Setting, make_settings, why_not

TOOL = 'tools/analysis_tools/path_ablation.py'
TINY = ('configs/lavida_tiny.py', 'checkpoints/lavida_tiny.safetensors')
WINDOW, NUM_WINDOWS, SIZE = 4, 4, 32
CONFIG = """
default_scope = 'lavida_mm'
model = dict(type='PathDetector', reads={reads!r})
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='VideoSampler'),
    dataset=dict(
        type='VideoAnomalyDataset',
        benchmark=dict(type='ManifestBenchmark', root={root!r}, ann_file='manifest.json'),
        window=4,
        pipeline=[dict(type='PackVADInputs')],
    ),
    collate_fn=dict(type='pseudo_collate'),
)
test_evaluator = dict(type='VADMetric', pixel=False)
"""


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('lavida_mm')


@pytest.fixture(scope='module')
def red_world(tmp_path_factory):
    """Six videos of four windows; one window in each is red and grows brighter, the others grow darker."""
    root = tmp_path_factory.mktemp('red')
    videos = []
    for number in range(6):
        anomalous = number % NUM_WINDOWS
        frames = []
        for place in range(NUM_WINDOWS * WINDOW):
            step = place % WINDOW
            rises = place // WINDOW == anomalous
            frame = np.full((SIZE, SIZE, 3), 40 + 30 * (step if rises else WINDOW - 1 - step), np.uint8)
            if rises:
                frame[8:24, 8:24] = (255, 0, 0)
            frames.append(frame)
        write_video(root / f'{number}.mp4', frames)
        videos.append(
            dict(
                video_id=f'v{number}',
                path=f'{number}.mp4',
                categories=['red', 'noise'] if number % 2 else ['red'],
                absent_categories=['fire'],
                anomalies=[dict(category='red', start=anomalous * WINDOW, end=(anomalous + 1) * WINDOW)],
            )
        )
    (root / 'manifest.json').write_text(json.dumps(dict(version=1, name='red', videos=videos)))
    for video in videos:  # one list of words for all, and nothing known to be absent
        video['categories'] = ['red']
        del video['absent_categories']
    (root / 'alike.json').write_text(json.dumps(dict(version=1, name='alike', videos=videos)))
    return root


def run_tool(world, reads, folder, *options, **environment):
    config = folder / 'detector.py'
    config.write_text(CONFIG.format(reads=reads, root=str(world)))
    if not (folder / 'weights.pth').exists():
        torch.save({'state_dict': PathDetector(reads=reads).state_dict()}, folder / 'weights.pth')
    return forked.run(
        TOOL, config, folder / 'weights.pth', '--out', folder / 'out', '--draws', 50, *options,
        folder=folder, **environment,
    )  # fmt: skip


def read_rows(folder, split='test'):
    result = json.loads((folder / 'out' / 'path_ablation.json').read_text())
    return {row['key']: row for row in result['splits'][split]['rows']}, result['splits'][split]


def verdicts(rows):
    return {key: row['changes']['frame_auc']['verdict'] for key, row in rows.items() if row['changes']}


def test_sees_that_the_score_depends_on_seg_alone(red_world, tmp_path):
    done = run_tool(red_world, 'seg', tmp_path)
    assert done.code == 0, done.err
    rows, split = read_rows(tmp_path)
    assert rows['right_words']['figures']['frame_auc'] == 1.0
    assert rows['seg_zeroed']['figures']['frame_auc'] == 0.5
    assert rows['seg_zeroed']['changes']['frame_auc'] == dict(value=-0.5, low=-0.5, high=-0.5, verdict='weight')
    assert verdicts(rows) == {
        'wrong_words': 'nothing',
        'shuffled_words': 'nothing',
        'seg_zeroed': 'weight',
        'seg_shuffled': 'weight',
        'text_zeroed': 'nothing',
        'frames_shuffled': 'nothing',
        'frame_repeated': 'nothing',
    }
    assert split['left_out'] == {
        f'keep_{ratio}': 'the model keeps all visual tokens' for ratio in ('1', '0.5', '0.25', '0.1')
    }
    text = (tmp_path / 'out' / 'path_ablation.md').read_text()
    assert text.strip() in done.out
    assert '- `<SEG>`: zeroing it changes frame AUC by -0.500 [-0.500, -0.500]: carries weight.' in text
    assert (tmp_path / 'out' / 'path_ablation.png').read_bytes().startswith(b'\x89PNG')


def test_sees_that_the_words_count_and_seg_does_not(red_world, tmp_path):
    keys = ('seg_zeroed', 'seg_shuffled', 'text_zeroed')
    assert run_tool(red_world, 'words', tmp_path, '--settings', *keys).code == 0
    rows, _ = read_rows(tmp_path)
    assert verdicts(rows) == dict(seg_zeroed='nothing', seg_shuffled='nothing', text_zeroed='weight')
    assert rows['seg_zeroed']['changes']['frame_auc'] == dict(value=0.0, low=0.0, high=0.0, verdict='nothing')
    assert rows['seg_zeroed']['largest_score_change'] == 0
    text = (tmp_path / 'out' / 'path_ablation.md').read_text()
    assert '- `<SEG>`: zeroing it changes frame AUC by 0.000 [0.000, 0.000]: carries nothing. Not one score' in text


def test_sees_that_the_order_of_frames_counts(red_world, tmp_path):
    keys = ('seg_zeroed', 'frames_shuffled', 'frame_repeated')
    assert run_tool(red_world, 'order', tmp_path, '--settings', *keys).code == 0
    rows, _ = read_rows(tmp_path)
    assert rows['right_words']['figures']['frame_auc'] == 1.0
    assert verdicts(rows) == dict(seg_zeroed='nothing', frames_shuffled='weight', frame_repeated='weight')
    assert rows['frame_repeated']['figures']['frame_auc'] == 0.5  # no frame is brighter than itself


def test_finished_settings_are_not_repeated(red_world, tmp_path):
    options = ('--settings', 'seg_zeroed', 'seg_shuffled')
    assert run_tool(red_world, 'seg', tmp_path, *options).code == 0
    first = (tmp_path / 'out' / 'path_ablation.json').read_text()
    (tmp_path / 'out' / 'path_ablation.json').unlink()
    assert run_tool(red_world, 'seg', tmp_path, *options, **{TRAP: '1'}).code == 0  # the model is not asked
    assert (tmp_path / 'out' / 'path_ablation.json').read_text() == first
    next((tmp_path / 'out' / 'test' / 'seg_shuffled').glob('*.npz')).unlink()  # cut off before its last video
    assert 'the trap is set' in run_tool(red_world, 'seg', tmp_path, *options, **{TRAP: '1'}).err
    assert run_tool(red_world, 'seg', tmp_path, *options).code == 0
    assert (tmp_path / 'out' / 'path_ablation.json').read_text() == first
    torch.save({'state_dict': {'gain': torch.tensor(0.5)}}, tmp_path / 'weights.pth')
    other = run_tool(red_world, 'seg', tmp_path, *options)
    assert other.code == 2
    assert 'holds predictions of another run: checkpoint_sha256 is weights.pth' in other.err
    assert other.err.strip().endswith('now; give another --out')


def test_states_survive_their_file_and_damage_is_named(tmp_path):
    path = tmp_path / 'states.npz'
    states = interventions.SegStates({('v ä', 0): torch.tensor([0.1, 2.0]), ('w', 4): torch.tensor([3.0, 4.0])})
    states.write(path)
    read = interventions.SegStates.read(path)
    assert {key: row.tolist() for key, row in read.rows.items()} == {k: r.tolist() for k, r in states.rows.items()}
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r'states\.npz: damaged, delete its folder and run again'):
        interventions.SegStates.read(path)


def test_splits_of_other_configs_share_the_model(red_world, tmp_path):
    listed = tmp_path / 'listed.py'
    text = CONFIG.format(reads='order', root=str(red_world)).replace('manifest.json', 'alike.json')
    listed.write_text(text.replace('window=4', 'window=1'))
    keys = ('wrong_words', 'shuffled_words', 'text_zeroed', 'frames_shuffled')
    options = ('--splits', f'own={tmp_path / "detector.py"}', f'listed={listed}', '--settings', *keys)
    done = run_tool(red_world, 'words', tmp_path, *options)
    assert done.code == 0, done.err
    own, split = read_rows(tmp_path, 'own')
    assert set(own) == {'right_words', *keys}
    assert split['alarms']['alarms_wrong_words'] == 0.0  # they get a tenth of the score
    assert split['alarms']['found'] >= 0.8
    rows, split = read_rows(tmp_path, 'listed')
    assert split['config'] == 'listed.py'
    figures = {key: row['figures']['frame_auc'] for key, row in rows.items()}
    assert figures == {'right_words': 1.0, 'text_zeroed': 0.5}  # `order` has no say in it
    assert split['alarms'] is None
    assert split['left_out'].pop('frames_shuffled') == 'a window holds one frame'
    assert 'absent_categories must hold words' in split['left_out'].pop('wrong_words')
    assert 'must have at least 2 videos with different words' in split['left_out'].pop('shuffled_words')
    assert not split['left_out']


def test_given_wrong_words_take_the_place_of_absent_ones(red_world, tmp_path):
    options = ('--settings', 'wrong_words', '--wrong-words', 'red', 'fire')
    assert run_tool(red_world, 'words', tmp_path, *options).code == 0
    rows, _ = read_rows(tmp_path)
    assert rows['wrong_words']['largest_score_change'] == 0  # red is among them: they are no wrong words


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--splits', 'x'), '--splits must be NAME=CONFIG, NAME that of a folder, got x'),
        (('--splits', '../x=detector.py'), 'NAME that of a folder, got ../x=detector.py'),
        (('--splits', 'x=none.py'), 'none.py: config file not found'),
        (('--splits', 'x=y', '--benchmark-root', 'z'), '--benchmark-root is for the config'),
        (('--settings', 'seg'), '--settings must be among right_words, wrong_words, .*, got seg'),
        (('--keep-ratios', '1.5'), r'--keep-ratios must be in \(0, 1\], got 1.5'),
        (('--draws', '0'), '--draws must be at least 1, got 0'),
        (('--margin', 'nan'), '--margin must be at least 0, got nan'),
    ],
)
def test_bad_options_are_refused(red_world, tmp_path, options, message):
    done = run_tool(red_world, 'seg', tmp_path, *options)
    assert done.code == 2
    assert re.search(message, done.err), done.err


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=7), st.integers(0, 9))
def test_each_window_gets_one_of_another_video_and_each_is_given_once(lengths, seed):
    keys = [(f'v{number}', 4 * place) for number, length in enumerate(lengths) for place in range(length)]
    if 2 * max(lengths) > len(keys):
        with pytest.raises(UsageError, match=f'more than half of the windows, got {max(lengths)} of {len(keys)}'):
            interventions.choose_donors(keys, seed)
        return
    donors = interventions.choose_donors(keys, seed)
    assert sorted(donors) == sorted(donors.values()) == sorted(keys)
    assert all(key[0] != donor[0] for key, donor in donors.items())
    assert interventions.choose_donors(keys, seed) == donors


def test_order_is_never_the_own_one_and_depends_on_the_window_alone():
    orders = [interventions.order_frames(2, f'v{number}', 0) for number in range(20)]
    assert all(order.tolist() == [1, 0] for order in orders)
    assert interventions.order_frames(1, 'v', 0).tolist() == [0]
    first, again, other = (interventions.order_frames(8, 'v', start) for start in (0, 0, 8))
    assert first.tolist() == again.tolist() != other.tolist()
    assert sorted(first) == list(range(8))


def make_batch():
    """Two windows, of 4 and of 3 frames; in the first, frames 1 and 2 count."""
    clips = [torch.arange(length, dtype=torch.uint8).mul(20).view(-1, 1, 1, 1).expand(-1, 3, 2, 2) for length in (4, 3)]
    samples = []
    for number, clip in enumerate(clips):
        sample = VADDataSample(
            metainfo=dict(video_id=f'v{number}', frame_inds=10 * number + np.arange(len(clip)), categories=['red'])
        )
        sample.gt_frame_labels = torch.zeros(len(clip), dtype=torch.int64)
        samples.append(sample)
    samples[0].set_metainfo(dict(first_scored=1, num_valid=3))
    return dict(inputs=clips, data_samples=samples)


class Watcher:
    """A step that says the brightness of each frame, and its place, and remembers what it was shown."""

    def __init__(self):
        self.shown, self.names = [], []

    def __call__(self, batch):
        self.shown.append([clip[:, 0, 0, 0].tolist() for clip in batch['inputs']])
        self.names.append([sample.video_id for sample in batch['data_samples']])
        results = [sample.clone() for sample in batch['data_samples']]
        for clip, sample in zip(batch['inputs'], results, strict=True):
            sample.pred_frame_scores = clip[:, 0, 0, 0] / 100
            sample.pred_category_scores = torch.arange(len(clip)).float()[:, None]
        return results


def test_shuffled_frames_keep_their_own_predictions():
    watcher, batch = Watcher(), make_batch()
    first, second = interventions.step_shuffled(watcher, batch)
    ((shown, _),) = watcher.shown
    assert sorted(shown) == [0, 20, 40, 60] and shown != [0, 20, 40, 60]
    assert first.pred_frame_scores.tolist() == pytest.approx([0, 0.2, 0.4, 0.6])
    assert second.pred_frame_scores.tolist() == pytest.approx([0, 0.2, 0.4])
    assert [shown[int(place)] for place in first.pred_category_scores[:, 0]] == [0, 20, 40, 60]  # where each was shown
    assert first.frame_inds.tolist() == [0, 1, 2, 3]
    assert 'pred_frame_scores' not in batch['data_samples'][0]


def test_a_repeated_frame_fills_its_window_and_only_frames_that_count_are_run():
    watcher, batch = Watcher(), make_batch()
    (first,) = interventions.step_repeated(watcher, {name: part[:1] for name, part in batch.items()})
    assert watcher.shown == [[[20] * 4], [[40] * 4]]
    assert watcher.names == [['v0, frame 1 alone'], ['v0, frame 2 alone']]  # no memory goes on from one to the next
    assert first.pred_frame_scores[1:3].tolist() == pytest.approx([0.2, 0.4])
    assert first.pred_category_scores[1:3, 0].tolist() == [1, 2]  # each at its own place
    assert first.video_id == 'v0'
    first, second = interventions.step_repeated(watcher, batch)
    assert first.pred_frame_scores[1:3].tolist() == pytest.approx([0.2, 0.4])
    assert second.pred_frame_scores.tolist() == pytest.approx([0, 0.2, 0.4])


def test_parts_speak_again_after_each_intervention():
    model, clips = PathDetector(reads='seg'), [torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1)]
    with interventions.silence(model, 'mllm'):
        assert model.mllm(clips).seg_states.tolist() == [[0]]
        assert model.mllm(clips).loss == 3.0
        assert model.text_encoder(['red']).tolist() == [[1]]
    with interventions.silence(model, 'text_encoder'):
        assert model.text_encoder(['red']).tolist() == [[0]]
        assert model.mllm(clips).seg_states.tolist() == [[1]]
    assert model.text_encoder(['red']).tolist() == [[1]]
    model.compressor = UniformCompressor(keep_ratio=0.5)
    seen = []

    def stop():
        seen.append(model.compressor.keep_ratio)
        raise RuntimeError('stop')

    with pytest.raises(RuntimeError, match='stop'), interventions.keep(model, 0.25):
        stop()
    assert seen == [0.25]
    assert model.compressor.keep_ratio == 0.5


class Speaker(nn.Module):
    """Says of each word of B = 1 samples how long it is, and of a padded one very little."""

    def forward(self, sample):
        logits = torch.tensor([[float(len(word)) for word in sample.categories] + [-1e4]])
        return MLLMOutput(torch.full((1, 2), logits[0, 0]), torch.zeros(()), [1], [1], [], [], [], answers=logits)


def test_what_is_said_of_each_word_is_silenced_and_swapped_with_the_states(tmp_path):
    model = SimpleNamespace(mllm=Speaker())
    said = []

    def step(batch):
        said.append(model.mllm(batch['data_samples'][0]))
        return batch['data_samples']

    batches = [
        dict(data_samples=[VADDataSample(metainfo=dict(video_id=name, frame_inds=[0], categories=words))])
        for name, words in (('v', ['a', 'bb']), ('w', ['ccc', 'dddd', 'eeeee']))
    ]
    states = interventions.SegStates()
    with interventions.record(model, step, states) as recorded:
        for batch in batches:
            recorded(batch)
    assert states.answers['v', 0].tolist() == [1, 2]
    assert states.answers['w', 0].tolist() == [3, 4, 5]
    states.write(tmp_path / 'states.npz')
    read = interventions.SegStates.read(tmp_path / 'states.npz')
    assert {key: row.tolist() for key, row in read.answers.items()} == {('v', 0): [1, 2], ('w', 0): [3, 4, 5]}
    said.clear()
    with interventions.swap(model, step, read) as swapped:
        for batch in batches:
            swapped(batch)
    assert [output.answers.tolist() for output in said] == [[[3, 4, -1e4]], [[1, 2, 1, -1e4]]]
    assert [output.seg_states.tolist() for output in said] == [[[3, 3]], [[1, 1]]]
    said.clear()
    with interventions.silence(model, 'mllm'):
        step(batches[0])
    assert not said[0].answers.any() and not said[0].seg_states.any()


def test_settings_that_mean_nothing_to_a_model_say_why():
    model = PathDetector(reads='seg')
    chosen = {setting.key: setting for setting in make_settings([1.0, 0.5])}
    assert [key for key, setting in chosen.items() if why_not(model, setting, 4)] == ['keep_1', 'keep_0.5']
    model.compressor = UniformCompressor(keep_ratio=0.5)
    assert why_not(model, chosen['keep_0.5'], 4) == "that is the model's own: see the first row"
    assert why_not(model, chosen['keep_1'], 4) is None
    model.compressor = NoCompressor()
    assert why_not(model, chosen['keep_1'], 4) == 'the model keeps all visual tokens'
    bare = nn.Module()
    missing = {key: why_not(bare, setting, 4) for key, setting in chosen.items()}
    assert missing['seg_zeroed'] == missing['seg_shuffled'] == 'the model has no mllm'
    assert missing['text_zeroed'] == 'the model has no text_encoder'
    assert missing['wrong_words'] is None


@pytest.mark.parametrize(
    ('low', 'high', 'verdict'),
    [
        (0.0, 0.0, 'nothing'),
        (-0.01, 0.01, 'nothing'),
        (-0.009, -0.001, 'nothing'),  # surely not 0, but too small to matter
        (-0.3, -0.1, 'weight'),
        (-0.3, -0.001, 'weight'),
        (-0.3, 0.02, 'unknown'),
        (-0.3, 0.0, 'unknown'),
        (0.002, 0.2, 'better'),
    ],
)
def test_verdicts(low, high, verdict):
    assert report.judge(low, high, 0.01) == verdict


def test_changes_are_paired_draw_by_draw():
    rng = np.random.default_rng(0)
    scores, labels = np.array([0.9, 0.1, 0.5]), np.array([1, 0, 1])
    draws = rng.random(200)
    baseline = report.Measured({'frame_auc': 0.8}, {'frame_auc': draws}, scores, labels)
    lower = report.Measured({'frame_auc': 0.7}, {'frame_auc': draws - 0.1}, scores - 0.05, labels)
    row = report.compare(Setting('k', 'name', 'path', 'doing it'), lower, baseline)
    change = row['changes']['frame_auc']
    assert [change[name] for name in ('value', 'low', 'high')] == pytest.approx([-0.1] * 3)  # though draws vary widely
    assert row['largest_score_change'] == pytest.approx(0.05)
    assert report.compare(BASELINE, baseline, baseline)['changes'] == {}
    assert report.make_sentences([row]) == [
        '- path: doing it changes frame AUC by -0.100 [-0.100, -0.100]: carries weight. Scores move by up to 0.05.'
    ]


def test_threshold_finds_the_share_and_not_one_frame_more_than_needed():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.1, 0.95, 0.2])
    labels = np.array([1, 1, 1, 1, 1, 0, 0])
    threshold = report.find_threshold(scores, labels, 0.8)
    assert threshold == 0.6
    assert (scores[labels > 0] >= threshold).mean() == 0.8
    assert report.find_threshold(scores, labels, 1.0) == 0.1


def test_pixels_of_files_land_in_the_row_of_their_video():
    packed = dict(histogram_places=np.array([1, 3 + 2, 6]), histogram_counts=np.array([5, 7, 9]))
    positives, negatives = path_ablation.stack_counts({'b': packed, 'left out': packed, 'a': None}, {'a': 0, 'b': 1}, 3)
    assert positives.tolist() == [[0, 0, 0], [0, 5, 0]]
    assert negatives.tolist() == [[0, 0, 0], [0, 0, 7]]


def test_the_shipped_model_and_one_whose_seg_path_is_cut(small_world, tmp_path):
    from safetensors.torch import load_file

    weights = load_file(ROOT / TINY[1])
    seg = [name for name in weights if name.startswith('projector.seg_proj.weight')]
    assert len(seg) == 1
    weights[seg[0]] = torch.zeros_like(weights[seg[0]])
    torch.save({'state_dict': weights}, tmp_path / 'cut.pth')
    found = {}
    for checkpoint in (ROOT / TINY[1], tmp_path / 'cut.pth'):
        done = forked.run(
            TOOL, TINY[0], checkpoint, '--out', tmp_path / checkpoint.stem, '--benchmark-root',
            small_world / 'benchmark', '--settings', 'seg_zeroed', 'seg_shuffled', '--draws', 50, '--cfg-options',
            'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False',
            'test_dataloader.dataset.frame_interval=4', folder=tmp_path,
        )  # fmt: skip
        assert done.code == 0, done.err
        result = json.loads((tmp_path / checkpoint.stem / 'path_ablation.json').read_text())
        found[checkpoint.stem] = {row['key']: row for row in result['splits']['test']['rows']}
    for key in ('seg_zeroed', 'seg_shuffled'):
        assert found['cut'][key]['largest_score_change'] == 0
        assert found['lavida_tiny'][key]['largest_score_change'] > 0  # the whole path moves the scores a little
        for name in ('frame_auc', 'pixel_auc'):
            assert found['cut'][key]['changes'][name] == dict(value=0.0, low=0.0, high=0.0, verdict='nothing')
    text = (tmp_path / 'cut' / 'path_ablation.md').read_text()
    assert 'zeroing it changes frame AUC by 0.000 [0.000, 0.000]: carries nothing' in text
    assert text.count('Not one score moves.') == 2
