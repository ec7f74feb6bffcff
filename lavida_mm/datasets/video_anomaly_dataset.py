"""Turns video records into windows of frames: the one dataset for testing on any benchmark."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from lavida_mm.datasets.benchmarks.video_record import VideoRecord
from lavida_mm.datasets.sources.base_source import build_pipeline
from lavida_mm.datasets.video_reader import BACKENDS, VideoReader, open_video
from lavida_mm.datasets.words import check_words, word_key
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError

__all__ = ['VideoAnomalyDataset', 'shuffle_prompts', 'tile_windows']

PROMPT_WORDS = ('own', 'absent', 'shuffled')


def tile_windows(num_frames: int, window: int, frame_interval: int) -> np.ndarray:
    """Frame numbers of the windows that sample every ``frame_interval``-th frame of a video once.

    The last window is filled by repeating its last frame.

    Args:
        num_frames: length of the video, at least 1.
        window: T, frames of a window.
        frame_interval: step between two sampled frames.

    Returns:
        int64 (number of windows, T).

    Examples:
        >>> tile_windows(5, 2, 1).tolist()
        [[0, 1], [2, 3], [4, 4]]
        >>> tile_windows(5, 2, 2).tolist()
        [[0, 2], [4, 4]]
    """
    sampled = np.arange(0, num_frames, frame_interval, dtype=np.int64)
    missing = -len(sampled) % window
    return np.concatenate([sampled, np.repeat(sampled[-1:], missing)]).reshape(-1, window)


def shuffle_prompts(prompts: Sequence[Sequence[str]]) -> list[int]:
    """For each video the video whose prompt it gets: never its own, and none with the same words where that can be.

    Videos are shifted in a circle by the smallest step that leaves the fewest videos with the words they had.

    Raises:
        ValueError: there is one video only, or all have the same words, so that nothing would change.
    """
    keys = [frozenset(map(word_key, words)) for words in prompts]
    number = len(keys)
    if len(set(keys)) < 2:
        raise ValueError(
            "prompt_words='shuffled' must have at least 2 videos with different words (categories), "
            f'got {number} with the same'
        )

    def count_equal(step: int) -> int:
        return sum(keys[place] == keys[(place + step) % number] for place in range(number))

    step = min(range(1, number), key=lambda step: (count_equal(step), step))
    return [(place + step) % number for place in range(number)]


@DATASETS.register_module()
class VideoAnomalyDataset(BaseDataset):
    """One item is one window of one video; the windows tile each video, so that every frame is scored once.

    A window carries ``frames`` (T, H, W, 3), ``frame_inds`` (T,) of which the first ``num_valid`` are real and the
    rest repeats the last one, the words of its prompt, and the ground truth that its benchmark has:
    ``gt_frame_labels`` (T,), ``gt_masks`` (T, H, W), ``gt_category_labels`` (n,). Where ``frame_interval`` is above 1
    and labels are known, ``video_labels`` (num_frames,) holds those of the frames in between.

    Frames are read forward and one video is open at a time. ``metainfo['video_lengths']`` maps each video to its number
    of frames: what a metric holds its coverage against.

    Args:
        benchmark: config of a benchmark reader: an object with ``name`` and ``records``.
        window: T.
        frame_interval: step between sampled frames; the score of one holds for the frames up to the next.
        prompt_words: ``'own'``, each video's words; ``'absent'``, its words known to be absent; ``'shuffled'``, the
            words of another video; or a list, the same words for all.
        reader: options of ``open_video``: ``backend``.
        pipeline: transforms, from frames to packing.
        test_mode: stands here since runners write it; a window is never replaced by another.
        lazy_init: leave the counting of frames for ``full_init``.

    Raises:
        ValueError: an argument is out of range.
        DataError: a video or its ground truth breaks a rule.
    """

    def __init__(
        self,
        *,
        benchmark: dict | Any,
        window: int = 8,
        frame_interval: int = 1,
        prompt_words: str | Sequence[str] = 'own',
        reader: dict | None = None,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = True,
        lazy_init: bool = False,
    ):
        for field, value in (('window', window), ('frame_interval', frame_interval)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f'{field} must be a whole number of at least 1, got {value!r}')
        if isinstance(prompt_words, str) and prompt_words not in PROMPT_WORDS:
            raise ValueError(f'prompt_words must be a list of words or one of {PROMPT_WORDS}, got {prompt_words!r}')
        self.backend = _read_backend(reader)
        self.window = window
        self.frame_interval = frame_interval
        self.prompt_words = prompt_words if isinstance(prompt_words, str) else check_words(prompt_words, 'prompt_words')
        self.benchmark = DATASETS.build(benchmark) if isinstance(benchmark, dict) else benchmark
        self.num_windows: list[int] = []
        self.window_starts: list[int] = []
        self._open: tuple[int, VideoReader] | None = None
        super().__init__(
            data_prefix={},
            serialize_data=False,
            pipeline=build_pipeline(pipeline),
            test_mode=True,
            lazy_init=lazy_init,
        )

    def load_data_list(self) -> list[dict]:
        """One record per window."""
        self.records: list[VideoRecord] = self.benchmark.records
        self.prompts = self._choose_prompts()
        windows: list[dict] = []
        for number, record in enumerate(self.records):
            if record.num_frames is None:
                with open_video(record.path, self.backend) as reader:
                    _check_against_file(record, reader)
            assert record.num_frames is not None
            tiles = tile_windows(record.num_frames, self.window, self.frame_interval)
            self.window_starts.append(len(windows))
            self.num_windows.append(len(tiles))
            windows += [dict(video=number, frame_inds=tile) for tile in tiles]
        self._metainfo['video_lengths'] = {record.video_id: record.num_frames for record in self.records}
        return windows

    def _choose_prompts(self) -> list[list[str]]:
        if not isinstance(self.prompt_words, str):
            return [self.prompt_words for _ in self.records]
        own = [record.categories for record in self.records]
        if self.prompt_words == 'own':
            return own
        if self.prompt_words == 'shuffled':
            return [own[place] for place in shuffle_prompts(own)]
        for record in self.records:
            if not record.absent_categories:
                raise DataError(
                    f"{record.origin or record.path}: absent_categories must hold words for prompt_words='absent', "
                    'got none'
                )
        return [record.absent_categories for record in self.records]

    def get_data_info(self, idx: int) -> dict:
        """One window, read from its video."""
        if not -len(self) <= idx < len(self):
            raise IndexError(f'window {idx} of {len(self)}')
        info = self.data_list[idx]
        number, inds = info['video'], info['frame_inds']
        record, categories = self.records[number], self.prompts[number]
        reader = self._open_video(number)
        num_valid = len(np.unique(inds))
        frames = reader.read(inds[:num_valid])
        results = dict(
            sample_idx=idx % len(self),
            frames=frames[np.minimum(np.arange(len(inds)), num_valid - 1)],
            frame_inds=inds.copy(),
            num_valid=num_valid,
            frame_interval=self.frame_interval,
            video_id=record.video_id,
            num_frames=record.num_frames,
            fps=record.fps,
            ori_shape=(reader.height, reader.width),
            categories=list(categories),
            source=self.benchmark.name,
            template=0,
        )
        if record.has_ground_truth:
            self._add_ground_truth(results, record, categories)
        return results

    def _add_ground_truth(self, results: dict, record: VideoRecord, categories: list[str]) -> None:
        inds = results['frame_inds']
        labels = record.frame_labels(results['num_frames'])
        results['gt_frame_labels'] = labels[inds]
        results['gt_category_labels'] = record.category_labels(categories, inds)
        masks = record.pixel_masks(inds, *results['ori_shape'])
        if masks is not None:
            results['gt_masks'] = masks
        if self.frame_interval > 1:
            results['video_labels'] = labels.astype(np.uint8)

    def _open_video(self, number: int) -> VideoReader:
        if self._open is None or self._open[0] != number:
            self.close()
            reader = open_video(self.records[number].path, self.backend)
            try:
                _check_against_file(self.records[number], reader)
            except DataError:
                reader.close()
                raise
            self._open = (number, reader)
        return self._open[1]

    def close(self) -> None:
        """Close the video that is open, if one is."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def __getstate__(self) -> dict:
        """What another process gets: an open video stays here."""
        return {**self.__dict__, '_open': None}


def _check_against_file(record: VideoRecord, reader: VideoReader) -> None:
    """Compare what the benchmark says of a video with the file, and fill in what it does not say."""
    where = record.origin or str(record.path)
    for field in ('num_frames', 'height', 'width'):
        said, found = getattr(record, field), getattr(reader, field)
        if said is not None and said != found:
            raise DataError(f'{where}: {field} must be what the file has, got {said}, {record.path} has {found}')
        setattr(record, field, found)
    if record.fps is None:
        record.fps = reader.fps
    last = max((end for _, end in record.intervals), default=0)
    if last > reader.num_frames:
        raise DataError(f'{where}: end must be at most {reader.num_frames}, the frames of {record.path}, got {last}')


def _read_backend(reader: dict | None) -> str:
    options = dict(reader or {})
    backend = options.pop('backend', 'decord')
    if options:
        raise ValueError(f'reader must hold backend only, got {sorted(options)}')
    if backend not in BACKENDS:
        raise ValueError(f'reader.backend must be one of {sorted(BACKENDS)}, got {backend!r}')
    return backend
