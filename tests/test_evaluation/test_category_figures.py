"""Which of the named words was it: the figure against a slow loop, and when it is undefined."""

import numpy as np
import pytest
import torch

from lavida_mm.evaluation import DumpPredictions, VADMetric, read_prediction
from lavida_mm.evaluation.video_curve import write_words
from lavida_mm.utils import DataError
from tests.test_evaluation.boards import make_meta, make_videos, make_windows

WORDS = ('fire', 'fall', 'theft')
TRUE = {'a': 'fall', 'c': 'theft'}  # video b is normal
NAME = 'category_top1'


def make_samples(videos, words=WORDS, interval=1, seed=0):
    """Windows whose words have random scores, and the word scores of each frame."""
    rng = np.random.default_rng(seed)
    by_frame = {name: rng.random((len(video[0]), len(words))).astype(np.float32) for name, video in videos.items()}
    samples = make_windows(videos, interval=interval)
    for sample in samples:
        sample.set_metainfo({'categories': list(words)})
        sample.pred_category_scores = torch.from_numpy(by_frame[sample.video_id][sample.frame_inds])
    return samples, by_frame


def name_anomalies(meta, words=TRUE):
    for record in meta['records']:
        record.interval_categories = [words.get(record.video_id, '')] * len(record.intervals)
    return meta


def evaluate(samples, videos, meta=None, **options):
    metric = VADMetric(pixel=False, **options)
    metric.dataset_meta = name_anomalies(make_meta(videos)) if meta is None else meta
    for sample in samples:
        metric.process({}, [sample])
    figures = metric.evaluate(len(samples))
    return figures.get(f'vad/{NAME}'), metric.evaluation


def slow_share(videos, by_frame, interval=1, words=WORDS):
    right = total = 0
    for name, (scores, labels, _, _) in videos.items():
        for frame, label in enumerate(labels):
            held = frame // interval * interval
            if not label or scores[held] < 0.5 or TRUE[name] not in words:
                continue
            total += 1
            right += words[int(by_frame[name][held].argmax())] == TRUE[name]
    return right / total, total


@pytest.mark.parametrize('interval', [1, 2])
@pytest.mark.parametrize('seed', range(3))
def test_equals_a_slow_loop(interval, seed):
    videos = make_videos(seed)
    samples, by_frame = make_samples(videos, interval=interval, seed=seed)
    found, evaluation = evaluate(samples, videos)
    expected, total = slow_share(videos, by_frame, interval)
    assert found == pytest.approx(expected)
    assert any(note.startswith(f'{NAME} is of the {total} of 6 anomalous frames') for note in evaluation.notes)


def test_frames_whose_word_was_not_named_do_not_count():
    videos = make_videos()
    words = ('fire', 'fall')
    samples, by_frame = make_samples(videos, words)
    found, _ = evaluate(samples, videos)
    assert found == pytest.approx(slow_share(videos, by_frame, words=words)[0])


def test_a_shared_first_place_is_a_miss():
    videos = make_videos()
    samples, _ = make_samples(videos)
    for sample in samples:
        sample.pred_category_scores = torch.ones_like(sample.pred_category_scores)
    assert evaluate(samples, videos)[0] == 0


def test_one_of_several_true_words_is_right():
    videos = make_videos()
    samples, _ = make_samples(videos)
    meta = name_anomalies(make_meta(videos))
    for record in meta['records']:
        record.interval_categories = [word for word in record.interval_categories for _ in range(3)]
        record.intervals = record.intervals * 3
        record.interval_categories[1:] = WORDS[:2] if record.intervals else []
    for sample in samples:
        sample.pred_category_scores = torch.tensor([[0.9, 0.1, 0.2]]).expand(len(sample.frame_inds), -1)
    assert evaluate(samples, videos, meta)[0] == 1


def test_the_order_of_windows_and_repeated_windows_change_nothing():
    videos = make_videos()
    samples, _ = make_samples(videos)
    expected = evaluate(samples, videos)[0]
    assert evaluate(samples[::-1] + samples[2:4], videos)[0] == expected


def test_disagreeing_windows_are_undecided_in_any_order():
    first, second = (np.array(words, dtype=object) for words in (['a', None, 'a', 'b'], ['a', 'b', 'b', None]))
    outcomes = []
    for one, two in ((first, second), (second, first)):
        target = np.full(4, None, dtype=object)
        write_words(target, one)
        write_words(target, two)
        write_words(target, one)
        outcomes.append(target.tolist())
    assert outcomes[0] == outcomes[1] == ['a', 'b', '', 'b']


def test_undefined_says_why():
    videos = make_videos()
    samples, _ = make_samples(videos)

    def reason(own=None, meta=None, videos=videos):
        found, evaluation = evaluate(samples if own is None else own, videos, meta)
        assert found is None
        return evaluation.undefined[NAME]

    assert reason(make_windows(videos)) == 'the scores are of frames, not of words'
    unknown = name_anomalies(make_meta(videos), dict.fromkeys(TRUE, ''))
    assert reason(meta=unknown) == 'the benchmark does not say which word its anomalies are'
    unlisted = make_meta(videos)
    for record in unlisted['records']:
        record.interval_categories = []
    assert reason(meta=unlisted) == 'the benchmark does not say which word its anomalies are'
    other = name_anomalies(make_meta(videos), dict.fromkeys(TRUE, 'flood'))
    assert reason(meta=other) == 'no prompt names a word that its anomalous frames are'
    normal = {'b': videos['b']}
    assert reason(make_samples(normal)[0], videos=normal) == 'no scored frame is anomalous'
    silent, _ = make_samples(videos)
    for sample in silent:
        sample.pred_frame_scores = sample.pred_frame_scores * 0.4
    assert reason(silent) == 'no anomalous frame whose word was named scores 0.5 or more'


def test_word_scores_are_checked():
    videos = make_videos()
    samples, _ = make_samples(videos)
    samples[0].set_metainfo({'categories': ['fire']})
    with pytest.raises(DataError, match=r'video a: pred_category_scores must be of shape .* \(3, 1\), got \(3, 3\)'):
        evaluate(samples, videos)
    samples, _ = make_samples(videos)
    samples[0].pred_category_scores = samples[0].pred_category_scores * torch.nan
    with pytest.raises(DataError, match='video a: pred_category_scores must be numbers, got nan'):
        evaluate(samples, videos)


def dump(samples, videos, folder):
    metric = DumpPredictions(out_dir=str(folder))
    metric.dataset_meta = name_anomalies(make_meta(videos))
    metric.process({}, samples)
    metric.evaluate(len(samples))


def test_prediction_files_keep_the_words(tmp_path):
    videos = make_videos()
    samples, by_frame = make_samples(videos)
    samples[1].pred_category_scores = torch.zeros_like(samples[1].pred_category_scores)  # frames 3 to 5 of video a
    dump(samples, videos, tmp_path)
    stored = read_prediction(tmp_path / 'a.npz')
    expected = [WORDS[place] for place in by_frame['a'].argmax(axis=1)]
    expected[3:6] = [''] * 3
    assert stored.top_words.tolist() == expected
    live, offline = evaluate(samples, videos), evaluate([], videos, predictions=str(tmp_path))
    assert live[0] is not None
    assert offline[0] == live[0]


def test_prediction_files_without_words_leave_it_undefined(tmp_path):
    videos = make_videos()
    dump(make_windows(videos), videos, tmp_path)
    assert read_prediction(tmp_path / 'a.npz').top_words is None
    found, evaluation = evaluate([], videos, predictions=str(tmp_path))
    assert found is None
    assert evaluation.undefined[NAME] == 'the scores are of frames, not of words'


def test_a_file_that_names_words_it_does_not_have_is_refused(tmp_path):
    videos = make_videos()
    dump(make_samples(videos)[0], videos, tmp_path)
    path = tmp_path / 'a.npz'
    with np.load(path) as archive:
        parts = {name: archive[name] for name in archive.files if name != 'meta.json'}
        meta = archive['meta.json']
    parts['top_words'] = np.full(7, 3, dtype=np.int32)
    np.savez(path, **parts)
    import zipfile

    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('meta.json', meta)
    with pytest.raises(DataError, match=r'a\.npz: top_words must name one of 3 words for each of 7 frames, got 7'):
        read_prediction(path)


def test_windows_of_one_file_must_name_the_same_words(tmp_path):
    videos = make_videos()
    samples, _ = make_samples(videos)
    samples[1].set_metainfo({'categories': ['fire', 'fall', 'flood']})
    samples[1].pred_category_scores = torch.tensor([[0.0, 0.0, 1.0]]).expand(3, -1)
    with pytest.raises(DataError, match="video a: all of its windows must name the same words, but 'flood' came later"):
        dump(samples, videos, tmp_path)
