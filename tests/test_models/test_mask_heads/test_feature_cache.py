"""Features of overlapping windows: each frame is encoded once, and nothing else changes."""

import copy
import logging

import numpy as np
import pytest
import torch

from lavida_mm.models.mask_heads import AnomalyMaskHead, FrameFeatures
from lavida_mm.models.mask_heads.feature_cache import FeatureCache, digest_frames
from lavida_mm.models.projectors import ProjectorOutput
from lavida_mm.registry import MODELS
from lavida_mm.structures import VADDataSample
from tests.test_models.test_mask_heads.conftest import SIZES

SIDE, DIM, WINDOW, STRIDE = 32, 64, 8, 4
SAM = dict(
    type='SAM',
    image_encoder=dict(type='ConvImageEncoder', widths=(16, 16), depths=(1, 1), out_channels=DIM),
    image_size=SIDE, prompt_dim=DIM, transformer_depth=1, transformer_heads=2, transformer_mlp=24, iou_hidden=16,
)  # fmt: skip
SAM2 = dict(type='SAM2', arch=dict(SIZES, channels=DIM), image_size=SIDE, memory=2)


def _head(feature_cache=16, segmenter=SAM) -> AnomalyMaskHead:
    torch.manual_seed(0)
    return MODELS.build(dict(type='AnomalyMaskHead', segmenter=segmenter, feature_cache=feature_cache)).eval()


def _video(num_frames=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num_frames, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def _sample(frames, video_id='v', source='s', num_frames=100):
    return VADDataSample(
        metainfo=dict(
            video_id=video_id,
            frame_inds=np.asarray(frames),
            num_frames=num_frames,
            source=source,
            ori_shape=(SIDE, SIDE),
            categories=['a'],
        )
    )


def _windows(num_frames=20):
    return [range(start, start + WINDOW) for start in range(0, num_frames - WINDOW + 1, STRIDE)]


@pytest.fixture
def calls(monkeypatch):
    """Frames that the segmenters were asked to encode."""
    counted = []
    for name in ('SAM', 'SAM2'):
        kind = MODELS.get(name)
        encode = kind.encode

        def count(self, clips, encode=encode):
            counted.extend(frame.clone() for clip in clips for frame in clip)
            return encode(self, clips)

        monkeypatch.setattr(kind, 'encode', count)
    return counted


@torch.no_grad()
def _predict(head, video, windows, batch=1):
    """Scores and masks of all windows, ``batch`` of them at a time."""
    found = []
    for first in range(0, len(windows), batch):
        part = windows[first : first + batch]
        clips, samples = [video[list(frames)] for frames in part], [_sample(frames) for frames in part]
        features = head.encode(clips, samples)
        generator = torch.Generator().manual_seed(first)
        size = (len(features), 1, DIM)
        projected = ProjectorOutput(
            sparse=torch.randn(size, generator=generator),
            dense=None,
            categories=torch.randn(size, generator=generator),
            similarity=None,
        )
        for sample in head.predict(features, projected, samples):
            found += [sample.pred_frame_scores, sample.pred_masks]
    return found


@pytest.mark.parametrize('segmenter', [SAM, SAM2], ids=['sam', 'sam2'])
@pytest.mark.parametrize('batch', [1, 2])
def test_windows_that_overlap_encode_each_frame_once_and_change_no_bit(calls, segmenter, batch):
    video, windows = _video(), _windows()
    plain = _predict(_head(0, segmenter), video, windows, batch)
    assert len(calls) == WINDOW * len(windows) == 32
    calls.clear()
    cached = _predict(_head(16, segmenter), video, windows, batch)
    assert len(calls) == len(video) == 20
    assert all(torch.equal(one, other) for one, other in zip(plain, cached, strict=True))


def test_the_cache_is_bounded_and_drops_what_is_unused_for_longest(calls):
    head, video = _head(4), _video()
    with torch.no_grad():
        for frames in ([0, 1, 2, 3], [0], [4], [0, 2, 3, 4], [1]):
            head.encode([video[frames]], [_sample(frames)])
            assert len(head.cache) <= 4
    assert [int(torch.equal(frame, video[1])) for frame in calls] == [0, 1, 0, 0, 0, 1]  # frame 1 was dropped for 4


def test_frames_of_the_same_name_and_another_content_are_encoded(calls):
    """Two videos of one name in one process, or a stream that numbers its frames anew."""
    head, first, second = _head(), _video(2), _video(2, seed=1)
    with torch.no_grad():
        one = head.encode([first], [_sample([0, 1])])
        other = head.encode([second], [_sample([0, 1])])
        again = head.encode([first], [_sample([0, 1])])
        head.encode([first], [_sample([0, 1], source='another')])
    assert not torch.equal(one.deep, other.deep) and torch.equal(one.deep, again.deep)
    assert len(calls) == 6


def test_digests_tell_frames_apart():
    frames = torch.zeros(4, 3, 5, 7, dtype=torch.uint8)
    frames[1, 0, 0, 0] = 1
    frames[2, 0, 0, 1] = 1
    frames[3, 2, 4, 6] = 1
    assert len(set(digest_frames(frames))) == 4
    assert digest_frames(frames[1:])[0] == digest_frames(frames)[1]
    assert len(set(digest_frames(frames.float()))) == 4


def test_training_and_gradients_do_without_the_cache(calls):
    head, video = _head(), _video(2)
    for _ in range(2):
        head.encode([video], [_sample([0, 1])])  # gradients are on
    head.train()
    with torch.no_grad():
        head.encode([video], [_sample([0, 1])])
    assert len(calls) == 6 and len(head.cache) == 0


def test_features_are_forgotten_when_weights_may_change():
    head, video = _head(), _video(2)
    clone = copy.deepcopy(head)
    for change in (
        lambda: head.load_state_dict(clone.state_dict()),
        lambda: head.eval(),
        lambda: head.train().eval(),
        lambda: head.float(),
    ):
        with torch.no_grad():
            head.encode([video], [_sample([0, 1])])
        assert len(head.cache) == 2
        change()
        assert len(head.cache) == 0


def test_another_precision_has_features_of_its_own(calls):
    head, video = _head(), _video(1)
    with torch.no_grad():
        plain = head.encode([video], [_sample([0])]).deep
        with torch.autocast('cpu', dtype=torch.bfloat16):
            low = head.encode([video], [_sample([0])]).deep
    assert len(calls) == 2 and plain.dtype != low.dtype


def test_reuse_is_logged_once_per_video(monkeypatch):
    lines = []
    monkeypatch.setattr('lavida_mm.models.mask_heads.feature_cache.print_log', lambda text, **_: lines.append(text))
    head, video = _head(), _video()
    _predict(head, video, _windows())
    assert lines == []
    with torch.no_grad():
        head.encode([video[:2]], [_sample([0, 1], video_id='w')])
    assert lines == ['v: features of 12 of 32 frames reused (38%)']
    head.train()
    assert len(lines) == 1  # nothing of w was reused


def test_reuse_is_logged_where_a_video_ends(monkeypatch):
    lines = []
    monkeypatch.setattr('lavida_mm.models.mask_heads.feature_cache.print_log', lambda text, **_: lines.append(text))
    head, video = _head(), _video(4)
    with torch.no_grad():
        for frames in ([0, 1, 2], [1, 2, 3]):
            head.encode([video[frames]], [_sample(frames, num_frames=4)])
    assert lines == ['v: features of 2 of 6 frames reused (33%)']


def test_without_samples_every_frame_is_encoded(calls, caplog):
    head, video = _head(), _video(2)
    with torch.no_grad(), caplog.at_level(logging.INFO):
        for _ in range(2):
            assert head.encode([video]).lengths == (2,)
    assert len(calls) == 4 and len(head.cache) == 0


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match='feature_cache must be at least 0 frames, got -1'):
        FeatureCache(-1)


@pytest.mark.parametrize('training', [False, True])
def test_too_little_gpu_memory_names_three_settings(monkeypatch, training):
    head = _head().train(training)

    def exhaust(clips):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20 GiB')

    monkeypatch.setattr(head.segmenter, 'encode', exhaust)
    with pytest.raises(torch.OutOfMemoryError) as caught, torch.no_grad():
        head.encode([_video(1)], [_sample([0])])
    for word in ('batch_size', 'image_size (now 32)', 'feature_cache (now 16 frames)', 'window', '20 GiB'):
        assert word in str(caught.value)


def test_frames_are_selected_and_joined():
    features = FrameFeatures(torch.arange(6.0).view(6, 1, 1, 1), (torch.arange(6).view(6, 1),), (2, 4))
    assert len(features) == 6 and features.device.type == 'cpu'
    some = features.select([4, 0])
    assert some.lengths == (1, 1) and some.deep.flatten().tolist() == [4, 0] and some.fine[0].tolist() == [[4], [0]]
    joined = FrameFeatures.join([some, features.select([5])], (1, 2))
    assert joined.lengths == (1, 2) and joined.deep.flatten().tolist() == [4, 0, 5]
    assert FrameFeatures(torch.zeros(3, 1, 1, 1)).lengths == (3,)
