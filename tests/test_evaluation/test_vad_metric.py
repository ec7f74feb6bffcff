import socket

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from lavida_mm.evaluation import DumpPredictions, VADMetric
from lavida_mm.registry import METRICS
from lavida_mm.utils import DataError, UsageError
from tests.test_evaluation.boards import LENGTHS, SIZE, make_meta, make_videos, make_windows, stack


def make_metric(videos=None, meta=None, **options):
    metric = VADMetric(**options)
    videos = make_videos() if videos is None else videos
    metric.dataset_meta = make_meta(videos) if meta is None else meta
    return metric


def evaluate(samples, **options):
    metric = make_metric(**options)
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


def test_equals_scikit_learn_on_all_frames_and_pixels():
    videos = make_videos()
    metrics = evaluate(make_windows(videos))
    scores, labels, pixels, masks = (stack(videos, part) for part in range(4))
    assert metrics['vad/frame_auc'] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert metrics['vad/frame_ap'] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert metrics['vad/pixel_auc'] == pytest.approx(roc_auc_score(masks, pixels), abs=1e-12)
    assert metrics['vad/pixel_ap'] == pytest.approx(average_precision_score(masks, pixels), abs=1e-12)
    assert metrics['vad/pixel_auc_error_bound'] == 0
    per_video = [roc_auc_score(videos[name][1], videos[name][0]) for name in 'ac']
    assert metrics['vad/frame_auc_macro'] == pytest.approx(np.mean(per_video), abs=1e-12)
    per_frame = [
        roc_auc_score(mask.ravel(), pixel.ravel())
        for _, _, pixels, masks in videos.values()
        for pixel, mask in zip(pixels, masks)
        if mask.any()
    ]
    assert metrics['vad/pixel_auc_per_frame'] == pytest.approx(np.mean(per_frame), abs=1e-12)
    assert metrics['vad/far_at_0.5'] == np.mean(videos['b'][0] >= 0.5)
    assert (metrics['vad/coverage_videos'], metrics['vad/coverage_frames']) == (1, 1)
    assert (metrics['vad/num_videos'], metrics['vad/num_frames']) == (3, 21)


def test_score_holds_until_the_next_sampled_frame():
    videos = make_videos()
    metrics = evaluate(make_windows(videos, interval=4), pixel=False)
    held = {name: np.repeat(video[0][::4], 4)[: len(video[0])] for name, video in videos.items()}
    expected = roc_auc_score(stack(videos, 1), np.concatenate(list(held.values())))
    assert metrics['vad/frame_auc'] == pytest.approx(expected, abs=1e-12)
    assert metrics['vad/coverage_frames'] == 1
    assert 'vad/pixel_auc' not in metrics


def test_dicts_order_and_repeated_windows_change_nothing():
    samples = make_windows(make_videos())
    expected = evaluate(samples)
    assert evaluate([sample.to_dict() for sample in samples[::-1]]) == expected
    assert evaluate(samples + samples[2:4]) == expected


def test_context_frames_of_a_window_do_not_count():
    samples = make_windows(make_videos())
    expected = evaluate(samples)
    for sample in samples:
        doubled = sample.clone()
        doubled.set_metainfo({'first_scored': sample.num_valid - 1})
        doubled.pred_frame_scores = torch.ones_like(doubled.pred_frame_scores)
        doubled.pred_frame_scores[sample.num_valid - 1] = sample.pred_frame_scores[sample.num_valid - 1]
        samples = [*samples, doubled]
    assert evaluate(samples) == expected


def test_second_evaluation_starts_afresh():
    metric = make_metric()
    runs = []
    for _ in range(2):
        metric.process({}, make_windows(make_videos()))
        runs.append(metric.evaluate(1))
    assert runs[0] == runs[1]


def test_prefix_registry_and_names():
    metric = METRICS.build({'type': 'VADMetric', 'prefix': 'own', 'pixel': False})
    metric.dataset_meta = make_meta(make_videos())
    metric.process({}, make_windows(make_videos()))
    names = ['frame_auc', 'frame_ap', 'frame_auc_macro', 'frame_auc_padded', 'frame_auc_macro_padded']
    names += ['frame_pr_auc_trapz', 'frame_eer', 'far_at_0.5']
    names += ['coverage_videos', 'coverage_frames', 'num_videos', 'num_frames', 'num_anomalous_frames']
    assert set(metric.evaluate(1)) == {f'own/{name}' for name in names}


def test_regions_and_events_are_there_when_asked_for():
    videos = make_videos()
    metrics = evaluate(make_windows(videos), regions=True, events=dict(on=0.6))
    assert {'vad/rbdc', 'vad/tbdc', 'vad/event_f1_touch', 'vad/event_false_alarms_per_hour'} <= set(metrics)
    with pytest.raises(UsageError, match='regions=True needs boxes'):
        make_metric(meta=make_meta(videos, tracks=False), regions=True)
    with pytest.raises(UsageError, match='events: '):
        make_metric(events=dict(onn=0.6))


def test_missing_frames_fail_unless_allowed():
    samples = make_windows(make_videos())
    with pytest.raises(DataError, match='video a: 3 of 7 frames were not scored, the first is 3'):
        evaluate([sample for sample in samples if sample.video_id != 'a' or sample.frame_inds[0] != 3])
    partial = [sample for sample in samples if sample.video_id != 'b']
    with pytest.raises(DataError, match='1 of 3 videos were not scored, the first is b'):
        evaluate(partial)
    metrics = evaluate(partial, allow_partial=True)
    assert metrics['vad/coverage_videos'] == pytest.approx(2 / 3)
    assert metrics['vad/coverage_frames'] == pytest.approx(17 / 21)


def test_pixel_figure_of_a_benchmark_without_masks_is_refused_before_the_model_runs():
    videos = make_videos()
    meta = make_meta(videos, benchmark='ucf_crime', options={}, masks=False)
    with pytest.raises(UsageError, match='pixel=True needs masks, but benchmark ucf_crime has none: set pixel=False'):
        make_metric(meta=meta)
    assert 'vad/frame_auc' in evaluate(make_windows(videos, masks=False), meta=meta, pixel=False)


def test_missing_masks_are_refused_at_once():
    with pytest.raises(DataError, match='video a: gt_masks are missing, though the benchmark has masks'):
        evaluate(make_windows(make_videos(), masks=False))


def test_videos_without_masks_are_left_out_of_pixel_figures_and_it_says_so():
    """UCSD Ped1 has masks of 10 of its 36 clips."""
    videos = make_videos()
    meta = make_meta(videos)
    next(record for record in meta['records'] if record.video_id == 'a').masks = None
    metric = make_metric(meta=meta)
    samples = make_windows(videos)
    for sample in samples:
        if sample.video_id == 'a':
            del sample.gt_masks
    metric.process({}, samples)
    metrics = metric.evaluate(1)
    rest = {name: video for name, video in videos.items() if name != 'a'}
    assert metrics['vad/pixel_auc'] == pytest.approx(roc_auc_score(stack(rest, 3), stack(rest, 2)), abs=1e-12)
    assert 'pixel figures are of 2 of 3 videos: the others have no masks' in metric.evaluation.notes


@pytest.mark.parametrize(
    ('field', 'value', 'rule'),
    [
        ('pred_frame_scores', torch.tensor([0.1, np.nan, 0.2]), r'pred_frame_scores must be in \[0, 1\], got nan'),
        ('pred_frame_scores', torch.tensor([0.1, 1.2, 0.2]), 'got 1.2'),
        ('pred_frame_scores', torch.tensor([0.1]), r'got 3, 1 and \[0, 3\)'),
        ('pred_masks', torch.full((3, *SIZE), 2.0), r'frame 0: pixel scores must be in \[0, 1\]'),
        ('pred_masks', torch.full((3, *SIZE), np.nan), r'frame 0: pixel scores must be in \[0, 1\], got nan'),
        ('pred_masks', torch.zeros(3, 2, 2), 'one shape'),
        ('gt_masks', torch.full((3, *SIZE), 7), 'gt_masks must be 0 or 1, got 7'),
    ],
)
def test_bad_predictions_name_the_video(field, value, rule):
    samples = make_windows(make_videos())
    setattr(samples[0], field, value)
    with pytest.raises(DataError, match=f'video a: .*{rule}'):
        evaluate(samples)


@pytest.mark.parametrize('field', ['pred_frame_scores', 'pred_masks'])
def test_missing_fields_name_the_video(field):
    samples = make_windows(make_videos())
    delattr(samples[0], field)
    with pytest.raises(DataError, match=f'video a: .*{field}'):
        evaluate(samples)


def test_disagreeing_windows_are_refused():
    samples = make_windows(make_videos())
    other = make_windows(make_videos())[0]
    other.pred_frame_scores = 1 - other.pred_frame_scores
    with pytest.raises(DataError, match='video a: frame 0 has two scores'):
        evaluate([*samples, other])


def test_a_frame_twice_in_one_window_must_have_one_score():
    samples = make_windows(make_videos())
    samples[0].set_metainfo({'frame_inds': np.array([0, 1, 1])})
    samples[0].pred_frame_scores = torch.tensor([0.1, 0.2, 0.9])
    with pytest.raises(DataError, match=r'video a: frame 1 has two scores, 0\.2 and 0\.9'):
        evaluate(samples)


def test_lengths_names_and_frame_numbers_are_checked():
    samples = make_windows(make_videos())
    samples[0].set_metainfo({'frame_inds': np.array([0, 1, 99])})
    with pytest.raises(DataError, match=r'frame_inds must be in \[0, 7\), got 99'):
        evaluate(samples)
    samples = make_windows(make_videos())
    samples[0].set_metainfo({'num_frames': 70})
    with pytest.raises(DataError, match='video a: num_frames must be 7 as in the data set, got 70'):
        evaluate(samples)
    samples = make_windows(make_videos())
    samples[0].set_metainfo({'video_id': 'z'})
    with pytest.raises(DataError, match=r'video z: benchmark .*has no such video'):
        evaluate(samples)


def test_one_class_has_no_figure_but_a_reason():
    videos = {'b': make_videos()['b']}
    metric = make_metric(videos, pixel=False)
    metric.process({}, make_windows(videos))
    metrics = metric.evaluate(1)
    assert 'vad/frame_auc' not in metrics
    assert metric.evaluation.undefined['frame_auc'].startswith('all 4 scored frames are normal')
    assert metrics['vad/coverage_frames'] == 1
    videos = make_videos()
    samples = make_windows(videos)
    for sample in samples:
        sample.gt_masks = torch.zeros_like(sample.gt_masks)
    metric = make_metric(videos)
    metric.process({}, samples)
    assert 'vad/pixel_auc' not in metric.evaluate(1)
    assert 'no scored pixel is anomalous' in metric.evaluation.undefined['pixel_auc']


def test_no_window_is_loud():
    with pytest.raises(DataError, match='nothing was scored'):
        evaluate([])


def test_records_are_needed():
    metric = VADMetric()
    with pytest.raises(DataError, match=r"needs dataset_meta\['records'\]"):
        metric.process({}, make_windows(make_videos()))


def test_options_must_be_those_of_the_protocol():
    videos = make_videos()
    options = {'window': 8, 'frame_interval': 4, 'tail': 'pad', 'subset': 'abnormal', 'stride': 8}
    meta = make_meta(videos, benchmark='ubnormal', options=options)
    rule = "protocol lavida-code fixes tail='drop' on benchmark ubnormal, but the test set has tail='pad'"
    with pytest.raises(UsageError, match=rule + '.*--protocol lavida-code'):
        make_metric(meta=meta, protocol='lavida-code')
    options['tail'] = 'drop'
    make_metric(meta=make_meta(videos, benchmark='ubnormal', options=options), protocol='lavida-code')
    with pytest.raises(UsageError, match="protocol default fixes tail='pad'"):
        make_metric(meta=make_meta(videos, options={'tail': 'drop'}))
    with pytest.raises(UsageError, match="fixes interval_ends='inclusive' on benchmark ucf_crime"):
        make_metric(meta=make_meta(videos, benchmark='ucf_crime', options={'interval_ends': 'half-open'}))
    with pytest.raises(UsageError, match='protocol must be one of'):
        VADMetric(protocol='best')


def test_protocol_of_ones_own_smooths():
    videos = make_videos()
    own = dict(name='mine', base='default', smoothing=dict(kind='causal', width=2))
    metric = make_metric(videos, protocol=own, pixel=False)
    metric.process({}, make_windows(videos))
    metrics = metric.evaluate(1)
    smoothed = {}
    for name, (scores, labels, _, _) in videos.items():
        before = np.concatenate([scores[:1], scores[:-1]]).astype(np.float64)
        smoothed[name] = ((scores.astype(np.float64) + before) / 2, labels)
    expected = roc_auc_score(stack(smoothed, 1), np.round(stack(smoothed, 0), 12))
    assert metrics['vad/frame_auc'] == pytest.approx(expected, abs=1e-9)
    assert (metric.evaluation.protocol.name, metric.evaluation.protocol.version) == ('mine', 1)


# Several processes. They are forked, so torch must run one thread: see tests/conftest.py.


def _score_part(rank, world_size, port, folder, mode):
    torch.distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world_size
    )
    videos = make_videos()
    samples = make_windows(videos)
    own = samples[rank::world_size]
    try:
        if mode == 'dump':
            names = sorted(videos)[rank::world_size]
            outcome = dump([sample for sample in samples if sample.video_id in names], folder / 'predictions', videos)
        else:
            if mode == 'doubled' and rank == 1:
                own = own + samples[:1]
            outcome = evaluate(own)
    except DataError as error:
        outcome = str(error)
    torch.save(outcome, f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


def dump(samples, folder, videos, **options):
    """Figures by way of prediction files."""
    writer = DumpPredictions(out_dir=str(folder), pixel=True, **options)
    reader = VADMetric(predictions=str(folder), regions=True)
    for metric in (writer, reader):
        metric.dataset_meta = make_meta(videos)
    for metric in (writer, reader):
        metric.process({}, samples)
    writer.evaluate(1)
    return reader.evaluate(1)


def run_processes(world_size, folder, mode='plain'):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(
        _score_part, (world_size, port, folder, mode), nprocs=world_size, start_method='fork'
    )
    return [torch.load(folder / f'{rank}.pth') for rank in range(world_size)]


@pytest.mark.parametrize('world_size', [1, 2, 3, 4])
def test_processes_give_the_figures_of_one_to_the_last_bit(world_size, tmp_path):
    expected = evaluate(make_windows(make_videos()))
    assert run_processes(world_size, tmp_path) == [expected] * world_size


@pytest.mark.parametrize('world_size', [1, 2, 3, 4])
def test_prediction_files_give_the_same_figures_with_any_number_of_processes(world_size, tmp_path):
    expected = evaluate(make_windows(make_videos()), regions=True)
    assert run_processes(world_size, tmp_path, 'dump') == [expected] * world_size
    one = tmp_path / 'one'
    dump(make_windows(make_videos()), one, make_videos())
    files = [path.name for path in sorted(one.iterdir())]
    assert files == [f'{name}.npz' for name in sorted(LENGTHS)] + ['predictions.json']
    for name in files:
        assert (one / name).read_bytes() == (tmp_path / 'predictions' / name).read_bytes()


def test_pixels_counted_by_two_processes_are_refused_on_both(tmp_path):
    outcomes = run_processes(2, tmp_path, mode='doubled')
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].startswith('3 frames were scored by two processes')
