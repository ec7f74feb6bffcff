"""The metric of video anomaly detection: frame and pixel curves, with coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from lavida_mm.evaluation.functional.frame_curves import average_precision, frame_auc
from lavida_mm.evaluation.functional.pixel_histogram import PixelHistogram
from lavida_mm.registry import METRICS
from lavida_mm.utils.errors import DataError

__all__ = ['VADMetric', 'VideoCurve', 'join_windows']

SAME_SCORE = 1e-4  # a window that was scored twice: batches of other sizes may change the last digits


@dataclass
class VideoCurve:
    """What is known of one video.

    Attributes:
        scores: anomaly score of each frame, NaN where the frame was not scored, float64 (num_frames,).
        labels: 1 where the frame is anomalous, int64 (num_frames,); only meaningful where scored.
    """

    scores: np.ndarray
    labels: np.ndarray

    @property
    def scored(self) -> np.ndarray:
        """Which frames were scored, bool (num_frames,)."""
        return ~np.isnan(self.scores)


def join_windows(records: Sequence[Mapping[str, Any]]) -> dict[str, VideoCurve]:
    """Put the windows of every video together, in any order of the windows.

    The score of a sampled frame holds for the ``frame_interval`` frames that begin with it. A frame that was scored
    twice alike counts once.

    Args:
        records: per window ``video_id``, ``num_frames``, ``frame_interval``, ``frame_inds`` (T,), ``scores`` (T,),
            ``labels`` (T,) and, where frames are skipped, ``video_labels`` (num_frames,).

    Returns:
        the curve of each video, video ids sorted.

    Raises:
        DataError: windows of one video disagree, or a frame lies outside its video.
    """
    curves: dict[str, VideoCurve] = {}
    for record in sorted(records, key=lambda item: (item['video_id'], int(item['frame_inds'][0]))):
        video_id, num_frames = record['video_id'], record['num_frames']
        curve = curves.get(video_id)
        if curve is None:
            curve = VideoCurve(np.full(num_frames, np.nan), np.zeros(num_frames, dtype=np.int64))
            curves[video_id] = curve
        if curve.scores.size != num_frames:
            raise DataError(
                f'video {video_id}: num_frames must be one number, got {curve.scores.size} and {num_frames}'
            )
        _write_window(curve, record)
    return curves


def _write_window(curve: VideoCurve, record: Mapping[str, Any]) -> None:
    video_id, num_frames, interval = record['video_id'], record['num_frames'], record['frame_interval']
    for index, score, label in zip(record['frame_inds'], record['scores'], record['labels'], strict=True):
        if not 0 <= index < num_frames:
            raise DataError(f'video {video_id}: frame_inds must be in [0, {num_frames}), got {index}')
        span = slice(int(index), min(int(index) + interval, num_frames))
        labels = label if interval == 1 else record['video_labels'][span]
        known = curve.scored[span]
        if known.any():
            before = curve.scores[span][known]
            if np.abs(before - score).max() > SAME_SCORE:
                raise DataError(
                    f'video {video_id}: frame {index} has two scores, {before[0]:g} and {score:g}; '
                    'every frame must be scored once'
                )
            curve.scores[span] = np.fmin(curve.scores[span], score)  # the same figure whichever came first
        else:
            curve.scores[span] = score
        curve.labels[span] = labels


@METRICS.register_module()
class VADMetric(BaseMetric):
    """Frame AUC and AP over all frames pooled, pixel AUC and AP over all pixels pooled, and the coverage.

    Windows are kept as small records, pixels as one histogram per process, so memory does not grow with the
    resolution. Records are gathered and histograms summed over the processes; every step is independent of their
    order and number, so one process and N processes give the same figures to the last digit.

    Keys: ``frame_auc``, ``frame_ap``, ``pixel_auc``, ``pixel_ap``, ``pixel_auc_error_bound`` (the last three only with
    ``pixel``), ``coverage_videos`` and ``coverage_frames`` (scored / known), ``num_videos``, ``num_frames`` (scored).

    Args:
        pixel: whether to compute pixel figures, at the resolution of the masks. They need ground truth masks of every
            anomalous window: a benchmark without masks has no pixel figure.
        allow_partial: accept videos of which frames were not scored; their coverage is reported. Otherwise that is an
            error.
        prefix: prefix of the keys.
        num_bins: bins of the pixel histogram.
        collect_device: kept for mmengine's evaluator; records travel as objects.
    """

    default_prefix = 'vad'

    def __init__(
        self,
        *,
        pixel: bool = True,
        allow_partial: bool = False,
        prefix: str | None = None,
        num_bins: int = 65536,
        collect_device: str = 'cpu',
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.pixel = pixel
        self.allow_partial = allow_partial
        self.histogram = PixelHistogram(num_bins)
        self._seen: set[tuple[str, int]] = set()  # frames whose pixels this process has counted

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Keep one record per window, and count its pixels.

        Args:
            data_batch: not used.
            data_samples: predictions with their ground truth, as VADDataSample or as the dict of all its items.

        Raises:
            DataError: a prediction or its ground truth is missing, or a score is not in [0, 1].
        """
        for sample in data_samples:
            items = sample if isinstance(sample, Mapping) else dict(sample.all_items())
            record = _make_record(items)
            if self.pixel:
                self._count_pixels(items, record)
            self.results.append(record)

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather from all processes and compute.

        Args:
            size: length of the data set; not used, since records are told apart by video and frame.

        Returns:
            the figures, on every process.
        """
        gathered = all_gather_object(self.results)
        state = torch.from_numpy(self.histogram.state())
        all_reduce(state, op='sum')
        outcome: list[Any] = [None]
        if is_main_process():
            self.histogram.load_state(state.numpy())
            try:
                metrics = self.compute_metrics([record for part in gathered for record in part])
                outcome = [{f'{self.prefix}/{key}': value for key, value in metrics.items()}]
            except DataError as error:  # every process must end, not only this one
                outcome = [str(error)]
        broadcast_object_list(outcome)
        self.results.clear()
        self.histogram = PixelHistogram(self.histogram.num_bins)
        self._seen.clear()
        if isinstance(outcome[0], str):
            raise DataError(outcome[0])
        return outcome[0]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Figures from the records of all processes and the summed histogram.

        Args:
            results: records as ``process`` keeps them.

        Raises:
            DataError: nothing was scored, frames are missing, or the ground truth has one class only.
        """
        if not results:
            raise DataError('nothing was scored: the test set gave no window')
        curves = join_windows(results)
        lengths = {video_id: curve.scores.size for video_id, curve in curves.items()}
        lengths.update(dict((self.dataset_meta or {}).get('video_lengths', {})))
        self._check_coverage(curves, lengths)
        scores = np.concatenate([curve.scores[curve.scored] for curve in curves.values()])
        labels = np.concatenate([curve.labels[curve.scored] for curve in curves.values()])
        if labels.min() == labels.max():
            kind = 'anomalous' if labels[0] else 'normal'
            raise DataError(f'all {labels.size} scored frames are {kind}: an area under a curve needs both classes')
        metrics: dict[str, float] = {
            'frame_auc': frame_auc(scores, labels),
            'frame_ap': average_precision(scores, labels),
        }
        if self.pixel:
            metrics.update(self._compute_pixel_metrics(results))
        metrics.update(
            coverage_videos=len(curves) / len(lengths),
            coverage_frames=int(scores.size) / sum(lengths.values()),
            num_videos=len(curves),
            num_frames=int(scores.size),
        )
        print_log(
            f'scored {len(curves)} of {len(lengths)} videos, {scores.size} of {sum(lengths.values())} frames',
            logger='current',
        )
        return metrics

    def _count_pixels(self, items: Mapping[str, Any], record: dict[str, Any]) -> None:
        video_id, inds = record['video_id'], record['frame_inds']
        if items.get('pred_masks') is None:
            raise DataError(f'video {video_id}: pixel=True needs pred_masks, but the model gave none')
        valid = len(inds)
        predicted = _to_numpy(items['pred_masks'])[:valid]  # (T, H, W)
        if items.get('gt_masks') is None:
            if record['labels'].any():
                raise DataError(
                    f'video {video_id}: its anomalous frames have no gt_masks; a benchmark without masks has no '
                    'pixel figure: set pixel=False'
                )
            truth = np.zeros(predicted.shape, dtype=bool)
        else:
            truth = _to_numpy(items['gt_masks'])[:valid].astype(bool)
        if predicted.shape != truth.shape:
            raise DataError(
                f'video {video_id}: pred_masks and gt_masks must be of one shape, '
                f'got {predicted.shape} and {truth.shape}'
            )
        for index, scores, mask in zip(inds.tolist(), predicted, truth, strict=True):
            if (video_id, index) in self._seen:
                continue
            self._seen.add((video_id, index))
            record['pixel_inds'].append(index)
            try:
                self.histogram.update(scores, mask)
            except ValueError as error:
                raise DataError(f'video {video_id}: frame {index}: {error}') from error

    def _compute_pixel_metrics(self, results: list) -> dict[str, float]:
        counted = [(record['video_id'], index) for record in results for index in record['pixel_inds']]
        if len(counted) != len(set(counted)):
            raise DataError(
                f'{len(counted) - len(set(counted))} frames were scored by two processes, so their pixels count twice: '
                "use sampler=dict(type='VideoSampler') for the test set"
            )
        if not self.histogram.positives.any() or not self.histogram.negatives.any():
            kind = 'anomalous' if not self.histogram.positives.any() else 'normal'
            raise DataError(f'gt_masks: no scored pixel is {kind}; a pixel figure needs both classes')
        return {
            'pixel_auc': self.histogram.auc(),
            'pixel_ap': self.histogram.average_precision(),
            'pixel_auc_error_bound': self.histogram.error_bound(),
        }

    def _check_coverage(self, curves: Mapping[str, VideoCurve], lengths: Mapping[str, int]) -> None:
        for video_id, curve in curves.items():
            if curve.scores.size != lengths[video_id]:
                raise DataError(
                    f'video {video_id}: num_frames must be {lengths[video_id]} as in the data set, '
                    f'got {curve.scores.size}'
                )
        if self.allow_partial:
            return
        absent = sorted(set(lengths) - set(curves))
        if absent:
            raise DataError(f'{len(absent)} of {len(lengths)} videos were not scored, the first is {absent[0]}')
        for video_id, curve in curves.items():
            if not curve.scored.all():
                raise DataError(
                    f'video {video_id}: {int((~curve.scored).sum())} of {curve.scores.size} frames were not scored, '
                    f'the first is {int(np.flatnonzero(~curve.scored)[0])}; allow_partial=True accepts that'
                )


def _make_record(items: Mapping[str, Any]) -> dict[str, Any]:
    """The small part of a window that is kept."""
    video_id = items['video_id']
    inds = _to_numpy(items['frame_inds']).astype(np.int64)
    valid = int(items.get('num_valid', len(inds)))
    interval = int(items.get('frame_interval', 1))
    for field in ('pred_frame_scores', 'gt_frame_labels'):
        if items.get(field) is None:
            raise DataError(f'video {video_id}: {field} is missing, the metric needs it for every window')
    scores = _to_numpy(items['pred_frame_scores']).astype(np.float64)[:valid]
    labels = _to_numpy(items['gt_frame_labels']).astype(np.int64)[:valid]
    inds = inds[:valid]
    if valid < 1 or not len(inds) == len(scores) == len(labels) == valid:
        raise DataError(
            f'video {video_id}: frame_inds, pred_frame_scores and gt_frame_labels must hold num_valid = {valid} >= 1 '
            f'frames, got {len(inds)}, {len(scores)} and {len(labels)}'
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        bad = scores[~((scores >= 0) & (scores <= 1))][0]
        raise DataError(f'video {video_id}: pred_frame_scores must be in [0, 1], got {bad}')
    record: dict[str, Any] = {
        'video_id': video_id,
        'num_frames': int(items['num_frames']),
        'frame_interval': interval,
        'frame_inds': inds,
        'scores': scores,
        'labels': labels,
        'pixel_inds': [],  # frames whose pixels the histogram of this process holds
    }
    if interval > 1:
        if items.get('video_labels') is None:
            raise DataError(
                f'video {video_id}: frame_interval = {interval} needs video_labels, the labels of the frames in between'
            )
        record['video_labels'] = _to_numpy(items['video_labels']).astype(np.int64)
    return record


def _to_numpy(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()
    return np.asarray(value)
