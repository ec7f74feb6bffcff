import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavida_mm.datasets.benchmarks import UBnormal, UCFCrime, XDViolence
from lavida_mm.datasets.video_anomaly_dataset import tile_windows
from lavida_mm.evaluation import PROTOCOLS, Scoreboard, get_protocol
from lavida_mm.evaluation.protocols import Protocol, benchmark_options, dataset_options
from lavida_mm.structures import VideoRecord
from lavida_mm.utils import UsageError


def test_known_protocols_and_their_versions():
    assert {name: protocol.version for name, protocol in PROTOCOLS.items()} == {
        'default': 1, 'lavida-code': 1, 'lavad': 1, 'i3d-16': 1, 'ubnormal-official': 1
    }  # fmt: skip
    for protocol in PROTOCOLS.values():
        assert protocol.description
        json.dumps(protocol.to_dict(), allow_nan=False)
        own = get_protocol({**protocol.to_dict(), 'name': 'own', 'base': protocol.name})
        assert own.to_dict() == {**protocol.to_dict(), 'name': 'own'}


def test_what_lavida_code_fixes():
    """METHOD: windows of 8; intervals of 4, 2, 1, 128, 128; UBnormal's abnormal videos only."""
    protocol = get_protocol('lavida-code')
    intervals = {name: dataset_options(protocol, name)['frame_interval'] for name in protocol.frame_interval}
    assert intervals == dict(ucf_crime=128, xd_violence=128, ubnormal=4, shanghaitech=2, ucsd_ped1=1, ucsd_ped2=1)
    options = dataset_options(protocol, 'ubnormal')
    assert (options['window'], options['stride'], options['tail'], options['template']) == (8, 8, 'drop', 0)
    assert len(options['prompt_words']) == 20
    assert benchmark_options(protocol, 'ubnormal') == {'subset': 'abnormal'}
    assert benchmark_options(protocol, 'ucf_crime') == {'interval_ends': 'inclusive'}
    assert protocol.pixel_size == (158, 238)
    assert protocol.padding == pytest.approx((0.5, 0.731058578630005))
    with pytest.raises(UsageError, match='fixes no frame_interval for benchmark avenue, only for ucf_crime'):
        dataset_options(protocol, 'avenue')
    with pytest.raises(UsageError, match='fixes no words for benchmark avenue'):
        dataset_options(get_protocol(dict(name='mine', base='lavida-code', frame_interval=1)), 'avenue')


def test_default_leaves_the_model_to_the_config():
    assert dataset_options(get_protocol('default'), 'avenue') == {'tail': 'pad'}
    assert benchmark_options(get_protocol('default'), 'avenue') == {'labels': 'masks'}
    assert benchmark_options(get_protocol('i3d-16'), 'xd_violence') == {'interval_ends': 'half-open'}
    assert benchmark_options(get_protocol('i3d-16'), 'ucsd_ped2') == {}


@pytest.mark.parametrize(
    ('values', 'rule'),
    [
        (dict(name='x', smothing=1), "unknown field 'smothing'"),
        (dict(base='best', name='x'), 'base must be one of'),
        (dict(tail='pad'), 'name must be given'),
        (dict(name='default', tail='drop'), 'name must be given and none of'),
        (dict(name='x', tail='cut'), "tail must be one of pad, drop, got 'cut'"),
        (dict(name='x', tail='drop'), "tail must be 'pad' where window or frame_interval is None"),
        (dict(name='x', window=0), 'window must be a whole number from 1 to 1000000, or None, got 0'),
        (dict(name='x', frame_interval={'avenue': 0}), 'frame_interval must be'),
        (dict(name='x', version='2'), 'version must be'),
        (dict(name='x', pixel_size=[5]), r'pixel_size must be \(height, width\)'),
        (dict(name='x', padding=[1, 0]), 'padding must be'),
        (dict(name='x', smoothing=dict(kind='median', width=3)), 'protocol x: smoothing: kind'),
        (dict(name='x', smoothing=dict(kind='gaussian', sigma=-1)), 'protocol x: smoothing: sigma'),
        (dict(name='x', smoothing=dict(sgima=1)), 'protocol x: smoothing: '),
    ],
)
def test_bad_fields_name_the_protocol_and_the_rule(values, rule):
    with pytest.raises(UsageError, match=rule):
        get_protocol(values)


@pytest.mark.parametrize(
    ('field', 'values'),
    [
        ('padding', ([1, None], ['a', 'b'], [[], []], [0, float('nan')])),
        ('headline', (5, 'auc', [5, None], ['Not a figure'])),
        ('words', (5, 'abc', [1], *({'ucf_crime': words} for words in (5, 'abuse', [], ['', ' ', 5], ['a', 'a'])))),
        ('name', (5, 10**5000, ['a'], {}, 'a/b', 'a\0\n')),
        ('base', ([], {}, 5)),
        ('description', (5,)),
        ('template', (True, False, 99, -1, '1')),
        ('pixel_size', ([10**9, 10**9],)),
        ('smoothing', (5, *(dict(kind='gaussian', sigma=sigma) for sigma in (10**400, 1e9, True, [])))),
        ('frame_interval', ({'ucf_crime': 10**30}, 10**7, True)),
        ('window', (10**7, 10**5000)),
        ('tail', ([], {})),
    ],
)
def test_senseless_fields_are_refused(field, values):
    for value in values:
        with pytest.raises(UsageError, match=field):
            get_protocol({'name': 'x', field: value})


@pytest.mark.parametrize(('name', 'text'), [('deep.json', '[' * 200_000), ('exit.py', 'import sys\nsys.exit(3)\n')])
def test_files_that_end_the_reader(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=name):
        get_protocol(tmp_path / name)


def test_files_hold_protocols_of_ones_own(tmp_path):
    fields = dict(name='mine', smoothing=dict(kind='gaussian', sigma=8))
    (tmp_path / 'mine.json').write_text(json.dumps(fields))
    (tmp_path / 'top.py').write_text("name = 'mine'\nsmoothing = dict(kind='gaussian', sigma=8)\n")
    (tmp_path / 'inner.py').write_text("protocol = dict(name='mine', smoothing=dict(kind='gaussian', sigma=8))\n")
    for name in ('mine.json', 'top.py', 'inner.py'):
        assert get_protocol(str(tmp_path / name)) == get_protocol(fields)
    (tmp_path / 'bad.json').write_text('{')
    (tmp_path / 'list.json').write_text('[]')
    (tmp_path / 'bad.py').write_text('1 / 0\n')
    for name, rule in (('none.json', 'not found'), ('bad.json', 'not JSON'), ('list.json', 'must hold the fields')):
        with pytest.raises(UsageError, match=f'{name}: .*{rule}'):
            get_protocol(str(tmp_path / name))
    with pytest.raises(UsageError, match=r'bad\.py: not a protocol'):
        get_protocol(str(tmp_path / 'bad.py'))


@pytest.mark.parametrize(('n', 'counted'), [(1, 0), (16, 0), (17, 16), (32, 16), (33, 32), (100, 96)])
def test_length_of_i3d_features(n, counted):
    assert get_protocol('i3d-16').count_frames(n) == counted
    assert get_protocol('default').count_frames(n) == n


def read_lengths(folder):
    with open(folder / 'num_frames.csv', encoding='utf-8') as file:
        return [int(row['num_frames']) for row in csv.DictReader(file)]


def board_of(reader, protocol, name):
    """Every frame of every video scored, from annotation files alone."""
    protocol = get_protocol(protocol)
    benchmark = reader(**benchmark_options(protocol, name))
    board = Scoreboard(benchmark.records, protocol=protocol, benchmark=name)
    rng = np.random.default_rng(0)
    for record in benchmark.records:
        curve = rng.random(record.num_frames, dtype=np.float32)
        if protocol.length == 'i3d-16':
            curve = curve[: protocol.count_frames(record.num_frames)]
        board.set_curve(record.video_id, curve)
    return board


def count(evaluation):
    anomalous = sum(int(video.labels.sum()) for video in evaluation.videos)
    return evaluation.coverage.videos_known, evaluation.coverage.frames_known, anomalous


@pytest.mark.parametrize(
    ('name', 'reader', 'protocol', 'known'),
    [
        ('ucf_crime', UCFCrime, 'default', (290, 1_111_808, 84_331)),
        ('ucf_crime', UCFCrime, 'i3d-16', (290, 1_109_504, 84_128)),
        ('xd_violence', XDViolence, 'default', (800, 2_335_801, 539_562)),
        ('xd_violence', XDViolence, 'i3d-16', (800, 2_330_384, 537_805)),
    ],
)
def test_published_counts_of_frames(shared_data, name, reader, protocol, known):
    root = shared_data / 'annotations' / name
    board = board_of(lambda **options: reader(root=root, **options), protocol, name)
    # The figures of the whole would take seconds: the counts are what is known.
    videos = [board._evaluate_video(video_id) for video_id in sorted(board.records)]
    coverage = board._check_coverage(videos, [])
    assert (coverage.videos_known, coverage.frames_known, sum(int(video.labels.sum()) for video in videos)) == known


def test_dropped_tails_of_lavida_code_on_ucf_crime(shared_data):
    root = shared_data / 'annotations' / 'ucf_crime'
    evaluation = board_of(lambda **options: UCFCrime(root=root, **options), 'lavida-code', 'ucf_crime').evaluate()
    coverage = evaluation.coverage
    assert (coverage.videos_known, coverage.frames_known) == (290, 1_111_808)
    assert coverage.videos_known - coverage.videos == 71
    assert coverage.frames_known - coverage.frames == 152_320
    assert evaluation.notes[0] == (
        '71 of 290 videos were never scored and 152320 of 1111808 frames dropped: protocol lavida-code counts whole '
        'windows only'
    )
    video = next(video for video in evaluation.videos if video.scored.any())
    assert len(np.unique(video.scores[:128])) == 1  # one score holds for 128 frames
    assert sum(length < 1024 for length in read_lengths(root)) == 71


def test_ubnormal_without_its_normal_videos():
    records = [VideoRecord('n', num_frames=40), VideoRecord('a', num_frames=40, intervals=[(3, 9)])]
    for protocol, known in (('lavida-code', 1), ('ubnormal-official', 2)):
        board = Scoreboard(records, protocol=protocol, benchmark='ubnormal')
        for record in records:
            board.set_curve(record.video_id, np.linspace(0, 1, 40))
        evaluation = board.evaluate()
        assert evaluation.coverage.videos_known == known
        assert ('1 normal videos are left out by protocol lavida-code' in evaluation.notes) == (known == 1)


def test_ubnormal_names(shared_data):
    assert len(UBnormal.__doc__) > 0
    folder = shared_data / 'annotations' / 'ubnormal'
    names = [len((folder / f'{kind}_test_video_names.txt').read_text().split()) for kind in ('abnormal', 'normal')]
    assert names == [158, 53]


@settings(deadline=None)
@given(n=st.integers(1, 60), window=st.integers(1, 8), stride=st.integers(1, 8), interval=st.integers(1, 3))
def test_frames_in_whole_windows_are_those_that_the_windows_hold(n, window, stride, interval):
    stride = min(stride, window)
    tiles = tile_windows(n, window, interval, stride, tail='drop')
    held = {frame + step for frame in tiles.ravel().tolist() for step in range(interval)}
    protocol = Protocol(name='x', window=window, stride=stride, frame_interval=interval, tail='drop')
    assert held == set(range(protocol.count_scored(n, '')))


def test_where_the_tail_is_dropped_no_windows_overlap_unless_it_is_said():
    fixed = dict(window=8, frame_interval=2, tail='drop')
    assert dataset_options(Protocol(name='x', **fixed), '')['stride'] == 8
    assert dataset_options(Protocol(name='x', stride=2, overlap='mean', **fixed), '') == dict(
        stride=2, overlap='mean', **fixed
    )
