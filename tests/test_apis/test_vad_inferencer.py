"""VADInferencer over a detector whose answers are known: every frame once, in order, in bounded memory."""

import gc
import json
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from safetensors.torch import save_file

from lavida_mm.apis import VADInferencer, choose_device, open_any_video
from lavida_mm.registry import DATASETS
from lavida_mm.utils import DataError, UsageError
from tests import fake_detector  # noqa: F401 - registers RednessDetector
from tests.videos import red_square_frames, write_video

NUM_FRAMES = 11
PRESENT = range(3, 8)
SQUARE = np.pad(np.ones((16, 16), bool), 8)


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
    return write_video(path, red_square_frames(NUM_FRAMES, present=PRESENT))


@pytest.fixture
def inferencer():
    return VADInferencer(Config(dict(model=dict(type='RednessDetector'))), device='cpu')


def expected_scores(stride):
    """A frame takes the score of the last frame at or before it that the model saw."""
    return [0.25 if frame // stride * stride in PRESENT else 0.0 for frame in range(NUM_FRAMES)]


@pytest.mark.parametrize('window', [1, 2, 4, 11, 16])
@pytest.mark.parametrize('stride', [1, 2, 3, 5, 20])
def test_every_frame_comes_once_with_its_own_prediction(inferencer, clip, window, stride):
    results = list(inferencer.stream(clip, ['square'], window=window, stride=stride))
    assert np.concatenate([r.frame_inds for r in results]).tolist() == list(range(NUM_FRAMES))
    assert max(len(r.frame_inds) for r in results) <= window
    scores = np.concatenate([r.frame_scores for r in results])
    np.testing.assert_allclose(scores, expected_scores(stride), atol=1e-6)
    with open_any_video(clip) as video:
        np.testing.assert_array_equal(np.concatenate([r.frames for r in results]), video.read(range(NUM_FRAMES)))
    for result in results:
        assert result.masks.dtype == np.float16 and result.masks.shape == result.frames.shape[:3]
        for score, mask in zip(result.frame_scores, result.masks, strict=True):
            np.testing.assert_array_equal(mask > 0.5, SQUARE if score else np.zeros_like(SQUARE))


def test_call_returns_the_scores_of_the_stream(inferencer, clip):
    scores = inferencer(clip, ['square'], window=4)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected_scores(1), atol=1e-6)


def test_what_the_model_is_told(inferencer, clip):
    inferencer(clip, [' red  square ', 'dog'], window=4, stride=2)
    first, last = inferencer.model.seen
    assert first['shape'] == last['shape'] == (4, 3, 32, 32)
    assert first['frame_inds'].tolist() == [0, 2, 4, 6]
    assert last['frame_inds'].tolist() == [8, 10, 10, 10], 'the last window repeats its last frame'
    assert (first['num_valid'], last['num_valid']) == (4, 2)
    told = {key: last[key] for key in ('categories', 'num_frames', 'frame_interval', 'fps', 'ori_shape', 'template')}
    assert told == dict(
        categories=['red square', 'dog'], num_frames=11, frame_interval=2, fps=10.0, ori_shape=(32, 32), template=0
    )


def test_window_and_stride_come_from_the_config(clip):
    tested = dict(window=3, frame_interval=2)
    config = Config(dict(model=dict(type='RednessDetector'), test_dataloader=dict(dataset=tested)))
    inferencer = VADInferencer(config, device='cpu')
    inferencer(clip, ['square'])
    assert inferencer.model.seen[0]['frame_inds'].tolist() == [0, 2, 4]


def test_a_folder_of_images_is_a_video(inferencer, tmp_path):
    from PIL import Image

    for number, frame in enumerate(red_square_frames(5, present=[2])):
        Image.fromarray(frame).save(tmp_path / f'{number}.png')
    np.testing.assert_allclose(inferencer(tmp_path, ['square']), [0, 0, 0.25, 0, 0], atol=1e-6)


def test_config_file_and_weights(tmp_path, clip):
    config = tmp_path / 'config.py'
    config.write_text("model = dict(type='RednessDetector')\n")
    save_file({'gain': torch.tensor(2.0)}, tmp_path / 'weights.safetensors')
    torch.save(dict(state_dict={'module.gain': torch.tensor(2.0)}, meta={}), tmp_path / 'weights.pth')
    for name in ('weights.safetensors', 'weights.pth'):
        inferencer = VADInferencer(config, tmp_path / name, device='cpu')
        assert not inferencer.model.training
        np.testing.assert_allclose(inferencer(clip, ['square']), 2 * np.array(expected_scores(1)), atol=1e-6)


def test_broken_weights_are_found_out(inferencer, clip):
    torch.nn.init.constant_(inferencer.model.gain, float('nan'))
    with pytest.raises(DataError, match=r'clip.mp4: scores must be finite, frames from 0 on are not'):
        inferencer(clip, ['square'])


class _Evil:
    def __reduce__(self):
        return print, ('this must never run',)


def test_checkpoints_that_do_not_belong(tmp_path, capsys):
    config = Config(dict(model=dict(type='RednessDetector')))
    save_file({'other.weight': torch.ones(2)}, tmp_path / 'foreign.safetensors')
    save_file({'gain': torch.ones(2)}, tmp_path / 'shape.safetensors')
    (tmp_path / 'cut.safetensors').write_bytes((tmp_path / 'shape.safetensors').read_bytes()[:20])
    (tmp_path / 'evil.pth').write_bytes(pickle.dumps(_Evil()))
    torch.save(dict(state_dict={}, extra=_Evil()), tmp_path / 'evil_zip.pth')
    tensors = ['foreign.safetensors', 'shape.safetensors', 'cut.safetensors']
    for name in ['missing.pth', *tensors, 'evil.pth', 'evil_zip.pth']:
        with pytest.raises(DataError, match=name):
            VADInferencer(config, tmp_path / name, device='cpu')
    assert 'must never run' not in capsys.readouterr().out


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, 'config file not found'),
        ('model = dict(', 'not a config'),
        ("_base_ = './missing.py'\n", 'not a config'),
        ('data = 1\n', 'model must be set'),
        ("model = dict(type='RednessDetector', dealy=1)\n", 'dealy'),
        ("model = dict(type='RednesDetector')\n", 'RednesDetector'),
    ],
)
@pytest.mark.filterwarnings('ignore::ResourceWarning', 'ignore::pytest.PytestUnraisableExceptionWarning')
def test_configs_that_are_none(tmp_path, text, message):
    path = tmp_path / 'config.py'
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        VADInferencer(path, device='cpu')
    assert str(path) in str(caught.value)
    del caught
    gc.collect()  # mmengine leaves the copy of a broken config open: it warns here, where that is allowed for


def test_settings_are_checked_before_the_video_is_opened(inferencer):
    with pytest.raises(ValueError, match='at least one word'):
        inferencer.stream('missing.mp4', [])
    for name, value in (('window', 0), ('stride', -1), ('window', 2.5), ('stride', True)):
        with pytest.raises(ValueError, match=f'{name} must be a whole number of at least 1, got {value}'):
            inferencer.stream('missing.mp4', ['square'], **{name: value})


def test_missing_video(inferencer):
    with pytest.raises(DataError, match=r'missing\.mp4'):
        inferencer('missing.mp4', ['square'])


def test_devices():
    assert choose_device('cpu') == torch.device('cpu')
    assert choose_device().type == ('cuda' if torch.cuda.is_available() else 'cpu')
    for name in ('tpu', 'cpu:0', 'cuda:x', ''):
        with pytest.raises(UsageError, match=f"device must be 'cpu', 'cuda' or 'cuda:<number>', got '{name}'"):
            choose_device(name)
    with pytest.raises(UsageError, match="device must be there, got 'cuda:99'"):
        choose_device('cuda:99')


@pytest.mark.parametrize('stride', [1, 3])
def test_scores_equal_those_of_the_test_data_set(inferencer, clip, stride):
    """Reading a video here and through tools/test.py's data set is the same, to the last bit."""
    record = dict(
        video_id='clip', path=clip.name, num_frames=NUM_FRAMES, fps=10.0, height=32, width=32, categories=['square'],
        anomalies=[],
    )  # fmt: skip
    (clip.parent / 'manifest.json').write_text(json.dumps(dict(version=1, name='one', videos=[record])))
    dataset = DATASETS.build(
        dict(
            type='VideoAnomalyDataset',
            benchmark=dict(type='ManifestBenchmark', root=str(clip.parent), ann_file='manifest.json'),
            window=4,
            frame_interval=stride,
            pipeline=[dict(type='PackVADInputs')],
        )
    )
    offline = np.full(NUM_FRAMES, np.nan, np.float32)
    for item in dataset:
        (sample,) = inferencer.model.test_step(pseudo_collate([item]))
        for row in range(sample.num_valid):
            first = sample.frame_inds[row]
            offline[first : first + stride] = sample.pred_frame_scores[row].item()
    online = inferencer(clip, ['square'], window=4, stride=stride)
    np.testing.assert_array_equal(online, offline)
    assert online.max() > 0
