"""Frames that several windows hold get the mean of what these say, each frame once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lavida_mm.datasets.video_anomaly_dataset import tile_windows
from lavida_mm.evaluation import DumpPredictions, VADMetric
from lavida_mm.evaluation.predictions import prediction_path, read_prediction
from lavida_mm.evaluation.window_merger import WindowMerger
from lavida_mm.evaluation.windows import read_window
from lavida_mm.structures import VADDataSample
from lavida_mm.utils import DataError
from tests.test_evaluation.boards import SIZE, WINDOW, make_meta, make_videos, stack

WORDS = ['thing', 'other']


def say(videos, stride, seed=0, interval=1, tail='pad'):
    """Overlapping windows, each of which says something else of the frames that it shares with others."""
    rng = np.random.default_rng(seed)
    samples = []
    for name, (scores, _, _, truth) in videos.items():
        tiles = tile_windows(len(scores), WINDOW, interval, stride, tail)
        for place, inds in enumerate(tiles):
            valid = int(np.searchsorted(inds, inds[-1])) + 1
            sample = VADDataSample()
            sample.set_metainfo(dict(
                video_id=name, frame_inds=inds, first_scored=0, num_valid=valid, num_frames=len(scores),
                num_settled=valid if place == len(tiles) - 1 else stride, frame_interval=interval, categories=WORDS,
                template=0,
            ))  # fmt: skip
            sample.pred_frame_scores = torch.from_numpy(rng.random(WINDOW, dtype=np.float32))
            sample.pred_category_scores = torch.from_numpy(rng.random((WINDOW, 2), dtype=np.float32))
            sample.pred_masks = torch.from_numpy(rng.random((WINDOW, *SIZE), dtype=np.float32))
            sample.gt_masks = torch.from_numpy(truth[inds])
            samples.append(sample)
    return samples


def average(samples, field, videos):
    """Mean of a field over all windows that hold a frame, by video and frame: the definition, in float64."""
    found = {name: {} for name in videos}
    for sample in samples:
        for place in range(sample.num_valid):
            said = found[sample.video_id].setdefault(int(sample.frame_inds[place]), [])
            said.append(getattr(sample, field)[place].double().numpy())
    return {name: np.stack([np.mean(said[frame], axis=0) for frame in sorted(said)]) for name, said in found.items()}


@settings(deadline=None)
@given(stride=st.integers(1, WINDOW), interval=st.integers(1, 3), seed=st.integers(0, 99))
def test_each_frame_comes_once_with_the_mean(stride, interval, seed):
    videos = make_videos(seed)
    samples = say(videos, stride, seed, interval)
    merger, inds, scores, masks, words = WindowMerger(), {}, {}, {}, {}
    for sample in samples:
        window = merger.add(read_window(sample))
        for table, rows in ((inds, window.frame_inds), (scores, window.scores), (masks, window.masks)):
            table.setdefault(window.video_id, []).append(rows)
        words.setdefault(window.video_id, []).append(window.word_scores)
        assert window.truth.tolist() == videos[window.video_id][3][window.frame_inds].tolist()
        assert len(window.top_words) == len(window.frame_inds)
    merger.finish()
    for table, field in ((scores, 'pred_frame_scores'), (masks, 'pred_masks'), (words, 'pred_category_scores')):
        for name, expected in average(samples, field, videos).items():
            np.testing.assert_allclose(np.concatenate(table[name]), expected, rtol=1e-6)
    for name, parts in inds.items():
        assert np.concatenate(parts).tolist() == list(range(0, len(videos[name][0]), interval))


def test_figures_are_those_of_the_means():
    videos = make_videos()
    samples = say(videos, stride=1)
    metric = VADMetric()
    metric.dataset_meta = make_meta(videos)
    metric.process({}, samples)
    metrics = metric.evaluate(1)
    scores, masks = (average(samples, field, videos) for field in ('pred_frame_scores', 'pred_masks'))
    scores = np.concatenate([scores[name] for name in sorted(videos)])
    masks = np.concatenate([masks[name].ravel() for name in sorted(videos)]).astype(np.float16)
    assert metrics['vad/frame_auc'] == pytest.approx(roc_auc_score(stack(videos, 1), scores), abs=1e-12)
    assert metrics['vad/pixel_auc'] == pytest.approx(roc_auc_score(stack(videos, 3), masks), abs=1e-3)  # float32 sums
    assert metrics['vad/coverage_frames'] == 1


def test_files_hold_the_means(tmp_path):
    videos = make_videos()
    samples = say(videos, stride=2)
    dump = DumpPredictions(out_dir=str(tmp_path), masks='float16', pixel=True)
    dump.dataset_meta = make_meta(videos)
    for sample in samples:
        dump.process({}, [sample])
    dump.evaluate(1)
    masks = average(samples, 'pred_masks', videos)
    for name, scores in average(samples, 'pred_frame_scores', videos).items():
        prediction = read_prediction(prediction_path(tmp_path, name))
        np.testing.assert_allclose(prediction.scores, scores, rtol=1e-6)
        assert [frame for frame, _ in prediction.iter_masks()] == list(range(len(scores)))
        np.testing.assert_allclose([mask for _, mask in prediction.iter_masks()], masks[name], atol=1e-3)


def test_files_where_tails_are_dropped(tmp_path):
    """Windows of three frames, every second one: of four and of ten frames, the last belongs to none."""
    videos = make_videos()
    options = dict(window=WINDOW, stride=2, frame_interval=1, tail='drop')
    dump = DumpPredictions(out_dir=str(tmp_path))
    dump.dataset_meta = make_meta(videos, options=options)
    for sample in say(videos, stride=2, tail='drop'):
        dump.process({}, [sample])
    dump.evaluate(1)
    missing = {
        name: np.isnan(read_prediction(prediction_path(tmp_path, name)).scores).nonzero()[0].tolist() for name in videos
    }
    assert missing == dict(a=[], b=[3], c=[9])


def test_windows_that_do_not_overlap_come_back_as_they_are_in_any_order():
    samples = say(make_videos(), stride=WINDOW)
    merger = WindowMerger()
    for sample in samples[::-1]:
        window = read_window(sample)
        assert merger.add(window) is window
    merger.finish()


@pytest.mark.parametrize('left_out', [1, 4])
def test_a_window_that_does_not_come(left_out):
    """In the middle of a video, or its last."""
    samples = say(make_videos(), stride=1)
    assert samples[left_out].video_id == 'a' and samples[5].video_id == 'b'
    metric = VADMetric(pixel=False)
    metric.dataset_meta = make_meta(make_videos())
    with pytest.raises(DataError, match=r"video a: frame \d waits for the next window .* came: overlap='mean' needs"):
        metric.process({}, samples[:left_out] + samples[left_out + 1 :])


def test_the_last_window_of_all_does_not_come():
    samples = say(make_videos(), stride=1)
    metric = VADMetric(pixel=False)
    metric.dataset_meta = make_meta(make_videos())
    metric.process({}, samples[:-1])
    with pytest.raises(DataError, match='video c: frame 7 waits for a window that did not come'):
        metric.evaluate(1)
    metric.process({}, samples)
    assert metric.evaluate(1)['vad/coverage_frames'] == 1


def test_more_frames_settled_than_there_are():
    (sample, *_) = say(make_videos(), stride=1)
    sample.set_metainfo(dict(num_settled=WINDOW + 1))
    with pytest.raises(DataError, match=r'video a: num_settled must be in \[0, 3\], got 4'):
        read_window(sample)
