"""Turns video records into windows of frames: the one dataset for testing on any benchmark."""

import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from logging import WARNING
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from lavida_mm.datasets.sources.base_source import build_pipeline
from lavida_mm.datasets.video_reader import BACKENDS, DEFAULT_BACKEND, VideoReader, open_video
from lavida_mm.registry import DATASETS
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import check_words, word_key

__all__ = ['VideoAnomalyDataset', 'count_windows', 'find_scored', 'shuffle_prompts', 'tile_windows']

PROMPT_WORDS = ('own', 'absent', 'shuffled')
TAILS = ('pad', 'drop')
OVERLAPS = ('first', 'mean')


def count_windows(
    num_frames: int, window: int, frame_interval: int, stride: int | None = None, tail: str = 'pad'
) -> int:
    """Number of windows that ``tile_windows`` makes of a video.

    Args:
        num_frames, window, frame_interval, stride, tail: as for ``tile_windows``.
    """
    stride = window if stride is None else stride
    if tail == 'pad':
        beyond = max(-(-num_frames // frame_interval) - window, 0)  # sampled frames that the first window lacks
        return 1 + -(-beyond // stride)
    beyond = num_frames - window * frame_interval
    return 0 if beyond < 0 else 1 + beyond // (stride * frame_interval)


def tile_windows(
    num_frames: int, window: int, frame_interval: int, stride: int | None = None, tail: str = 'pad'
) -> np.ndarray:
    """Frame numbers of the windows that sample every ``frame_interval``-th frame of a video.

    Windows begin ``stride`` sampled frames apart, and there are as many as it takes to hold each sampled frame.

    Args:
        num_frames: length of the video, at least 1.
        window: T, frames of a window.
        frame_interval: step between two sampled frames.
        stride: sampled frames between the starts of two windows, in 1..window; None: window.
        tail: ``'pad'``, the last window is filled by repeating its last frame; ``'drop'``, a window is left out unless
            its whole span of ``window * frame_interval`` frames lies in the video.

    Returns:
        int64 (number of windows, T).

    Examples:
        >>> tile_windows(5, 2, 1).tolist()
        [[0, 1], [2, 3], [4, 4]]
        >>> tile_windows(5, 2, 2).tolist()
        [[0, 2], [4, 4]]
        >>> tile_windows(7, 4, 1, stride=2).tolist()
        [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 6]]
        >>> tile_windows(7, 4, 1, stride=2, tail='drop').tolist()
        [[0, 1, 2, 3], [2, 3, 4, 5]]
    """
    stride = window if stride is None else stride
    number = count_windows(num_frames, window, frame_interval, stride, tail)
    places = np.arange(number, dtype=np.int64)[:, None]
    return _find_frames(places, num_frames, window, frame_interval, stride)


def _find_frames(place: np.ndarray | int, num_frames: int, window: int, frame_interval: int, stride: int) -> np.ndarray:
    """Frame numbers of the windows with the numbers ``place``, int64 (..., T)."""
    sampled = place * stride + np.arange(window, dtype=np.int64)
    return np.minimum(sampled, (num_frames - 1) // frame_interval) * frame_interval


def find_scored(frame_inds: np.ndarray, place: int, stride: int) -> tuple[int, int]:
    """Which frames of a window are scored by it: those that no earlier window of its video holds.

    Args:
        frame_inds: frames of the window as ``tile_windows`` gives them, (T,).
        place: number of the window in its video, counted from 0.
        stride: sampled frames between the starts of two windows.

    Returns:
        first_scored and num_valid: the positions [first_scored, num_valid) are scored; those before are context, those
        from num_valid on repeat the last frame.

    Examples:
        >>> [find_scored(inds, place, 2) for place, inds in enumerate(tile_windows(7, 4, 1, stride=2))]
        [(0, 4), (2, 4), (2, 3)]
    """
    num_valid = int(np.searchsorted(frame_inds, frame_inds[-1])) + 1
    return (len(frame_inds) - stride if place else 0), num_valid


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


@dataclass
class OpenVideo:
    """The one video that is open.

    Attributes:
        number: its place among the records.
        reader: reads its frames.
        labels: 1 where a frame is anomalous, int64 (num_frames,); None where nothing is known.
        process: the process that opened it.
    """

    number: int
    reader: VideoReader
    labels: np.ndarray | None
    process: int = field(default_factory=os.getpid)


INHERITED: list[OpenVideo] = []  # videos that another process opened; see VideoAnomalyDataset.close


class WindowList(Sequence):
    """Video and place of every window, worked out when asked for: millions of windows take no memory.

    Args:
        num_windows: number of windows of each video.
    """

    def __init__(self, num_windows: Sequence[int]):
        self.ends = list(accumulate(num_windows))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, index: Any) -> Any:
        """``dict(video=number of the video, place=number of the window in it)``; a list of them for a slice."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        video = bisect_right(self.ends, number)
        return dict(video=video, place=number - (self.ends[video - 1] if video else 0))


@DATASETS.register_module()
class VideoAnomalyDataset(BaseDataset):
    """One item is one window of one video; the windows tile each video.

    A window carries ``frames`` (T, H, W, 3), ``frame_inds`` (T,), the words of its prompt, and the ground truth that
    its benchmark has: ``gt_frame_labels`` (T,), ``gt_masks`` (T, H, W), ``gt_category_labels`` (n,). Its scores count
    for the positions [``first_scored``, ``num_valid``): the frames before are context, which an earlier window has
    scored, and those behind repeat the last frame. With ``overlap='mean'`` no frame is context; from ``num_settled`` on
    later windows speak of the frames too, and the evaluation waits for these. With ``tail='pad'`` every frame has one
    score in the end.

    Each video is opened once and read forward, where windows are asked for in their order, and one video is open at a
    time. The frames that the next window needs again, ``window - stride`` of them, are kept and neither decoded nor
    converted twice; so at most two windows of frames are in memory.

    ``metainfo`` (never copied, so that large ground truth is not) holds: ``records``, the videos with their
    ``num_frames``; ``benchmark``, its name; ``video_lengths``, video -> number of frames; and ``evaluation_options``,
    what a protocol fixes: window, frame_interval, stride, tail, template, prompt_words and the benchmark's options; and
    overlap.

    Args:
        benchmark: config of a benchmark reader: an object with ``name``, ``records`` and, where it has any,
            ``options``.
        window: T.
        frame_interval: step between sampled frames; the score of one holds for the frames up to the next.
        stride: sampled frames between the starts of two windows, in 1..window; None: window, so that none overlap.
        overlap: which windows score a frame that several hold: ``'first'``, the first one; ``'mean'``, all of them, and
            scores, masks and scores of words are means.
        tail: what happens to frames that fill no window: ``'pad'`` repeats the last one, ``'drop'`` leaves them out.
        prompt_words: ``'own'``, each video's words; ``'absent'``, its words known to be absent; ``'shuffled'``, the
            words of another video; or a list, the same words for all.
        template: number of the prompt template.
        skip_videos: ids of videos that get no window, since their scores are at hand; they stay in ``metainfo``.
        reader: options of ``open_video``: ``backend``.
        pipeline: transforms, from frames to packing.
        test_mode: stands here since runners write it; a window is never replaced by another.
        lazy_init: leave the counting of frames for ``full_init``.

    Raises:
        ValueError: an argument is out of range, or the benchmark names no words and none are given.
        DataError: a video is not at hand, or it or its ground truth breaks a rule.
    """

    def __init__(
        self,
        *,
        benchmark: dict | Any,
        window: int = 8,
        frame_interval: int = 1,
        stride: int | None = None,
        overlap: str = 'first',
        tail: str = 'pad',
        prompt_words: str | Sequence[str] = 'own',
        template: int = 0,
        skip_videos: Sequence[str] = (),
        reader: dict | None = None,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = True,
        lazy_init: bool = False,
    ):
        _check_whole('window', window, 1)
        _check_whole('frame_interval', frame_interval, 1)
        _check_whole('template', template, 0)
        if stride is not None and (not _is_whole(stride) or not 1 <= stride <= window):
            raise ValueError(f'stride must be a whole number in 1..{window} (window), got {stride!r}')
        if tail not in TAILS:
            raise ValueError(f'tail must be one of {TAILS}, got {tail!r}')
        if overlap not in OVERLAPS:
            raise ValueError(f'overlap must be one of {OVERLAPS}, got {overlap!r}')
        if isinstance(prompt_words, str) and prompt_words not in PROMPT_WORDS:
            raise ValueError(f'prompt_words must be a list of words or one of {PROMPT_WORDS}, got {prompt_words!r}')
        if isinstance(skip_videos, str):
            raise ValueError(f'skip_videos must be a list of video ids, got {skip_videos!r}')
        self.backend = _read_backend(reader)
        self.window = window
        self.frame_interval = frame_interval
        self.stride = window if stride is None else stride
        self.overlap = overlap
        self.tail = tail
        self.template = template
        self.prompt_words = prompt_words if isinstance(prompt_words, str) else check_words(prompt_words, 'prompt_words')
        self.skip_videos = frozenset(skip_videos)
        self.benchmark = DATASETS.build(benchmark) if isinstance(benchmark, dict) else benchmark
        self.num_windows: list[int] = []
        self.window_starts: list[int] = []
        self._open: OpenVideo | None = None
        super().__init__(
            data_prefix={},
            serialize_data=False,
            pipeline=build_pipeline(pipeline),
            test_mode=True,
            lazy_init=lazy_init,
        )

    @property
    def metainfo(self) -> dict:
        """What is known of the whole benchmark, see the class; a shallow copy."""
        return dict(self._metainfo)

    def load_data_list(self) -> 'WindowList':
        """Count frames and windows of every video."""
        self.records: list[VideoRecord] = self.benchmark.records
        unknown = self.skip_videos - {record.video_id for record in self.records}
        if unknown:
            raise ValueError(
                f'skip_videos must name videos of benchmark {self.benchmark.name}, got {min(unknown)!r}, '
                f'one of {len(unknown)} that are none'
            )
        self.prompts = self._choose_prompts()
        for record in self.records:
            if record.path is None:
                raise DataError(
                    f'{record.origin or self.benchmark.name}: video {record.video_id!r} must be at hand to be read, '
                    'its file was not found'
                )
            if record.num_frames is None:
                with open_video(record.path, self.backend) as reader:
                    _complete_record(record, reader)
        self.num_windows = [self._count_windows(record) for record in self.records]
        self.window_starts = list(accumulate(self.num_windows, initial=0))[:-1]
        self._metainfo.update(
            records=self.records,
            benchmark=self.benchmark.name,
            video_lengths={record.video_id: record.num_frames for record in self.records},
            evaluation_options=dict(
                window=self.window,
                frame_interval=self.frame_interval,
                stride=self.stride,
                overlap=self.overlap,
                tail=self.tail,
                template=self.template,
                prompt_words=self.prompt_words,
            )
            | getattr(self.benchmark, 'options', {}),
        )
        return WindowList(self.num_windows)

    def _count_windows(self, record: VideoRecord) -> int:
        if record.video_id in self.skip_videos:
            return 0
        assert record.num_frames is not None
        return count_windows(record.num_frames, self.window, self.frame_interval, self.stride, self.tail)

    def _choose_prompts(self) -> list[list[str]]:
        if not isinstance(self.prompt_words, str):
            return [self.prompt_words for _ in self.records]
        own = [record.categories for record in self.records]
        if self.prompt_words != 'absent' and [] in own:
            raise ValueError(
                f'prompt_words must be a list of words, got {self.prompt_words!r}: '
                f'benchmark {self.benchmark.name} names none for video {self.records[own.index([])].video_id!r}'
            )
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
        record, categories = self.records[info['video']], self.prompts[info['video']]
        video = self._open_video(info['video'])
        inds = _find_frames(info['place'], video.reader.num_frames, self.window, self.frame_interval, self.stride)
        first_scored, num_valid = find_scored(inds, info['place'], self.stride)
        num_settled = num_valid
        if self.overlap == 'mean':
            is_last = info['place'] == self.num_windows[info['video']] - 1
            first_scored, num_settled = 0, num_valid if is_last else min(self.stride, num_valid)
        results = dict(
            sample_idx=idx % len(self),
            frames=video.reader.read(inds),
            frame_inds=inds,
            first_scored=first_scored,
            num_valid=num_valid,
            num_settled=num_settled,
            frame_interval=self.frame_interval,
            video_id=record.video_id,
            num_frames=record.num_frames,
            fps=record.fps,
            ori_shape=(video.reader.height, video.reader.width),
            categories=list(categories),
            source=self.benchmark.name,
            template=self.template,
        )
        if video.labels is not None:
            results['gt_frame_labels'] = video.labels[inds]
            results['gt_category_labels'] = record.category_labels(categories, inds)
            masks = record.pixel_masks(inds, *results['ori_shape'])
            if masks is not None:
                results['gt_masks'] = masks
        return results

    def _open_video(self, number: int) -> OpenVideo:
        if self._open is None or self._open.number != number or self._open.process != os.getpid():
            self.close()
            record = self.records[number]
            assert record.path is not None
            reader = open_video(record.path, self.backend, num_kept=self.window - self.stride)
            try:
                _complete_record(record, reader)
            except DataError:
                reader.close()
                raise
            labels = record.frame_labels(reader.num_frames) if record.has_ground_truth else None
            self._open = OpenVideo(number, reader, labels)
        return self._open

    def close(self) -> None:
        """Close the video that is open, if one is."""
        if self._open is not None:
            if self._open.process == os.getpid():
                self._open.reader.close()
            else:  # this process was forked: the decoder's threads are not in it, and closing would wait for them
                INHERITED.append(self._open)
            self._open = None

    def __getstate__(self) -> dict:
        """What another process gets: an open video stays here."""
        return {**self.__dict__, '_open': None}


def _complete_record(record: VideoRecord, reader: VideoReader) -> None:
    """Compare what the benchmark says of a video with the file, and fill in what it does not say."""
    where = record.origin or str(record.path)
    counted = record.num_frames is None
    for name in ('num_frames', 'height', 'width'):
        said, found = getattr(record, name), getattr(reader, name)
        if said is not None and said != found:
            hint = '; check_benchmark.py --deep finds all such videos' if name == 'num_frames' else ''
            raise DataError(f'{where}: {name} must be what the file has, got {said}, {record.path} has {found}{hint}')
        setattr(record, name, found)
    if record.fps is None:
        record.fps = reader.fps
    if counted:
        _cut_intervals(record, reader.num_frames)


def _cut_intervals(record: VideoRecord, num_frames: int) -> None:
    """Cut what an annotation says beyond the last frame, with a warning."""
    last = max((end for _, end in record.intervals), default=0)
    if last <= num_frames:
        return
    print_log(
        f'{record.origin or record.path}: end must be at most {num_frames}, the frames of {record.path}, got {last}; '
        'it is cut',
        logger='current',
        level=WARNING,
    )
    kept = [place for place, (start, _) in enumerate(record.intervals) if start < num_frames]
    record.interval_categories = [record.interval_categories[place] for place in kept]
    record.intervals = [(record.intervals[place][0], min(record.intervals[place][1], num_frames)) for place in kept]


def _read_backend(reader: dict | None) -> str:
    options = dict(reader or {})
    backend = options.pop('backend', DEFAULT_BACKEND)
    if options:
        raise ValueError(f'reader must hold backend only, got {sorted(options)}')
    if backend not in BACKENDS:
        raise ValueError(f'reader.backend must be one of {sorted(BACKENDS)}, got {backend!r}')
    return backend


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_whole(name: str, value: Any, least: int) -> None:
    if not _is_whole(value) or value < least:
        raise ValueError(f'{name} must be a whole number of at least {least}, got {value!r}')
