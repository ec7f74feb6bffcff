import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lavida_mm.evaluation import DumpPredictions, PredictionWriter, Scoreboard, VADMetric, read_prediction
from lavida_mm.evaluation.predictions import (
    _decode_runs,
    _encode_runs,
    is_prediction_folder,
    list_predictions,
    prediction_path,
    read_folder_meta,
)
from lavida_mm.utils import DataError, UsageError
from tests.test_evaluation.boards import LENGTHS, SIZE, WINDOW, make_meta, make_records, make_videos, make_windows


def write(path, video, name='a', step=3, **options):
    scores, _, pixels, truth = video
    writer = PredictionWriter(path, video_id=name, num_frames=len(scores), **options)
    interval = options.get('frame_interval', 1)
    inds = np.arange(0, len(scores), interval)
    for begin in range(0, len(inds), step):
        part = inds[begin : begin + step]
        writer.add(part, scores[part], pixels[part], truth[part])
    writer.finish()
    return read_prediction(path)


@pytest.mark.parametrize('masks', ['none', 'float16', 'rle'])
@pytest.mark.parametrize(('interval', 'stride'), [(1, 1), (1, 3), (2, 2)])
def test_what_is_written_is_read(tmp_path, masks, interval, stride):
    video = make_videos()['c']
    scores, _, pixels, _ = video
    options = dict(masks=masks, mask_stride=stride, frame_interval=interval, meta={'categories': ['thing']})
    prediction = write(tmp_path / 'c.npz', video, 'c', **options)
    assert (prediction.video_id, prediction.num_frames, prediction.frame_interval) == ('c', 10, interval)
    assert prediction.meta['categories'] == ['thing']
    assert prediction.scores.dtype == np.float32
    assert prediction.scores.tolist() == np.repeat(scores[::interval], interval)[:10].tolist()
    assert prediction.frame_inds.tolist() == list(range(0, 10, interval))
    found = dict(prediction.iter_masks())
    expected = list(range(0, 10, interval * stride)) if masks != 'none' else []
    assert sorted(found) == expected
    for frame, mask in found.items():
        truth = pixels[frame] if masks == 'float16' else pixels[frame] >= 0.5
        assert mask.dtype == truth.dtype
        assert (mask == truth).all()
    assert set(prediction.detections[:, 0]) <= set(prediction.frame_inds.tolist())
    assert len(prediction.detections) > 0


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 6))))
def test_run_lengths_give_the_masks_back(masks):
    runs = _encode_runs(masks)
    assert (_decode_runs(runs, len(masks), masks.shape[1:], 'file') == masks).all()


def test_run_lengths_are_those_of_coco():
    from pycocotools import mask as coco

    rng = np.random.default_rng(0)
    mask = rng.random((6, 5)) < 0.5
    encoded = coco.frPyObjects({'size': [6, 5], 'counts': _encode_runs(mask[None]).tolist()}, 6, 5)
    assert (coco.decode(encoded) == mask).all()


def test_equal_predictions_are_equal_files_without_a_time(tmp_path):
    video = make_videos()['a']
    first = write(tmp_path / '1' / 'a.npz', video, masks='float16').path
    second = write(tmp_path / '2' / 'a.npz', video, masks='float16').path
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(first) as arrays:  # NumPy alone reads it
        assert arrays['scores'].shape == (7,)


@pytest.mark.parametrize('name', ['v=1#2,3.4__label_B1-0-0', 'a/b/../c', '.writing-x', '..', 'ü' * 90, 'x.mp4', 'a b'])
def test_any_name_is_a_file_name(tmp_path, name):
    prediction = write(prediction_path(tmp_path, name), make_videos()['a'], name)
    assert prediction.path.parent == tmp_path
    assert read_prediction(prediction.path).video_id == name
    assert list_predictions(tmp_path) == [prediction.path]


def test_an_unfinished_file_is_not_there(tmp_path):
    writer = PredictionWriter(tmp_path / 'a.npz', video_id='a', num_frames=4)
    writer.add([0, 1], np.array([0.1, 0.2]))
    assert not (tmp_path / 'a.npz').exists()
    assert list_predictions(tmp_path) == []
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def damage(path, kind):
    if kind == 'half':
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == 'flipped':
        content = bytearray(path.read_bytes())
        content[60] ^= 0xFF
        path.write_bytes(content)
    elif kind == 'empty':
        path.write_bytes(b'')
    elif kind == 'missing':
        path.unlink()
    else:
        changed = dict(kind='other', dtype=np.float64, pickle=object, shape=(7, 1)).get(kind, kind)
        with zipfile.ZipFile(path) as archive:
            parts = {info.filename: archive.read(info) for info in archive.infolist()}
        if kind in ('format', 'format_version', 'video_id'):
            meta = json.loads(parts['meta.json'])
            meta[kind] = 'other'
            if kind == 'video_id':
                del meta[kind]
            parts['meta.json'] = json.dumps(meta).encode()
        else:
            array = np.zeros(7, dtype=np.float64)
            if kind == 'pickle':
                array = np.array([{}] * 7, dtype=object)
            elif kind == 'infinite':
                array = np.full(7, np.inf, dtype=np.float32)
            elif kind == 'length':
                array = np.zeros(8, dtype=np.float32)
            with open(path.with_suffix('.npy'), 'wb') as file:
                np.save(file, array, allow_pickle=changed is object)
            parts['scores.npy'] = path.with_suffix('.npy').read_bytes()
        with zipfile.ZipFile(path, 'w') as archive:
            for name, content in parts.items():
                archive.writestr(name, content)


@pytest.mark.parametrize(
    ('kind', 'rule'),
    [
        ('half', 'half-written or no prediction file'),
        ('flipped', 'damaged'),
        ('empty', 'half-written or no prediction file'),
        ('missing', 'not found'),
        ('format', 'format must be lavida_mm.prediction'),
        ('format_version', 'format_version must be 1, got other'),
        ('video_id', 'meta.json: KeyError'),
        ('dtype', 'scores must be float32 of 1 dimensions, got float64'),
        ('pickle', 'damaged: scores: .*allow_pickle'),
        ('infinite', 'scores must be finite, frame 0 is not'),
        ('length', 'scores must hold num_frames = 7 figures, got 8'),
    ],
)
def test_damaged_files_are_named(tmp_path, kind, rule):
    path = write(tmp_path / 'a.npz', make_videos()['a']).path
    damage(path, kind)
    with pytest.raises(DataError, match=f'{path}: .*{rule}'):
        read_prediction(path)


def test_damaged_masks_are_named(tmp_path):
    path = write(tmp_path / 'a.npz', make_videos()['a'], masks='rle').path
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    with open(tmp_path / 'runs.npy', 'wb') as file:
        np.save(file, np.array([7, 9], dtype=np.uint32))
    parts['masks_00000000.npy'] = (tmp_path / 'runs.npy').read_bytes()
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match=f'{path}: damaged: run lengths do not add up to 5 x 6 pixels'):
        list(read_prediction(path).iter_masks())


@pytest.mark.parametrize(
    ('inds', 'shape', 'value', 'rule'),
    [
        ([3, 4], (2, *SIZE), 0.5, 'frame 3 came after frame 5'),
        ([6, 7], (2, *SIZE), 0.5, r'frame_inds must be in \[0, 7\), got 7'),
        ([6], (2, *SIZE), 0.5, 'one per frame'),
        ([6], (1, 4, 4), 0.5, 'of one size'),
        ([6], (1, *SIZE), 1.5, r'pixel scores must be in \[0, 1\], got 1.5'),
    ],
)
def test_bad_windows_name_the_video_and_the_rule(tmp_path, inds, shape, value, rule):
    writer = PredictionWriter(tmp_path / 'a.npz', video_id='a', num_frames=7)
    writer.add([0, 5], np.array([0.1, 0.2]), np.zeros((2, *SIZE)))
    with pytest.raises(DataError, match=f'video a: .*{rule}'):
        writer.add(inds, np.full(len(inds), 0.5), np.full(shape, value))
    writer.abort()


# A run that writes files


def run(folder, samples, **options):
    videos = make_videos()
    metric = DumpPredictions(out_dir=str(folder), **options)
    metric.dataset_meta = make_meta(videos)
    for sample in samples:
        metric.process({}, [sample])
    metric.evaluate(len(samples))


def live(**options):
    metric = VADMetric(regions=True, **options)
    metric.dataset_meta = make_meta(make_videos())
    metric.process({}, make_windows(make_videos()))
    metric.evaluate(1)
    return metric.evaluation.to_dict()


def offline(folder, **options):
    board = Scoreboard(make_records(make_videos()), pixel=True, regions=True, **options)
    for path in list_predictions(folder):
        board.add_prediction(read_prediction(path))
    return board.evaluate().to_dict()


@pytest.mark.parametrize('masks', ['none', 'rle', 'float16'])
def test_counts_in_the_files_give_the_figures_without_masks(tmp_path, masks):
    run(tmp_path, make_windows(make_videos()), masks=masks, pixel=True)
    assert offline(tmp_path)['figures'] == live()['figures']


def test_masks_in_the_files_give_the_figures_without_counts(tmp_path):
    run(tmp_path, make_windows(make_videos()), masks='float16')
    assert offline(tmp_path)['figures'] == live()['figures']
    small = dict(name='small', pixel_size=(4, 3))
    assert offline(tmp_path, protocol=small)['figures'] == live(protocol=small)['figures']


def test_counts_made_otherwise_are_not_used(tmp_path):
    run(tmp_path / 'none', make_windows(make_videos()), pixel=True)
    report = offline(tmp_path / 'none', protocol=dict(name='small', pixel_size=(4, 3)))
    assert 'pixel_auc' not in report['figures']
    assert report['undefined']['pixel_auc'].startswith('the pixels of 3 videos are not known: ')
    assert 'holds no masks' in report['undefined']['pixel_auc']
    run(tmp_path / 'rle', make_windows(make_videos()), masks='rle')
    assert 'masks of yes and no only' in offline(tmp_path / 'rle')['undefined']['pixel_auc']
    run(tmp_path / 'sparse', make_windows(make_videos()), masks='float16', mask_stride=2)
    assert 'pixel figures are of one in 2 of the frames that were looked at' in offline(tmp_path / 'sparse')['notes']


def test_a_run_goes_on_where_the_last_one_ended(tmp_path):
    samples = make_windows(make_videos())
    run(tmp_path / 'once', samples, masks='float16', pixel=True)
    folder = tmp_path / 'twice'
    killed = DumpPredictions(out_dir=str(folder), masks='float16', pixel=True)
    killed.dataset_meta = make_meta(make_videos())
    killed.process({}, samples[:4])  # video a is complete, video b is not
    assert [path.name for path in list_predictions(folder)] == ['a.npz']
    assert any(path.name.startswith('.writing-') for path in folder.iterdir())
    rest = [sample for sample in samples if sample.video_id != 'a']
    run(folder, rest, masks='float16', pixel=True)
    for path in sorted((tmp_path / 'once').iterdir()):
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert len(list(folder.iterdir())) == len(LENGTHS) + 1
    killed._writer.abort()


def test_a_folder_of_another_run_is_refused_and_both_are_named(tmp_path):
    samples = make_windows(make_videos())
    base = dict(checkpoint='one.pth', checkpoint_sha256='1' * 64, config='c.py', config_sha256='2' * 64)
    run(tmp_path, samples, run=base)
    assert is_prediction_folder(tmp_path)
    assert read_folder_meta(tmp_path)['shared']['window'] == WINDOW
    changes = [
        (
            dict(run={**base, 'checkpoint': 'two.pth', 'checkpoint_sha256': '3' * 64}),
            'one.pth, 1+ there and two.pth, 3+',
        ),
        (dict(run={**base, 'config_sha256': '4' * 64}), 'config_sha256 is c.py, 2+ there and c.py, 4+ now'),
        (dict(run=base, masks='rle'), 'masks is none there and rle now'),
        (dict(run=base, pixel=True), 'pixel_counts is None there'),
    ]
    for options, rule in changes:
        with pytest.raises(
            UsageError, match=f'{tmp_path}: holds predictions of another run: .*{rule}.*--dump-overwrite'
        ):
            run(tmp_path, samples, **options)
    run(tmp_path, samples, run=base, masks='rle', overwrite=True)
    assert read_folder_meta(tmp_path)['shared']['masks'] == 'rle'
    run(tmp_path, [], run={**base, 'checkpoint': 'renamed.pth'}, masks='rle')  # names are for people


def test_files_of_ones_own_are_not_taken_for_predictions(tmp_path):
    np.savez(tmp_path / 'mine.npz', scores=np.zeros(3))
    with pytest.raises(UsageError, match=r'holds \.npz files but no predictions\.json'):
        run(tmp_path, [])
    assert (tmp_path / 'mine.npz').exists()


def test_windows_out_of_order_are_refused(tmp_path):
    samples = make_windows(make_videos())
    with pytest.raises(DataError, match='video a: 4 of 7 frames had no score when its windows ended, the first is 3'):
        run(tmp_path / '1', [samples[0], samples[3]])
    with pytest.raises(DataError, match='video a: was complete before this window came'):
        run(tmp_path / '2', samples[:3] + samples[:1])
    with pytest.raises(DataError, match='video a: pixel=True needs gt_masks'):
        run(tmp_path / '3', make_windows(make_videos(), masks=False), pixel=True)


def test_coarser_predictions_are_refused_by_a_protocol_that_needs_finer(tmp_path):
    prediction = write(tmp_path / 'a.npz', make_videos()['a'], frame_interval=3)
    board = Scoreboard(make_records(make_videos()), protocol=dict(name='mine', frame_interval=4))
    with pytest.raises(UsageError, match='frame_interval = 3, of which that of protocol mine, 4, must be a multiple'):
        board.add_prediction(prediction)


@pytest.mark.parametrize('options', [dict(masks='png'), dict(mask_stride=0), dict(mask_stride=1.5)])
def test_bad_options(options):
    with pytest.raises(ValueError, match='must be'):
        DumpPredictions(out_dir='nowhere', **options)


@pytest.mark.parametrize('content', ['{', '{}', '{"format": "lavida_mm.prediction", "format_version": 2}'])
def test_damaged_folder_file(tmp_path, content):
    with pytest.raises(DataError, match='no folder of predictions'):
        read_folder_meta(tmp_path)
    (tmp_path / 'predictions.json').write_text(content)
    with pytest.raises(DataError, match=r'predictions\.json: '):
        read_folder_meta(tmp_path)
