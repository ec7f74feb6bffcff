import numpy as np
import torch

from lavida_mm.datasets.transforms import PackVADInputs
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
