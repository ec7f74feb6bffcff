import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from lavida_mm.datasets.transforms import PackVADInputs
from lavida_mm.datasets.transforms.pack_vad_inputs import split_channels
from lavida_mm.structures import VADDataSample


def test_packs_what_is_there():
    frames = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    out = PackVADInputs()(dict(frames=frames, video_id='v', categories=['a'], gt_frame_labels=np.array([0, 1])))
    assert out['inputs'].dtype == torch.uint8 and out['inputs'].is_contiguous()
    assert np.array_equal(out['inputs'].numpy(), frames.transpose(0, 3, 1, 2))
    sample = out['data_samples']
    assert isinstance(sample, VADDataSample)
    assert sample.metainfo == dict(video_id='v', categories=['a'], img_shape=(3, 4))
    assert sample.gt_frame_labels.tolist() == [0, 1]
    assert 'gt_masks' not in sample


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 70), st.integers(0, 4))
def test_channels_come_first(num_frames, height, width, layout):
    frames = np.random.default_rng(height * width).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)
    views = (
        frames,
        frames[:, ::-1],
        frames[:, :, ::-1],
        frames[..., ::-1],
        np.repeat(frames, 2, axis=2)[:, :, ::2],
    )
    planes = split_channels(views[layout])
    assert planes.flags.c_contiguous and np.array_equal(planes, views[layout].transpose(0, 3, 1, 2))


def test_window_meta_of_the_metric():
    results = dict(frames=np.zeros((2, 3, 4, 3), np.uint8), first_scored=1, num_valid=2, frame_interval=4, template=2)
    sample = PackVADInputs()(dict(results))['data_samples']
    assert (sample.first_scored, sample.num_valid, sample.frame_interval, sample.template) == (1, 2, 4, 2)
