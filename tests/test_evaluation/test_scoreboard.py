import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lavida_mm.evaluation import Scoreboard
from lavida_mm.structures import VideoRecord
from lavida_mm.utils import DataError, UsageError
from tests.test_evaluation.boards import make_records, make_videos


def record(name, n=20, *intervals, **fields):
    return VideoRecord(name, num_frames=n, intervals=list(intervals), fps=10.0, **fields)


def make_board(**options):
    return Scoreboard([record('a', 20, (5, 10)), record('b', 8)], **options)


def fill(board, seed=0, low=0.0, high=1.0):
    rng = np.random.default_rng(seed)
    for name, item in board.records.items():
        board.set_curve(name, rng.uniform(low, high, item.num_frames))
    return board


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_windows_in_any_order_and_on_any_board_give_one_evaluation(data):
    videos = make_videos()
    windows = [
        (name, np.arange(first, min(first + 3, len(video[0]))), video)
        for name, video in videos.items()
        for first in range(0, len(video[0]), 3)
    ]
    options = dict(pixel=True, regions=True, protocol='default')
    order = data.draw(st.permutations(range(len(windows))))
    split = data.draw(st.integers(1, 4))

    def score(parts):
        total = Scoreboard(make_records(videos), **options)
        boards = [Scoreboard(make_records(videos), **options) for _ in parts]
        for board, part in zip(boards, parts):
            for place in part:
                name, inds, (scores, _, pixels, masks) = windows[place]
                board.add_window(name, inds, scores[inds])
                for index in inds:
                    board.add_pixels(name, int(index), pixels[index], masks[index])
                    board.add_detections(name, [[index, 2, 1, 3, 2, 0.5 + index / 64]], [index])
        counts = [board.counts() for board in boards]
        for board in boards:
            total.merge(board.state())
        total.load_counts({name: sum(count[name] for count in counts) for name in counts[0]})
        return total.evaluate().to_dict()

    assert score([order[rank::split] for rank in range(split)]) == score([range(len(windows))])


def test_macro_and_padded_figures():
    board = fill(make_board())
    evaluation = board.evaluate()
    curves = {video.video_id: (video.scores, video.labels) for video in evaluation.videos}
    assert evaluation.figures['frame_auc_macro'] == pytest.approx(roc_auc_score(curves['a'][1], curves['a'][0]))
    padded = [roc_auc_score([0, *labels, 1], [0, *scores, 1]) for scores, labels in curves.values()]
    assert evaluation.figures['frame_auc_macro_padded'] == pytest.approx(np.mean(padded))
    assert any('the others are of one class and have no AUC' in note for note in evaluation.notes)
    assert [video.auc for video in evaluation.videos] == [evaluation.figures['frame_auc_macro'], None]


def test_lavida_code_pads_logits_with_0_and_1():
    records = [record('a', 24, (5, 10)), record('b', 8)]
    board = fill(Scoreboard(records, protocol='lavida-code', benchmark='ucsd_ped2'), low=0.3, high=0.9)
    evaluation = board.evaluate()
    expected = []
    pooled = [np.concatenate([getattr(video, part) for video in evaluation.videos]) for part in ('scores', 'labels')]
    for scores, labels in [(video.scores, video.labels) for video in evaluation.videos] + [pooled]:
        logits = np.log(scores / (1 - scores))
        expected.append(roc_auc_score([0, *labels, 1], [0, *logits, 1]))
    assert evaluation.figures['frame_auc_macro_padded'] == pytest.approx(np.mean(expected[:2]))
    assert evaluation.figures['frame_auc_padded'] == pytest.approx(expected[2])


def test_scores_of_any_range_rank_but_are_not_calibrated():
    evaluation = fill(make_board(events=dict(on=0.5)), low=-3, high=5).evaluate()
    assert 0 <= evaluation.figures['frame_auc'] <= 1
    assert 'frame_auc_padded' in evaluation.figures
    for name in ('far_at_0.5', 'event_f1_touch', 'event_false_alarms_per_hour'):
        assert 'needs scores in [0, 1], got' in evaluation.undefined[name]
        assert name not in evaluation.figures


def test_constant_scores_rank_nothing_and_it_says_so():
    board = make_board()
    for name, item in board.records.items():
        board.set_curve(name, np.full(item.num_frames, 0.25))
    evaluation = board.evaluate()
    assert evaluation.figures['frame_auc'] == 0.5
    assert 'all scores are 0.25: they rank nothing' in evaluation.notes


def test_no_ground_truth_gives_no_figure():
    board = fill(Scoreboard([record('a', has_ground_truth=False)]))
    evaluation = board.evaluate()
    assert set(evaluation.figures) == {'coverage_videos', 'coverage_frames', 'num_videos', 'num_frames'}
    assert evaluation.undefined['frame_auc'] == 'the videos have no ground truth'
    assert evaluation.videos[0].labels is None
    board = fill(Scoreboard([record('a', has_ground_truth=False), record('b', 20, (5, 10))]))
    evaluation = board.evaluate()
    assert '1 of 2 videos have no ground truth and are in no figure' in evaluation.notes
    assert evaluation.figures['frame_auc'] == evaluation.videos[1].auc


@pytest.mark.parametrize(
    ('video', 'scores', 'rule'),
    [
        ('z', np.zeros(20), 'video z: benchmark toys has no such video'),
        ('a', np.zeros(19), 'video a: num_frames must be 20 as in the data set, got 19'),
        ('a', np.full(20, np.inf), 'video a: scores must be finite, frame 0 is not'),
        ('a', np.zeros((20, 1)), 'video a: scores must be a vector'),
        ('a', np.zeros(0), 'video a: scores must be a vector of at least one frame'),
    ],
)
def test_bad_curves_name_the_video_and_the_rule(video, scores, rule):
    with pytest.raises(DataError, match=rule):
        make_board(benchmark='toys').set_curve(video, scores)


def test_a_video_is_scored_once_and_all_are_scored():
    board = make_board()
    board.set_curve('a', np.linspace(0, 1, 20))
    with pytest.raises(DataError, match='video a: has scores already'):
        board.set_curve('a', np.zeros(20))
    with pytest.raises(DataError, match='1 of 2 videos were not scored, the first is b'):
        board.evaluate()
    board.set_curve('b', np.r_[np.nan, np.zeros(7)])
    with pytest.raises(DataError, match='video b: 1 of 8 frames were not scored, the first is 0'):
        board.evaluate()


def test_unknown_lengths_are_taken_from_the_scores_or_refused():
    board = Scoreboard([VideoRecord('a', intervals=[(5, 10)])])
    with pytest.raises(DataError, match='video a: num_frames is not known'):
        board.add_window('a', [0], [0.5])
    board.set_curve('a', np.linspace(0, 1, 12))
    assert board.evaluate().coverage.frames_known == 12


def test_video_listed_twice():
    with pytest.raises(DataError, match='video a is listed twice'):
        Scoreboard([record('a'), record('a')])


def test_i3d_takes_the_length_of_the_scores():
    board = Scoreboard([record('a', 40, (5, 36))], protocol='i3d-16')
    board.set_curve('a', np.linspace(0, 1, 32))
    video = board.evaluate().videos[0]
    assert (video.scores.size, int(video.labels.sum())) == (32, 27)


def test_smoothing_does_not_cross_a_video_and_leaves_unscored_frames_alone():
    own = dict(name='mine', smoothing=dict(kind='gaussian', sigma=2))
    board = make_board(protocol=own, allow_partial=True)
    board.set_curve('a', np.r_[np.full(15, 0.25), np.full(5, np.nan)])
    board.set_curve('b', np.ones(8))
    first, second = board.evaluate().videos
    assert set(first.scores[:15]) == {0.25}
    assert np.isnan(first.scores[15:]).all()
    assert set(second.scores) == {1.0}


def test_pixel_size_of_lavida_code():
    import cv2

    rng = np.random.default_rng(0)
    mask = np.zeros((240, 360), dtype=bool)
    mask[40:90, 100:140] = True
    probabilities = np.clip(rng.random(mask.shape) * 0.7 + mask * 0.3, 0, 1).astype(np.float32)

    class Masks:
        def read(self, inds, height, width):
            return np.broadcast_to(mask, (len(inds), height, width))

    records = [VideoRecord('a', num_frames=8, intervals=[(0, 8)], masks=Masks())]
    board = Scoreboard(records, protocol='lavida-code', benchmark='ucsd_ped2', pixel=True)
    board.add_window('a', range(8), np.linspace(0, 1, 8))
    for frame in range(8):
        board.add_pixels('a', frame, probabilities, mask)
    small = cv2.resize(probabilities.astype(np.float16).astype(np.float32), (238, 158)).astype(np.float16)
    truth = cv2.resize(mask.astype(np.uint8), (238, 158), interpolation=cv2.INTER_NEAREST)
    figure = board.evaluate().figures['pixel_auc']
    assert figure == pytest.approx(roc_auc_score(truth.ravel(), small.ravel()), abs=1e-12)
    assert board.pixels.histogram.positives.sum() == 8 * truth.sum()


def test_pixels_of_frames_that_the_protocol_does_not_look_at_are_not_counted():
    videos = make_videos(lengths={'a': 12})
    scores, _, pixels, masks = videos['a']
    own = dict(name='own', base='lavida-code', window=2, stride=2, frame_interval=5, words=None, pixel_size=None)
    board = Scoreboard(make_records(videos), protocol=own, pixel=True)
    board.set_curve('a', scores)
    for frame in range(12):
        board.add_pixels('a', frame, pixels[frame], masks[frame])
    assert board.pixels.frames == {('a', 0), ('a', 5)}  # the window covers frames 0..9


def test_pixels_and_regions_need_ground_truth_of_their_kind():
    with pytest.raises(UsageError, match='pixel=True needs masks'):
        make_board(pixel=True)
    with pytest.raises(UsageError, match='regions=True needs boxes'):
        make_board(regions=True)
    videos = make_videos()
    records = make_records(videos)
    board = fill(Scoreboard(records, regions=True))
    assert board.evaluate().undefined['rbdc'] == 'video a: its detections are not known'
    board.add_detections('a', np.zeros((0, 6)))
    with pytest.raises(DataError, match=r'video a: frames of detections must be in \[0, 7\)'):
        board.add_detections('a', [[7, 0, 0, 1, 1, 0.5]])


def test_perfect_detections_give_1():
    videos = make_videos()
    board = fill(Scoreboard(make_records(videos), regions=True))
    for name, (_, labels, _, _) in videos.items():
        board.add_detections(name, np.array([[i, 2, 1, 3, 2, 0.9] for i in np.flatnonzero(labels)]).reshape(-1, 6))
    figures = board.evaluate().figures
    assert (figures['rbdc'], figures['tbdc']) == (1, 1)


def test_events():
    board = make_board(events=dict(on=0.5, min_length=2))
    board.set_curve('a', np.r_[np.zeros(6), np.ones(4), np.zeros(10)])
    board.set_curve('b', np.r_[np.ones(3), np.zeros(5)])
    figures = board.evaluate().figures
    assert (figures['event_precision_touch'], figures['event_recall_touch']) == (0.5, 1)
    assert figures['event_mean_delay_seconds'] == pytest.approx(0.1)
    assert figures['event_false_alarms_per_hour'] == pytest.approx(1 / (2.8 / 3600))


def test_report_is_json():
    text = json.dumps(fill(make_board()).evaluate().to_dict(), allow_nan=False)
    report = json.loads(text)
    assert (report['protocol'], report['protocol_version']) == ('default', 1)
    assert report['coverage'] == dict(
        videos_scored=2, videos_known=2, frames_scored=28, frames_known=28, anomalous_frames=5
    )
