"""A trained detector for one's own videos: a path and words in, a score and a mask per frame out."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from lavida_mm.apis.categories import check_categories
from lavida_mm.datasets.video_reader import VideoReader, open_video
from lavida_mm.engine import check_checkpoint
from lavida_mm.engine.launch import load_config
from lavida_mm.registry import MODELS, SCOPE
from lavida_mm.structures import VADDataSample
from lavida_mm.utils.errors import DataError, UsageError, config_errors

__all__ = ['VADInferencer', 'WindowResult', 'choose_device', 'open_any_video']

DEFAULT_WINDOW = 4  # where the config does not say


@dataclass(frozen=True)
class WindowResult:
    """Successive frames of a video with their predictions.

    Attributes:
        frame_inds: frame numbers in the video, counted from 0, int64 (T,).
        frames: the frames as read, RGB uint8 (T, H, W, 3).
        frame_scores: anomaly score of each frame, in [0, 1], float32 (T,).
        masks: anomaly probability of each pixel, in [0, 1], float16 (T, H, W).
    """

    frame_inds: np.ndarray
    frames: np.ndarray
    frame_scores: np.ndarray
    masks: np.ndarray


class VADInferencer:
    """Runs a trained detector over videos, reading forward, in bounded memory.

    Args:
        config: path of a config file, or the config itself.
        checkpoint: path of the weights; None keeps the weights that the model is built with.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:1'``; None takes a GPU where there is one.

    Raises:
        UsageError: if the config names no model or a wrong value, or the device is not there.
        DataError: if the checkpoint is missing, broken or of another model.
    """

    def __init__(
        self, config: str | Path | Config, checkpoint: str | Path | None = None, *, device: str | None = None
    ) -> None:
        self.device = choose_device(device)
        self.config = config if isinstance(config, Config) else load_config(config)
        name = self.config.filename or 'config'
        if 'model' not in self.config:
            raise UsageError(f'{name}: model must be set, it is missing')
        # BaseModel looks its preprocessor up in mmengine's default scope.
        with DefaultScope.overwrite_default_scope(SCOPE), config_errors(name):
            self.model = MODELS.build(self.config.model)
        if checkpoint is not None:
            _load_weights(self.model, checkpoint)
        self.model.to(self.device).eval()
        tested = self.config.get('test_dataloader', {}).get('dataset', {})
        self.window = tested.get('window', DEFAULT_WINDOW)
        self.stride = tested.get('frame_interval', 1)

    def __call__(
        self, path: str | Path, categories: Sequence[str], *, window: int | None = None, stride: int | None = None
    ) -> np.ndarray:
        """Score every frame of a video.

        Args:
            path, categories, window, stride: as for :meth:`stream`.

        Returns:
            One score per frame, in [0, 1], float32 (number of frames,).
        """
        results = self.stream(path, categories, window=window, stride=stride)
        return np.concatenate([result.frame_scores for result in results])

    def stream(
        self, path: str | Path, categories: Sequence[str], *, window: int | None = None, stride: int | None = None
    ) -> Iterator[WindowResult]:
        """Go through a video from its first frame to its last; every frame comes exactly once, in order.

        The model sees every ``stride``-th frame, ``window`` of them at a time; the last window is filled by
        repeating its last frame. Score and mask of a frame hold for those up to the next frame that is seen.
        At most two windows of frames are in memory, however long the video.

        Args:
            path: a video file or a folder of images.
            categories: the words to look for.
            window: number of frames the model sees at once; None takes the config's.
            stride: interval between two frames that the model sees; None takes the config's.

        Yields:
            Results of at most ``window`` frames.

        Raises:
            ValueError: if a word or a setting breaks its rule; at the call, before the video is opened.
            DataError: if the video cannot be read to its end.
        """
        categories = check_categories(categories)
        window = _at_least_one('window', self.window if window is None else window)
        stride = _at_least_one('stride', self.stride if stride is None else stride)
        return self._stream(path, categories, window, stride)

    def _stream(self, path: str | Path, categories: list[str], window: int, stride: int) -> Iterator[WindowResult]:
        with ExitStack() as stack:
            video = stack.enter_context(open_any_video(path))
            # Between two frames that the model sees lie others; one reader per pace lets both read forward only.
            follower = video if stride == 1 else stack.enter_context(open_any_video(path))
            for start in range(0, video.num_frames, window * stride):
                end = min(start + window * stride, video.num_frames)
                seen = range(start, end, stride)
                clip = video.read(seen)
                scores, masks = self._predict(clip, seen, categories, window, stride, video)
                for first in range(start, end, window):
                    inds = range(first, min(first + window, end))
                    rows = [(index - start) // stride for index in inds]
                    frames = clip if stride == 1 else follower.read(inds)
                    yield WindowResult(np.array(inds), frames, scores[rows], masks[rows])

    def _predict(
        self,
        frames: np.ndarray,
        frame_inds: range,
        categories: list[str],
        window: int,
        stride: int,
        video: VideoReader,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run the model on one window of at most ``window`` frames, (T, H, W, 3).

        Returns:
            Scores float32 (T,) and masks float16 (T, H, W).
        """
        num_valid = len(frames)
        rows = np.minimum(np.arange(window), num_valid - 1)
        size = frames.shape[1:3]
        metainfo = dict(
            video_id=str(video.path),
            frame_inds=np.array(frame_inds)[rows],
            num_valid=num_valid,
            num_frames=video.num_frames,
            frame_interval=stride,
            fps=video.fps,
            ori_shape=size,
            img_shape=size,
            categories=categories,
            source='user',
            template=0,
        )
        clip = torch.from_numpy(np.ascontiguousarray(frames[rows].transpose(0, 3, 1, 2)))  # (window, 3, H, W)
        with torch.inference_mode():
            (sample,) = self.model.test_step(dict(inputs=[clip], data_samples=[VADDataSample(metainfo=metainfo)]))
        scores = sample.pred_frame_scores[:num_valid].float().cpu().numpy()
        if not np.isfinite(scores).all():
            first = frame_inds[0]
            raise DataError(f'{video.path}: scores must be finite, frames from {first} on are not (broken weights?)')
        return scores, sample.pred_masks[:num_valid].half().cpu().numpy()


def open_any_video(path: str | Path) -> VideoReader:
    """Open a video with whichever backend can read it: PyAV, whose memory stays flat over hours, else decord.

    Raises:
        DataError: if no backend can read it.
    """
    try:
        return open_video(path, 'pyav')
    except DataError:
        return open_video(path, 'decord')


def choose_device(name: str | None = None) -> torch.device:
    """Turn the name of a device into a device that is there.

    Args:
        name: ``'cpu'``, ``'cuda'`` or ``'cuda:<number>'``; None takes a GPU where there is one.

    Raises:
        UsageError: if the name is unknown or the device is not there.
    """
    if name is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    kind, _, number = name.partition(':')
    if kind not in ('cpu', 'cuda') or (number and not (kind == 'cuda' and number.isdecimal())):
        raise UsageError(f"device must be 'cpu', 'cuda' or 'cuda:<number>', got {name!r}")
    if kind == 'cuda' and int(number or 0) >= torch.cuda.device_count():
        raise UsageError(f'device must be there, got {name!r} and this machine has {torch.cuda.device_count()} GPUs')
    return torch.device(name)


def _load_weights(model: nn.Module, path: str | Path) -> None:
    """Fill a model from a checkpoint of ours: safetensors, or what mmengine's runner writes."""
    check_checkpoint(model, path)
    content = CheckpointLoader.load_checkpoint(str(Path(path).expanduser()), map_location='cpu', logger='silent')
    weights = content.get('state_dict', content)
    # Not strict: frozen weights come from the model's own files; check_checkpoint saw to those that are trained.
    model.load_state_dict({name.removeprefix('module.'): value for name, value in weights.items()}, strict=False)


def _at_least_one(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f'{name} must be a whole number of at least 1, got {value!r}')
    return value
