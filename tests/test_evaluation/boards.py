"""Videos with random scores and truth, as records and as windows, for the tests of metrics and files."""

from dataclasses import dataclass

import numpy as np
import torch

from lavida_mm.structures import VADDataSample, VideoRecord

LENGTHS = {'a': 7, 'b': 4, 'c': 10}
WINDOW = 3
SIZE = (5, 6)


@dataclass
class ArrayMasks:
    """Masks of one video that lie in memory."""

    masks: np.ndarray

    def fingerprint(self):
        return str(hash(self.masks.tobytes()))

    def read(self, frame_inds, height, width):
        assert (height, width) == self.masks.shape[1:]
        return self.masks[list(frame_inds)]


@dataclass
class ArrayTracks:
    """Boxes of one video that lie in memory."""

    rows: np.ndarray

    def read(self):
        return self.rows


def make_videos(seed=0, lengths=LENGTHS):
    """Scores, labels, pixel scores and masks of each video; scores rounded, so that ties occur."""
    rng = np.random.default_rng(seed)
    videos = {}
    for name, length in lengths.items():
        masks = np.zeros((length, *SIZE), dtype=bool)
        if name != 'b':
            masks[2:5, 1:3, 2:4] = True
        pixels = np.clip(rng.random(masks.shape) * 0.8 + masks * 0.3, 0, 1).astype(np.float16)
        labels = masks.any((1, 2))
        scores = np.clip(np.round(rng.random(length) * 0.8 + labels * 0.4, 1), 0, 1).astype(np.float32)
        videos[name] = (scores, labels, pixels, masks)
    return videos


def make_records(videos, masks=True, tracks=True):
    """What a benchmark says of the videos."""
    records = []
    for name, (scores, labels, _, truth) in videos.items():
        inds = np.flatnonzero(labels)
        intervals = [(int(inds[0]), int(inds[-1]) + 1)] if inds.size else []
        rows = np.array([[0, frame, 2, 1, 3, 2] for frame in inds], dtype=np.float64).reshape(-1, 6)
        records.append(
            VideoRecord(
                video_id=name,
                num_frames=len(scores),
                fps=10.0,
                intervals=intervals,
                interval_categories=['thing'] * len(intervals),
                masks=ArrayMasks(truth) if masks else None,
                tracks=ArrayTracks(rows) if tracks else None,
            )
        )
    return records


def make_windows(videos, interval=1, masks=True, window=WINDOW):
    """Windows as the test set gives them, the last one filled up by repeating its last frame."""
    samples = []
    for name, (scores, labels, pixels, truth) in videos.items():
        sampled = np.arange(0, len(scores), interval)
        for begin in range(0, len(sampled), window):
            inds = sampled[begin : begin + window]
            valid = len(inds)
            inds = np.pad(inds, (0, window - valid), mode='edge')
            sample = VADDataSample()
            sample.set_metainfo({
                'video_id': name, 'frame_inds': inds, 'first_scored': 0, 'num_valid': valid,
                'num_frames': len(scores), 'frame_interval': interval, 'categories': ['thing'], 'template': 0,
            })  # fmt: skip
            sample.pred_frame_scores = torch.from_numpy(scores[inds])
            sample.gt_frame_labels = torch.from_numpy(labels[inds].astype(np.int64))
            sample.pred_masks = torch.from_numpy(pixels[inds])
            if masks:
                sample.gt_masks = torch.from_numpy(truth[inds])
            samples.append(sample)
    return samples


def make_meta(videos, benchmark='', options=None, **parts):
    """``dataset_meta`` of the videos."""
    return {
        'records': make_records(videos, **parts),
        'benchmark': benchmark,
        'evaluation_options': {'window': WINDOW, 'frame_interval': 1, 'tail': 'pad'} if options is None else options,
    }


def stack(videos, part):
    """One part of all videos, in order of their names."""
    return np.concatenate([videos[name][part].ravel() for name in sorted(videos)])
