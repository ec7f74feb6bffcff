"""tools/evaluate.py: scores of other systems and predictions of ours, figures against scikit-learn, exit codes."""

import csv
import importlib.util
import json
import math
import re

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from lavida_mm.evaluation.pixel_statistics import PixelStatistics
from lavida_mm.evaluation.predictions import PredictionWriter, prediction_path
from lavida_mm.evaluation.scoreboard import Scoreboard
from lavida_mm.utils import run_tool
from tests.conftest import ROOT
from tests.videos import red_square_frames, write_video

LENGTHS = {'Abuse001_x264': 100, 'Arson002_x264': 65, 'Normal_Videos_003_x264': 33}
LINES = [
    'Abuse001_x264.mp4  Abuse  10  19  50  59',
    'Arson002_x264.mp4  Arson  60  70  -1  -1',
    'Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1',
]
ANOMALOUS = {'Abuse001_x264': [*range(10, 20), *range(50, 60)], 'Arson002_x264': range(60, 65)}


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('evaluate', ROOT / 'tools' / 'evaluate.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tool, capsys):
    """Run the tool in this process; gives exit code, stdout and stderr."""

    def run(*argv):
        code = 0
        try:
            run_tool(lambda: tool.main([str(arg) for arg in argv]))
        except SystemExit as leave:
            code = leave.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def root(tmp_path):
    """The annotation of a benchmark of three videos, without the videos."""
    root = tmp_path / 'ucf'
    root.mkdir()
    (root / 'Temporal_Anomaly_Annotation_for_Testing_Videos.txt').write_text('\n'.join(LINES) + '\n')
    write_lengths(root, LENGTHS)
    return root


def write_lengths(root, lengths):
    rows = ''.join(f'{name},{length}\n' for name, length in lengths.items())
    (root / 'num_frames.csv').write_text('video,num_frames\n' + rows)


def labels_of(name, length):
    labels = np.zeros(length, dtype=int)
    labels[[frame for frame in ANOMALOUS.get(name, []) if frame < length]] = 1
    return labels


def make_scores(per_score=1, seed=0, count=lambda n, k: math.ceil(n / k)):
    rng = np.random.default_rng(seed)
    return {name: rng.random(count(length, per_score)).round(2) for name, length in LENGTHS.items()}


def write_scores(folder, scores, suffix=''):
    folder.mkdir(exist_ok=True)
    for name, values in scores.items():
        np.save(folder / f'{name}{suffix}.npy', values)
    return folder


def base(root, scores, *more, benchmark='ucf_crime'):
    return ['--scores', scores, '--benchmark', benchmark, '--data-root', root, *more]


def read_report(out):
    return json.loads((out / 'report.json').read_text())


def test_figures_are_those_of_scikit_learn(run, root, tmp_path):
    scores = make_scores(16)
    folder = write_scores(tmp_path / 'scores', scores, suffix='.mp4')
    code, out, err = run(
        *base(root, folder, '--frames-per-score', 16, '--out', tmp_path / 'out', '--bootstrap', 20, '--timelines', 1)
    )
    assert (code, err) == (0, '')
    frames = np.concatenate([np.repeat(values, 16)[: LENGTHS[name]] for name, values in scores.items()])
    labels = np.concatenate([labels_of(name, length) for name, length in LENGTHS.items()])
    report = read_report(tmp_path / 'out')
    figures = report['figures']
    assert figures['frame_auc'] == pytest.approx(roc_auc_score(labels, frames), abs=1e-12)
    assert figures['frame_ap'] == pytest.approx(average_precision_score(labels, frames), abs=1e-12)
    assert (report['protocol']['name'], report['protocol']['version']) == ('default', 1)
    assert report['coverage']['frames_scored'] == report['coverage']['frames_known'] == sum(LENGTHS.values())
    assert re.search(rf'frame_auc +{figures["frame_auc"]:.4f}  \(95 %: ', out)
    assert '3 of 3 videos, 198 of 198 frames' in out
    low, high = report['intervals']['frame_auc']
    assert low <= figures['frame_auc'] <= high
    names = {path.name for path in (tmp_path / 'out').iterdir()}
    assert names == {'report.json', 'report.html', 'videos.csv', 'roc.png', 'pr.png', 'timelines'}
    with (tmp_path / 'out' / 'videos.csv').open(newline='') as file:
        assert {row['video'] for row in csv.DictReader(file)} == set(LENGTHS)


def test_all_file_forms_give_one_result(run, root, tmp_path):
    scores = make_scores()
    write_scores(tmp_path / 'npy', scores)
    np.savez(tmp_path / 'all.npz', **{f'x/{name}.mp4': values for name, values in scores.items()})
    (tmp_path / 'all.json').write_text(json.dumps({name: values.tolist() for name, values in scores.items()}))
    for form, write in (('txt', '{:.2f}'), ('csv', '{0:.2f}')):
        (tmp_path / form).mkdir()
        for name, values in scores.items():
            lines = [write.format(value) for value in values]
            if form == 'csv':
                lines = ['frame,score', *[f'{frame},{line}' for frame, line in enumerate(lines)]]
            (tmp_path / form / f'{name}.{form}').write_text('\n'.join(lines))
    found = []
    for form in ('npy', 'all.npz', 'all.json', 'txt', 'csv'):
        out = tmp_path / f'out_{form}'
        code, _, err = run(*base(root, tmp_path / form, '--out', out, '--json-only'))
        assert code == 0, err
        assert [path.name for path in out.iterdir()] == ['report.json']
        found.append(read_report(out)['figures'])
    assert all(figures == found[0] for figures in found)


def test_features_decide_the_length_under_i3d_16(run, root, tmp_path):
    scores = make_scores(16, count=lambda n, k: (n - 1) // k)
    folder = write_scores(tmp_path / 'scores', scores)
    code, _, err = run(*base(root, folder, '--frames-per-score', 16))
    assert code == 1
    assert 'has 100 frames' in err and 'must have ceil(100 / 16) = 7 scores, got 6' in err
    assert "protocol 'i3d-16'" in err
    options = ['--frames-per-score', 16, '--protocol', 'i3d-16', '--out', tmp_path / 'out', '--json-only']
    code, out, err = run(*base(root, folder, *options))
    assert code == 0, err
    report = read_report(tmp_path / 'out')
    assert report['coverage']['frames_known'] == 96 + 64 + 32
    # Half-open ends: the last frame of each interval is normal. Arson002 is cut to 64 frames.
    assert sum(video['anomalous_frames'] for video in report['videos']) == 9 + 9 + 4
    assert not [note for note in report['notes'] if 'warning' in note]
    write_lengths(root, {**LENGTHS, 'Abuse001_x264': 113})
    code, out, _ = run(*base(root, folder, *options))
    assert code == 0
    assert 'warning: the scores of 1 videos are more than 16 frames longer or shorter' in out
    assert 'Abuse001_x264, by -17 frames' in out


def test_scores_that_no_features_shortened_are_named_under_i3d_16(run, root, tmp_path):
    folder = write_scores(tmp_path / 'scores', make_scores(16))
    code, out, err = run(*base(root, folder, '--frames-per-score', 16, '--protocol', 'i3d-16'))
    assert code == 0, err
    assert 'warning: 42 frames are counted that lie beyond the end of 3 videos' in out  # 112 + 80 + 48 - 198


def test_a_report_of_scores_at_the_end_of_the_floats_is_whole(run, root, tmp_path):
    scores = {name: np.where(np.arange(length) % 2, 1.7e308, -1.7e308) for name, length in LENGTHS.items()}
    code, _, err = run(*base(root, write_scores(tmp_path / 'scores', scores), '--out', tmp_path / 'out'))
    assert code == 0, err
    assert {'report.json', 'report.html', 'videos.csv'} <= {path.name for path in (tmp_path / 'out').iterdir()}


def test_lengths_that_are_not_known_come_from_the_scores_and_are_counted(run, root, tmp_path):
    (root / 'num_frames.csv').unlink()
    scores = {**make_scores(16), 'Abuse001_x264': np.linspace(0, 1, 3)}  # ends before its second anomaly
    code, out, err = run(*base(root, write_scores(tmp_path / 's', scores), '--frames-per-score', 16))
    assert code == 0, err
    assert 'the length of 3 videos is not known and was taken from their scores, 16 frames each' in out
    assert 'the scores of 1 of these end before their last anomaly does; the first is Abuse001_x264' in out


def test_lengths_are_counted_where_the_videos_are_at_hand(run, tmp_path):
    root = tmp_path / 'own'
    root.mkdir()
    write_video(root / 'a.mp4', red_square_frames(24, present=range(6, 12)), fps=8)
    write_video(root / 'b.mp4', red_square_frames(20), fps=8)
    videos = [
        dict(video_id='a', path='a.mp4', anomalies=[dict(category='x', start=6, end=12)]),
        dict(video_id='b', path='b.mp4', anomalies=[]),
    ]
    (root / 'manifest.json').write_text(json.dumps(dict(version=1, categories=['x'], videos=videos)))
    scores = {'a': np.linspace(0, 1, 24), 'b': np.zeros(21)}
    code, _, err = run(*base(root, write_scores(tmp_path / 's', scores), benchmark='manifest'))
    assert code == 1 and 'video b has 20 frames' in err
    scores['b'] = np.zeros(20)
    options = ['--out', tmp_path / 'out', '--alarm-threshold', 0.4, '--timelines', 0]
    code, out, err = run(*base(root, write_scores(tmp_path / 's', scores), *options, benchmark='manifest'))
    assert code == 0, err
    page = (tmp_path / 'out' / 'report.html').read_text()
    assert page.count('data:image/jpeg;base64,') == 3  # a: false alarm and hit, b: false alarm
    report = read_report(tmp_path / 'out')
    assert {video['fps'] for video in report['videos']} == {8.0}
    assert any(name.startswith('event_') for name in report['figures'])
    assert re.search(r'event_\w+ ', out)


def edit(scores, **changes):
    return {**scores, **changes}


BAD_SCORES = {
    'a video is missing': (
        lambda s: {k: s[k] for k in list(s)[:2]},
        '1 of 3 videos have no scores: Normal_Videos_003_x264',
    ),
    'an unknown video': (lambda s: edit(s, Abuse999=np.zeros(3)), '1 of 4 score lists belong to no video'),
    'NaN': (lambda s: edit(s, Arson002_x264=np.full(65, np.nan)), 'scores must be finite, score 0 is nan'),
    'infinity': (lambda s: edit(s, Arson002_x264=np.full(65, -np.inf)), 'scores must be finite, score 0 is -inf'),
    'too long': (lambda s: edit(s, Arson002_x264=np.zeros(66)), 'ceil(65 / 1) = 65 scores, got 66'),
    'too short': (lambda s: edit(s, Arson002_x264=np.zeros(64)), 'ceil(65 / 1) = 65 scores, got 64'),
    'of text': (lambda s: edit(s, Arson002_x264=np.array(['a'] * 65)), 'must be real numbers, got dtype'),
    'of two dimensions': (lambda s: edit(s, Arson002_x264=np.zeros((65, 2))), 'must have one dimension'),
}


@pytest.mark.parametrize('case', BAD_SCORES)
def test_bad_scores_are_one_line_and_exit_code_1(case, run, root, tmp_path):
    change, rule = BAD_SCORES[case]
    folder = write_scores(tmp_path / 's', change(make_scores()))
    code, out, err = run(*base(root, folder, '--out', tmp_path / 'out'))
    assert (code, out) == (1, '')
    assert err.startswith('error: ') and err.count('\n') == 1
    assert rule in err
    assert not (tmp_path / 'out').exists()


def test_a_part_of_the_benchmark_must_be_asked_for_and_shows(run, root, tmp_path):
    scores = make_scores()
    del scores['Normal_Videos_003_x264']
    folder = write_scores(tmp_path / 's', scores)
    code, out, err = run(*base(root, folder, '--allow-partial', '--out', tmp_path / 'out', '--json-only'))
    assert code == 0, err
    assert '2 of 3 videos, 165 of 198 frames' in out
    assert read_report(tmp_path / 'out')['coverage']['complete'] is False


def test_one_class_and_constant_scores_are_loud(run, root, tmp_path):
    annotation = root / 'Temporal_Anomaly_Annotation_for_Testing_Videos.txt'
    constant = {name: np.full(length, 0.5) for name, length in LENGTHS.items()}
    code, out, _ = run(*base(root, write_scores(tmp_path / 's', constant)))
    assert code == 0
    assert 'all scores are 0.5: they rank nothing' in out and re.search(r'frame_auc +0\.5000', out)
    annotation.write_text(LINES[2] + '\n')
    write_lengths(root, {'Normal_Videos_003_x264': 33})
    only = {'Normal_Videos_003_x264': constant['Normal_Videos_003_x264']}
    code, out, err = run(
        *base(root, write_scores(tmp_path / 'one', only), '--out', tmp_path / 'out', '--bootstrap', 5, '--timelines', 0)
    )
    assert code == 0, err
    assert re.search(r'frame_auc +undefined +all 33 scored frames are normal', out)
    assert 'frame_auc' not in read_report(tmp_path / 'out')['figures']
    assert not (tmp_path / 'out' / 'roc.png').exists()


def test_scores_beyond_one_have_an_area_and_no_rate_at_a_threshold(run, root, tmp_path):
    scores = {name: 10 * values - 3 for name, values in make_scores().items()}
    code, out, err = run(*base(root, write_scores(tmp_path / 's', scores)))
    assert code == 0, err
    assert re.search(r'far_at_0\.5 +undefined .*needs scores in \[0, 1\]', out)
    assert re.search(r'frame_auc +0\.\d{4}', out)


ON = ['--benchmark', 'ucf_crime', '--data-root', 'R']
NO_TESTS = str(ROOT / 'configs' / '_base_' / 'default_runtime.py')
BAD_OPTIONS = {
    'no benchmark': ([], 'one of --benchmark and --config must be given'),
    'both': (['--benchmark', 'b', '--config', 'c'], 'one of --benchmark and --config'),
    'no data root': (['--benchmark', 'ucf_crime'], '--data-root must be given'),
    'unknown benchmark': (['--benchmark', 'ucf', '--data-root', 'R'], 'benchmark must be one of avenue, '),
    'unknown protocol': ([*ON, '--protocol', 'x'], 'protocol must be one of default'),
    'frames per score': ([*ON, '--frames-per-score', '0'], '--frames-per-score must be from 1 to 1000000, got 0'),
    'draws': ([*ON, '--bootstrap', '9' * 12], '--bootstrap must be at most 1000000, got 999999999999'),
    'threshold': ([*ON, '--alarm-threshold', 'nan'], '--alarm-threshold must be from 0 to 1, got nan'),
    'bootstrap': ([*ON, '--bootstrap', '-1'], '--bootstrap must be at least 0, got -1'),
    'json only': ([*ON, '--json-only'], '--json-only needs --out'),
    'pixels of scores': ([*ON, '--pixel'], 'pixel=True needs prediction files'),
    'no config': (['--config', 'nowhere.py'], 'nowhere.py: config file not found'),
    'config without a benchmark': (['--config', NO_TESTS], 'test_dataloader.dataset.benchmark must be set'),
}


@pytest.mark.parametrize('case', BAD_OPTIONS)
def test_bad_options_are_one_line_and_exit_code_2(case, run, root, tmp_path):
    argv, rule = BAD_OPTIONS[case]
    folder = write_scores(tmp_path / 's', make_scores())
    code, out, err = run('--scores', folder, *[root if arg == 'R' else arg for arg in argv])
    assert (code, out) == (2, '')
    assert err.startswith('error: ') and err.count('\n') == 1
    assert rule in err


def test_a_wrong_benchmark_folder_is_exit_code_1(run, root, tmp_path):
    folder = write_scores(tmp_path / 's', make_scores())
    code, _, err = run(*base(tmp_path / 'nowhere', folder))
    assert code == 1 and 'nowhere: root of benchmark ucf_crime must be an existing folder' in err
    code, _, err = run(*base(root, tmp_path / 'nothing'))
    assert code == 1 and 'nothing: scores must be an existing folder' in err
    annotation = root / 'Temporal_Anomaly_Annotation_for_Testing_Videos.txt'
    annotation.write_text('\n'.join([LINES[0], 'Arson002_x264.mp4  Arson  60']) + '\n')
    code, _, err = run(*base(root, folder))
    assert code == 1 and f'{annotation}:2' in err


def test_the_config_names_the_benchmark(run, root, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f"test_dataloader = dict(dataset=dict(benchmark=dict(type='UCFCrime', root='{root}')))\n")
    folder = write_scores(tmp_path / 's', make_scores())
    first = run('--scores', folder, '--config', config)
    assert first[0] == 0, first[2]
    assert first == run(*base(root, folder))


def test_a_protocol_of_ones_own(run, root, tmp_path):
    own = tmp_path / 'mine.json'
    own.write_text(json.dumps(dict(name='mine', base='default', smoothing=dict(kind='gaussian', sigma=3))))
    folder = write_scores(tmp_path / 's', make_scores())
    code, out, err = run(*base(root, folder, '--protocol', own, '--out', tmp_path / 'out', '--json-only'))
    assert code == 0, err
    assert 'protocol   mine, version 1' in out
    settings = read_report(tmp_path / 'out')['protocol']['settings']
    assert settings['smoothing'] == dict(kind='gaussian', sigma=3)


# ------------------------------------------------------------------ predictions of ours


def write_predictions(folder, scores, interval=1, masks=None, truths=None, pixels=False, **shared):
    folder.mkdir(exist_ok=True)
    meta = dict(format='lavida_mm.prediction', format_version=1, shared=dict(benchmark='ucf_crime', window=8, **shared))
    (folder / 'predictions.json').write_text(json.dumps(meta))
    for name, values in scores.items():
        writer = PredictionWriter(
            prediction_path(folder, name), video_id=name, num_frames=len(values), frame_interval=interval,
            masks='none' if masks is None else 'float16', pixels=PixelStatistics() if pixels else None,
        )  # fmt: skip
        inds = np.arange(0, len(values), interval)
        extra = (None, None) if masks is None else (masks[name][inds], truths[name][inds])
        writer.add(inds, values[inds], *extra)
        writer.finish()
    return folder


def test_predictions_of_ours_give_the_figures_of_the_same_scores(run, root, tmp_path):
    scores = make_scores()
    ours = write_predictions(tmp_path / 'ours', scores)
    code, _, err = run(*base(root, ours, '--out', tmp_path / 'a', '--json-only'))
    assert code == 0, err
    float32 = {name: values.astype(np.float32) for name, values in scores.items()}
    code, _, err = run(*base(root, write_scores(tmp_path / 's', float32), '--out', tmp_path / 'b', '--json-only'))
    assert code == 0, err
    assert read_report(tmp_path / 'a')['figures'] == read_report(tmp_path / 'b')['figures']


def test_one_prediction_folder_under_two_protocols(run, root, tmp_path):
    ours = write_predictions(tmp_path / 'ours', make_scores(), template=2)
    for protocol, frames in (('default', 198), ('i3d-16', 192)):
        code, _, err = run(*base(root, ours, '--protocol', protocol, '--out', tmp_path / protocol, '--json-only'))
        assert code == 0, err
        assert read_report(tmp_path / protocol)['coverage']['frames_known'] == frames
    code, out, err = run(*base(root, ours, '--protocol', 'lavida-code', '--allow-partial'))
    assert code == 1 and 'nothing was scored' in err  # no video has a whole window of 8 x 128 frames
    (root / 'Temporal_Anomaly_Annotation_for_Testing_Videos.txt').write_text(
        'Abuse001_x264.mp4  Abuse  10  19  -1  -1\n'
    )
    write_lengths(root, {'Abuse001_x264': 2100})
    ours = write_predictions(tmp_path / 'long', {'Abuse001_x264': np.linspace(1, 0, 2100)}, template=2)
    code, out, err = run(*base(root, ours, '--protocol', 'lavida-code'))
    assert code == 0, err
    assert 'protocol lavida-code fixes template = 0, the predictions were made with 2' in out
    assert '2,048 of 2,100 frames' in out


def test_bad_prediction_folders(run, root, tmp_path):
    ours = write_predictions(tmp_path / 'ours', make_scores())
    code, _, err = run(*base(root, ours, '--frames-per-score', 16))
    assert code == 2 and 'frames_per_score is for scores of other systems' in err
    code, _, err = run(*base(root, ours, '--pixel'))
    assert code == 2 and 'pixel=True needs masks, but benchmark ucf_crime has none' in err
    path = prediction_path(ours, 'Abuse001_x264')
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    code, _, err = run(*base(root, ours))
    assert code == 1 and str(path) in err and 'half-written' in err
    path.unlink()
    code, _, err = run(*base(root, ours))
    assert code == 1 and '1 of 3 videos were not scored, the first is Abuse001_x264' in err
    code, _, err = run(*base(root, ours, '--allow-partial'))
    assert code == 0, err
    for leftover in ours.glob('*.npz'):
        leftover.unlink()
    code, _, err = run(*base(root, ours))
    assert code == 1 and 'holds no finished prediction file' in err
    (ours / 'predictions.json').write_text('{"format": ')
    code, _, err = run(*base(root, ours))
    assert code == 1 and 'predictions.json: damaged' in err


def test_predictions_of_another_benchmark_are_refused(run, root, tmp_path):
    ours = write_predictions(tmp_path / 'ours', make_scores())
    (tmp_path / 'xd').mkdir()
    folder = tmp_path / 'videos'
    folder.mkdir()
    write_video(folder / 'a.mp4', red_square_frames(4))
    code, _, err = run(*base(folder, ours, benchmark='folder'))
    assert code == 2 and 'its predictions are of benchmark ucf_crime, not of folder' in err


def encode(mask):
    """Run lengths of a mask as COCO's JSON has them, columns first."""
    flat = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return dict(size=list(mask.shape), counts=[0, *counts] if flat[0] else counts)


def test_pixel_and_region_figures_of_stored_masks_equal_the_live_ones(run, tmp_path):
    root, rng = tmp_path / 'own', np.random.default_rng(0)
    root.mkdir()
    truth = np.zeros((12, 6, 8), dtype=bool)
    truth[3:7, 1:4, 2:5] = True
    masks = np.clip(rng.random(truth.shape) * 0.7 + 0.4 * truth, 0, 1).astype(np.float16)
    scores = np.where(truth.any((1, 2)), 0.9, 0.2) * rng.random(12)
    anomaly = dict(category='x', start=3, end=7, masks={str(frame): encode(truth[frame]) for frame in range(3, 7)})
    video = dict(video_id='a', path='a.mp4', num_frames=12, height=6, width=8, anomalies=[anomaly])
    (root / 'manifest.json').write_text(json.dumps(dict(version=1, name='own', categories=['x'], videos=[video])))
    from lavida_mm.apis.evaluation import build_benchmark

    records = build_benchmark('manifest', root).records
    live = Scoreboard(records, benchmark='own', pixel=True)
    live.add_window('a', np.arange(12), scores)
    for frame in range(12):
        live.add_pixels('a', frame, masks[frame], truth[frame])
    expected = live.evaluate().figures
    for pixels in (True, False):  # from the counts of the file, and from its masks and the benchmark's
        ours = write_predictions(
            tmp_path / f'ours_{pixels}', {'a': scores}, masks={'a': masks}, truths={'a': truth}, pixels=pixels
        )
        meta = json.loads((ours / 'predictions.json').read_text())
        meta['shared']['benchmark'] = 'own'
        (ours / 'predictions.json').write_text(json.dumps(meta))
        out = tmp_path / f'out_{pixels}'
        code, _, err = run(*base(root, ours, '--out', out, '--json-only', benchmark='manifest'))
        assert code == 0, err
        figures = read_report(out)['figures']
        assert {name: figures[name] for name in expected} == expected
        assert {'pixel_auc', 'pixel_aupro', 'rbdc', 'tbdc'} <= set(figures)
    code, out, _ = run(*base(root, write_scores(tmp_path / 's', {'a': scores}), benchmark='manifest'))
    assert code == 0
    assert re.search(r'pixel_auc +undefined +the scores are of frames, not of pixels', out)
    assert re.search(r'rbdc +undefined +the scores are of frames, not of regions', out)


# ------------------------------------------------------------------ real annotation


def test_counts_of_the_real_annotation_of_ucf_crime(run, shared_data, tmp_path):
    root = shared_data / 'annotations' / 'ucf_crime'
    with (root / 'num_frames.csv').open(newline='') as file:
        lengths = {row['video']: int(row['num_frames']) for row in csv.DictReader(file)}
    rng = np.random.default_rng(0)
    for protocol, frames, anomalous in (('default', 1_111_808, 84_331), ('i3d-16', 1_109_504, 84_128)):
        count = {name: math.ceil(n / 16) if protocol == 'default' else (n - 1) // 16 for name, n in lengths.items()}
        np.savez(tmp_path / 'all.npz', **{name: rng.random(number) for name, number in count.items()})
        options = ['--frames-per-score', 16, '--protocol', protocol, '--out', tmp_path / protocol, '--json-only']
        code, _, err = run(*base(root, tmp_path / 'all.npz', *options))
        assert code == 0, err
        report = read_report(tmp_path / protocol)
        assert report['coverage']['frames_scored'] == frames
        assert sum(video['anomalous_frames'] for video in report['videos']) == anomalous
