"""A detector small enough to train in a blink, on videos of noise, through the real tools."""

import os
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.fileio import register_backend
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset

from lavida_mm.engine import AtomicLocalBackend
from lavida_mm.registry import DATASETS, MODELS
from lavida_mm.structures import VADDataSample, VideoRecord

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SIZE = 8
WINDOW = 3


class ToyMasks:
    """Masks of one video of the toy."""

    def __init__(self, video):
        self.video = video

    def fingerprint(self):
        return str(self.video)

    def read(self, frame_inds, height, width):
        masks = np.zeros((5 + self.video, height, width), dtype=bool)
        masks[2:4, 1:4, 2:6] = True
        return masks[list(frame_inds)]


@DATASETS.register_module()
class ToyWindows(Dataset):
    """Windows of videos whose anomalous frames hold a bright square; lengths 5, 6, 7, ... frames."""

    def __init__(self, *, num_videos: int = 4, training: bool = False):
        self.windows = [(v, s) for v in range(num_videos) for s in range(0, 5 + v, WINDOW)]
        records = [
            VideoRecord(
                f'v{v}', num_frames=5 + v, intervals=[(2, 4)], interval_categories=['square'], masks=ToyMasks(v)
            )
            for v in range(num_videos)
        ]
        if training:
            return  # a runner would put its records into every checkpoint
        self.metainfo = {'records': records, 'benchmark': 'toy', 'evaluation_options': {'window': WINDOW}}

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, index):
        video, start = self.windows[index]
        length = 5 + video
        rng = np.random.default_rng(video)
        frames = rng.integers(0, 120, (length, 3, SIZE, SIZE), dtype=np.uint8)
        masks = ToyMasks(video).read(range(length), SIZE, SIZE)
        frames[:, :][np.broadcast_to(masks[:, None], frames.shape)] += 100
        inds = np.minimum(np.arange(start, start + WINDOW), length - 1)
        sample = VADDataSample()
        sample.set_metainfo({
            'video_id': f'v{video}', 'frame_inds': inds, 'num_frames': length, 'frame_interval': 1,
            'num_valid': min(WINDOW, length - start),
        })  # fmt: skip
        sample.gt_masks = torch.from_numpy(masks[inds])
        sample.gt_frame_labels = sample.gt_masks.flatten(1).any(1).long()
        return {'inputs': torch.from_numpy(frames[inds]), 'data_samples': sample}


@MODELS.register_module()
class ToyDetector(BaseModel):
    """One convolution; ``ballast`` makes its checkpoints larger."""

    def __init__(self, *, channels: int = 1, ballast: int = 0):
        super().__init__()
        if channels < 1:
            raise ValueError(f'channels must be at least 1, got {channels}')
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.unused = nn.Linear(2, 2)  # gets no gradient
        self.register_buffer('ballast', torch.zeros(ballast))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        logits = [self.conv(clip.float() / 255 - 0.5).mean(1) for clip in inputs]
        if mode == 'loss':
            truth = [sample.gt_masks.float() for sample in data_samples]
            return {'loss_mask': nn.functional.binary_cross_entropy_with_logits(torch.cat(logits), torch.cat(truth))}
        if mode == 'predict':
            for sample, logit in zip(data_samples, logits):
                sample.pred_masks = logit.sigmoid()
                sample.pred_frame_scores = logit.sigmoid().flatten(1).amax(1)
            return data_samples
        return logits


@MODELS.register_module()
class OtherDetector(BaseModel):
    """Shares no weight with ToyDetector."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        raise NotImplementedError


class SlowBackend(AtomicLocalBackend):
    """Writes in steps and says how far it is, so that a test can kill it there."""

    def put(self, obj, filepath):
        from lavida_mm.utils.atomic import atomic_path

        progress = Path(os.environ['TOY_PROGRESS'])
        with atomic_path(filepath) as temporary, open(temporary, 'wb') as file:
            file.write(obj[: len(obj) // 2])
            file.flush()
            progress.write_text(f'half {Path(filepath).name}')
            time.sleep(float(os.environ.get('TOY_PAUSE', '0')))
            file.write(obj[len(obj) // 2 :])
        progress.write_text(f'whole {Path(filepath).name}')
        time.sleep(float(os.environ.get('TOY_PAUSE', '0')))


register_backend('toy_slow', SlowBackend)

CONFIG = """
_base_ = {base!r}
custom_imports = dict(imports=['tests.test_engine.toy'])
model = dict(type='ToyDetector')
train_dataloader = dict(
    batch_size=2, num_workers=0, collate_fn=dict(type='pseudo_collate'), dataset=dict(type='ToyWindows', training=True),
    sampler=dict(type='InfiniteSampler', shuffle=True))
test_dataloader = dict(
    batch_size=2, num_workers=0, collate_fn=dict(type='pseudo_collate'), dataset=dict(type='ToyWindows'),
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False))
val_dataloader = test_dataloader
test_evaluator = dict(type='VADMetric')
val_evaluator = test_evaluator
train_cfg = dict(type='IterBasedTrainLoop', max_iters=6, val_interval=1000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-2))
param_scheduler = [dict(type='LinearLR', start_factor=0.5, by_epoch=False, begin=0, end=4)]
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
randomness = dict(seed=3)
"""


def write_config(folder: Path, extra: str = '') -> Path:
    """A config of the toy on the project's own runtime."""
    path = folder / 'toy.py'
    path.write_text(CONFIG.format(base=str(CONFIGS / '_base_' / 'default_runtime.py')) + extra)
    return path
