"""Writes what a model says of each video to a file of its own, so that a run can be continued and scored again."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import barrier, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from lavida_mm.evaluation.pixel_statistics import PixelStatistics
from lavida_mm.evaluation.predictions import (
    FOLDER_FILE,
    MASK_KINDS,
    PredictionWriter,
    is_prediction_folder,
    list_predictions,
    prediction_path,
    read_folder_meta,
    read_prediction,
    start_folder,
)
from lavida_mm.evaluation.protocols import count_whole
from lavida_mm.evaluation.scoreboard import Scoreboard
from lavida_mm.evaluation.window_merger import WindowMerger
from lavida_mm.evaluation.windows import ScoredWindow, read_window
from lavida_mm.registry import METRICS
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.atomic import remove_stale
from lavida_mm.utils.errors import DataError, UsageError

__all__ = ['DumpPredictions', 'check_same', 'find_finished']

LABELS = ('config', 'checkpoint')  # names for people; what they mean is compared by other fields


@METRICS.register_module()
class DumpPredictions(BaseMetric):
    """Writes one prediction file per video and computes nothing.

    Windows of a video must come in order and in one process, as ``VideoSampler`` gives them. A file appears when its
    video is complete; a run that is killed leaves a temporary file, which the next one removes. Runs of the same
    predictions give the same bytes.

    Args:
        out_dir: folder of the files.
        masks: ``'none'``, ``'float16'`` (probabilities) or ``'rle'`` (yes or no).
        mask_stride: masks of every that many-th frame that was looked at are kept.
        pixel: whether to keep counts of pixels, which pixel figures need where masks are not kept.
        protocol: which pixels are counted, and how; see ``get_protocol``.
        num_bins: bins of the pooled histogram of pixels.
        run: what else must be the same in all predictions of the folder: checkpoint, config, versions.
        overwrite: empty a folder that holds predictions; otherwise it is continued.
        prefix: not used; mmengine hands it to every metric.
        collect_device: not used either.

    Raises:
        ValueError: an argument is out of range.
    """

    default_prefix = 'dump'

    def __init__(
        self,
        *,
        out_dir: str,
        masks: str = 'none',
        mask_stride: int = 1,
        pixel: bool = False,
        protocol: str | Mapping[str, Any] = 'default',
        num_bins: int = 65536,
        run: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        prefix: str | None = None,
        collect_device: str = 'cpu',
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        if masks not in MASK_KINDS:
            raise ValueError(f'masks must be one of {", ".join(MASK_KINDS)}, got {masks!r}')
        if not isinstance(mask_stride, int) or mask_stride < 1:
            raise ValueError(f'mask_stride must be a whole number of at least 1, got {mask_stride!r}')
        self.out_dir = Path(out_dir)
        self.masks, self.mask_stride, self.pixel = masks, mask_stride, pixel
        self.protocol, self.num_bins = protocol, num_bins
        self.run = dict(run or {})
        self.overwrite = overwrite
        self._board: Scoreboard | None = None
        self._writer: PredictionWriter | None = None
        self._done: set[str] = set()
        self._merger = WindowMerger()

    def open(self) -> None:
        """Begin or continue the folder; ``process`` does it where it was not done.

        Raises:
            UsageError: the folder holds predictions of another run, or other files.
            DataError: one of its files is damaged.
        """
        if self._board is not None:
            return
        meta = dict(self.dataset_meta or {})
        self._board = Scoreboard(
            meta.get('records', ()),
            protocol=self.protocol,
            benchmark=meta.get('benchmark', ''),
            pixel=self.pixel,
            num_bins=self.num_bins,
        )
        shared = self._describe(meta)
        continued = is_prediction_folder(self.out_dir) and not self.overwrite
        if continued:
            check_same(self.out_dir, read_folder_meta(self.out_dir).get('shared', {}), shared)
            self._done = find_finished(self.out_dir)
        elif not self.overwrite and list_predictions(self.out_dir):
            raise UsageError(
                f'{self.out_dir}: holds .npz files but no {FOLDER_FILE}: give another folder, or --dump-overwrite '
                'to empty this one'
            )
        barrier()  # all have looked before one writes
        if is_main_process():
            remove_stale(self.out_dir)
            if not continued:
                start_folder(self.out_dir, shared)
        barrier()
        if self._done:
            print_log(
                f'{self.out_dir}: continued, {len(self._done)} of {len(self._board.records)} videos are done',
                logger='current',
            )

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Write the windows of a batch.

        Args:
            data_batch: not used.
            data_samples: predictions, as VADDataSample or as the dict of all its items.

        Raises:
            DataError: a prediction is missing or malformed, or windows are out of order.
        """
        self.open()
        for sample in data_samples:
            self._add(self._merger.add(read_window(sample)))

    def evaluate(self, size: int) -> dict[str, float]:
        """Finish the last file and wait for the other processes.

        Args:
            size: length of the data set; not used.

        Returns:
            no figures.
        """
        self.open()
        self._merger = WindowMerger()  # what waits for a window that did not come is missing in the file
        self._finish()
        barrier()
        self.results.clear()
        return {}

    def compute_metrics(self, results: list) -> dict[str, float]:
        """No figures."""
        return {}

    def _add(self, window: ScoredWindow) -> None:
        assert self._board is not None
        if self._writer is not None and self._writer.video_id != window.video_id:
            self._finish()
        if self._writer is None:
            if window.video_id in self._done:
                raise DataError(
                    f'video {window.video_id}: was complete before this window came; prediction files need whole '
                    "videos, one after another: use sampler=dict(type='VideoSampler') for the test set"
                )
            self._writer = PredictionWriter(
                prediction_path(self.out_dir, window.video_id),
                video_id=window.video_id,
                num_frames=window.num_frames,
                frame_interval=window.frame_interval,
                masks=self.masks,
                mask_stride=self.mask_stride,
                pixels=self._make_pixels(window.video_id),
                meta={
                    'categories': window.categories,
                    'template': window.template,
                    'fps': window.fps,
                    'masks_fingerprint': self._board.fingerprint_masks(window.video_id),
                },
            )
        truth, counted = None, None
        if self._writer.pixels is not None and window.masks is not None:
            truth = window.truth
            if truth is None and self._board.records[window.video_id].masks is None:
                truth = np.zeros(window.masks.shape, dtype=bool)
            counted = [self._board.allows(window.video_id, frame) for frame in window.frame_inds.tolist()]
        if self._writer.pixels is not None and truth is None:
            field = 'pred_masks' if window.masks is None else 'gt_masks'
            raise DataError(f'video {window.video_id}: pixel=True needs {field}, but the window has none')
        self._writer.add(window.frame_inds, window.scores, window.masks, truth, counted, window.top_words)
        if self._writer.num_covered == window.num_frames:
            self._finish()

    def _make_pixels(self, video_id: str) -> PixelStatistics | None:
        assert self._board is not None
        record = self._board.records.get(video_id)
        if record is None or not self._board.counts_pixels(record):
            return None
        return PixelStatistics(num_bins=self.num_bins, size=self._board.protocol.pixel_size)

    def _finish(self) -> None:
        """Complete the file that is being written."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        missing = np.flatnonzero(np.isnan(writer.scores))
        if missing.size and not self._may_drop(writer, int(missing[0])):
            writer.abort()
            raise DataError(
                f'video {writer.video_id}: {missing.size} of {writer.scores.size} frames had no score when its windows '
                f'ended, the first is {missing[0]}; prediction files need whole videos, one after another: use '
                "sampler=dict(type='VideoSampler') for the test set"
            )
        writer.finish()
        self._done.add(writer.video_id)

    def _may_drop(self, writer: PredictionWriter, first: int) -> bool:
        """Whether frames from ``first`` on have no score because the data set drops what fills no window."""
        options = dict((self.dataset_meta or {}).get('evaluation_options', {}))
        if options.get('tail') != 'drop':
            return False
        window = options['window']
        span, step = (frames * options['frame_interval'] for frames in (window, options.get('stride') or window))
        return first >= count_whole(writer.scores.size, span, step) and bool(np.isnan(writer.scores[first:]).all())

    def _describe(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        assert self._board is not None
        return {
            **self.run,
            'benchmark': meta.get('benchmark', ''),
            'videos_and_words_sha256': _hash_videos(meta.get('records', ())),
            **{name: _plain(value) for name, value in dict(meta.get('evaluation_options', {})).items()},
            'masks': self.masks,
            'mask_stride': self.mask_stride,
            'pixel_counts': self._board.pixels.options() if self.pixel else None,
            'pixel_protocol': f'{self._board.protocol.name} {self._board.protocol.version}' if self.pixel else None,
        }


def _hash_videos(records: Iterable[VideoRecord]) -> str:
    """Hash of what a model is shown and told: the videos and the words of their prompts."""
    described = [
        (record.video_id, record.num_frames, record.categories, record.absent_categories) for record in records
    ]
    return hashlib.sha256(repr(sorted(described)).encode()).hexdigest()


def find_finished(folder: str | Path) -> set[str]:
    """Names of the videos that a folder of predictions holds; empty where there is no such folder.

    Raises:
        DataError: a file is damaged, so that its video cannot be trusted to be complete.
    """
    if not is_prediction_folder(folder):
        return set()
    return {read_prediction(path).video_id for path in list_predictions(folder)}


def check_same(folder: str | Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Check that two runs write the same predictions.

    Args:
        folder: where the first one wrote.
        stored: what it said of itself.
        wanted: what the second one says.

    Raises:
        UsageError: they differ; names the first field, and both values.
    """
    for name in sorted({*stored, *wanted} - set(LABELS), key=lambda name: (name.endswith('_sha256'), name)):
        if stored.get(name) != wanted.get(name):
            labels = [
                f'{side[label]}, ' if (label := name.removesuffix('_sha256')) in LABELS and label in side else ''
                for side in (stored, wanted)
            ]
            raise UsageError(
                f'{folder}: holds predictions of another run: {name} is {labels[0]}{stored.get(name)} there and '
                f'{labels[1]}{wanted.get(name)} now; give another folder, or --dump-overwrite to empty this one'
            )


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
