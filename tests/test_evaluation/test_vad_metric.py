import socket

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from lavida_mm.evaluation import VADMetric
from lavida_mm.registry import METRICS
from lavida_mm.structures import VADDataSample
from lavida_mm.utils import DataError

LENGTHS = {'a': 7, 'b': 4, 'c': 10}
WINDOW = 3
SIZE = (5, 6)


def make_videos(seed=0):
    """Scores, labels, pixel scores and masks of each video; scores rounded, so that ties occur."""
    rng = np.random.default_rng(seed)
    videos = {}
    for name, length in LENGTHS.items():
        masks = np.zeros((length, *SIZE), dtype=bool)
        if name != 'b':
            masks[2:5, 1:3, 2:4] = True
        pixels = np.clip(rng.random(masks.shape) * 0.8 + masks * 0.3, 0, 1).astype(np.float16)
        labels = masks.any((1, 2))
        scores = np.clip(np.round(rng.random(length) * 0.8 + labels * 0.4, 1), 0, 1).astype(np.float32)
        videos[name] = (scores, labels, pixels, masks)
    return videos


def make_windows(videos, interval=1, masks=True):
    """Windows as the test set gives them, the last one filled up by repeating its last frame."""
    samples = []
    for name, (scores, labels, pixels, truth) in videos.items():
        sampled = np.arange(0, len(scores), interval)
        for begin in range(0, len(sampled), WINDOW):
            inds = sampled[begin : begin + WINDOW]
            valid = len(inds)
            inds = np.pad(inds, (0, WINDOW - valid), mode='edge')
            sample = VADDataSample()
            sample.set_metainfo({
                'video_id': name, 'frame_inds': inds, 'num_valid': valid, 'num_frames': len(scores),
                'frame_interval': interval, 'video_labels': labels.astype(np.int64),
            })  # fmt: skip
            sample.pred_frame_scores = torch.from_numpy(scores[inds])
            sample.gt_frame_labels = torch.from_numpy(labels[inds].astype(np.int64))
            sample.pred_masks = torch.from_numpy(pixels[inds])
            if masks:
                sample.gt_masks = torch.from_numpy(truth[inds])
            samples.append(sample)
    return samples


def evaluate(samples, **options):
    metric = VADMetric(**options)
    metric.dataset_meta = {'video_lengths': LENGTHS}
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


def stack(videos, part):
    return np.concatenate([video[part].ravel() for video in videos.values()])


def test_equals_scikit_learn_on_all_frames_and_pixels():
    videos = make_videos()
    metrics = evaluate(make_windows(videos))
    scores, labels, pixels, masks = (stack(videos, part) for part in range(4))
    assert metrics['vad/frame_auc'] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert metrics['vad/frame_ap'] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert metrics['vad/pixel_auc'] == pytest.approx(roc_auc_score(masks, pixels), abs=1e-12)
    assert metrics['vad/pixel_ap'] == pytest.approx(average_precision_score(masks, pixels), abs=1e-12)
    assert metrics['vad/pixel_auc_error_bound'] == 0
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


def test_second_evaluation_starts_afresh():
    metric = VADMetric()
    runs = []
    for _ in range(2):
        metric.process({}, make_windows(make_videos()))
        runs.append(metric.evaluate(1))
    assert runs[0] == runs[1]


def test_prefix_and_registry():
    metric = METRICS.build({'type': 'VADMetric', 'prefix': 'own', 'pixel': False})
    metric.process({}, make_windows(make_videos()))
    assert set(metric.evaluate(1)) == {
        f'own/{key}'
        for key in ('frame_auc', 'frame_ap', 'coverage_videos', 'coverage_frames', 'num_videos', 'num_frames')
    }


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


def test_pixel_figure_without_masks_is_refused_at_once():
    videos = make_videos()
    with pytest.raises(DataError, match='video a: its anomalous frames have no gt_masks'):
        evaluate(make_windows(videos, masks=False))
    assert 'vad/frame_auc' in evaluate(make_windows(videos, masks=False), pixel=False)


def test_normal_windows_may_leave_masks_out():
    samples = make_windows(make_videos())
    expected = evaluate(samples)
    for sample in samples:
        if not sample.gt_frame_labels.any():
            del sample.gt_masks
    assert evaluate(samples) == expected


@pytest.mark.parametrize(
    ('field', 'value', 'rule'),
    [
        ('pred_frame_scores', torch.tensor([0.1, np.nan, 0.2]), r'pred_frame_scores must be in \[0, 1\], got nan'),
        ('pred_frame_scores', torch.tensor([0.1, 1.2, 0.2]), 'got 1.2'),
        ('pred_frame_scores', torch.tensor([0.1]), 'num_valid = 3 >= 1 frames, got 3, 1 and 3'),
        ('pred_masks', torch.full((3, *SIZE), 2.0), r'frame 0: pixel scores must be in \[0, 1\]'),
        ('pred_masks', torch.zeros(3, 2, 2), 'one shape'),
    ],
)
def test_bad_predictions_name_the_video(field, value, rule):
    samples = make_windows(make_videos())
    setattr(samples[0], field, value)
    with pytest.raises(DataError, match=f'video a: .*{rule}'):
        evaluate(samples)


@pytest.mark.parametrize('field', ['pred_frame_scores', 'gt_frame_labels', 'pred_masks'])
def test_missing_fields_name_the_video(field):
    samples = make_windows(make_videos())
    delattr(samples[0], field)
    with pytest.raises(DataError, match=f'video a: .*{field}'):
        evaluate(samples)


def test_skipped_frames_need_their_labels():
    samples = make_windows(make_videos(), interval=2)
    samples[0].set_metainfo({'video_labels': None})
    with pytest.raises(DataError, match='frame_interval = 2 needs video_labels'):
        evaluate(samples)


def test_disagreeing_windows_are_refused():
    samples = make_windows(make_videos())
    other = make_windows(make_videos())[0]
    other.pred_frame_scores = 1 - other.pred_frame_scores
    with pytest.raises(DataError, match='video a: frame 0 has two scores'):
        evaluate([*samples, other])
    samples[1].set_metainfo({'num_frames': 8})
    with pytest.raises(DataError, match='video a: num_frames must be one number'):
        evaluate(samples)


def test_lengths_and_frame_numbers_are_checked():
    samples = make_windows(make_videos())
    samples[0].set_metainfo({'frame_inds': np.array([0, 1, 99])})
    with pytest.raises(DataError, match=r'frame_inds must be in \[0, 7\), got 99'):
        evaluate(samples)
    metric = VADMetric()
    metric.dataset_meta = {'video_lengths': {**LENGTHS, 'a': 70}}
    metric.process({}, make_windows(make_videos()))
    with pytest.raises(DataError, match='video a: num_frames must be 70 as in the data set, got 7'):
        metric.evaluate(1)


def test_one_class_is_loud():
    normal = {'b': make_videos()['b']}
    with pytest.raises(DataError, match='all 4 scored frames are normal'):
        evaluate(make_windows(normal), allow_partial=True)
    samples = make_windows(make_videos())
    for sample in samples:
        sample.gt_masks = torch.zeros_like(sample.gt_masks)
    with pytest.raises(DataError, match='no scored pixel is anomalous'):
        evaluate(samples)


def test_no_window_is_loud():
    with pytest.raises(DataError, match='nothing was scored'):
        evaluate([])


def _score_part(rank, world_size, port, folder, doubled):
    torch.distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world_size
    )
    samples = make_windows(make_videos())
    own = samples[rank::world_size]
    if doubled and rank == 1:
        own = own + samples[:1]
    try:
        outcome = evaluate(own)
    except DataError as error:
        outcome = str(error)
    torch.save(outcome, f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


def run_processes(world_size, folder, doubled=False):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(
        _score_part, (world_size, port, str(folder), doubled), nprocs=world_size, start_method='fork'
    )
    return [torch.load(folder / f'{rank}.pth') for rank in range(world_size)]


@pytest.mark.parametrize('world_size', [1, 2, 3])
def test_processes_give_the_figures_of_one_to_the_last_digit(world_size, tmp_path):
    expected = evaluate(make_windows(make_videos()))
    assert run_processes(world_size, tmp_path) == [expected] * world_size


def test_pixels_counted_by_two_processes_are_refused_on_both(tmp_path):
    outcomes = run_processes(2, tmp_path, doubled=True)
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].startswith('3 frames were scored by two processes')
