"""The metric of video anomaly detection in mmengine's form: a shell over ``Scoreboard``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, broadcast_object_list, get_dist_info, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from lavida_mm.evaluation.evaluation import Evaluation
from lavida_mm.evaluation.functional.regions import detections_from_mask
from lavida_mm.evaluation.pixel_statistics import round_probabilities
from lavida_mm.evaluation.predictions import MASK_THRESHOLD, list_predictions, read_prediction
from lavida_mm.evaluation.protocols import Protocol, benchmark_options, dataset_options, get_protocol
from lavida_mm.evaluation.scoreboard import Scoreboard
from lavida_mm.evaluation.window_merger import WindowMerger
from lavida_mm.evaluation.windows import ScoredWindow, read_window
from lavida_mm.registry import METRICS
from lavida_mm.utils.errors import DataError, UsageError

__all__ = ['VADMetric', 'check_options']


@METRICS.register_module()
class VADMetric(BaseMetric):
    """Frame, pixel, region and alarm figures of a benchmark under a protocol, with their coverage.

    The ground truth of frames comes from ``dataset_meta['records']``, that of pixels from ``gt_masks`` of the samples.
    Scores are kept by video and frame, pixels as counts, so memory does not grow with the resolution. What the
    processes hold is joined in a way that does not depend on their number or order: one process and N processes give
    the same figures to the last bit.

    Keys: see ``docs/protocols.md``; a figure that is undefined is not among them, but in ``evaluation.undefined`` with
    its reason, and in the log.

    Args:
        protocol: name of a protocol, or fields of one's own, see ``get_protocol``.
        pixel: whether to compute pixel figures, at the resolution that the protocol says. They need masks: on a
            benchmark without them that is an error.
        regions: whether to compute RBDC and TBDC, which need boxes of the anomalies.
        events: options of ``find_events``, for figures of alarms; None computes none.
        allow_partial: accept videos of which frames were not scored; their coverage is reported. Otherwise that is an
            error.
        predictions: folder of prediction files that hold the scores, written by ``DumpPredictions``, which must stand
            before this metric; samples are not looked at then.
        prefix: prefix of the keys.
        num_bins: bins of the pixel histogram.
        collect_device: kept for mmengine's evaluator; records travel as objects.

    Attributes:
        evaluation: the last result, with its videos on the first process only.

    Raises:
        UsageError: there is no such protocol. Once the data set is known: its options are at odds with the protocol, or
            it has no masks or boxes for the figures that are asked for.
    """

    default_prefix = 'vad'

    def __init__(
        self,
        *,
        protocol: str | Mapping[str, Any] = 'default',
        pixel: bool = True,
        regions: bool = False,
        events: Mapping[str, Any] | None = None,
        allow_partial: bool = False,
        predictions: str | None = None,
        prefix: str | None = None,
        num_bins: int = 65536,
        collect_device: str = 'cpu',
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.protocol: Protocol = get_protocol(protocol)
        self.pixel, self.regions, self.allow_partial, self.num_bins = pixel, regions, allow_partial, num_bins
        self.events = None if events is None else dict(events)
        self.predictions = None if predictions is None else Path(predictions)
        self.evaluation: Evaluation | None = None
        self._board: Scoreboard | None = None
        self._merger = WindowMerger()

    @property
    def dataset_meta(self) -> dict | None:
        """What the data set says of itself."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self._dataset_meta = dataset_meta
        if 'records' in dataset_meta:
            self._board = self._make_board()  # so that what cannot work fails before a model has run

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Take over the scores of a batch, and count its pixels.

        Args:
            data_batch: not used.
            data_samples: predictions with their ground truth, as VADDataSample or as the dict of all its items.

        Raises:
            DataError: a prediction or its ground truth is missing, or a score is not in [0, 1].
        """
        if self.predictions is not None:
            return
        if self._board is None:
            self._board = self._make_board()
        for sample in data_samples:
            self._add(self._board, self._merger.add(read_window(sample)))

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather from all processes and compute.

        Args:
            size: length of the data set; not used, since scores are told apart by video and frame.

        Returns:
            the figures, on every process.
        """
        board, trouble = self._board, None
        if board is None:
            board = self._make_board()
        try:
            self._merger.finish()
            if self.predictions is not None:
                self._read_predictions(board)
        except (DataError, UsageError) as error:
            trouble = error
        gathered = all_gather_object((trouble, board.state()))
        counts = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in board.counts().items()}
        for name in sorted(counts):
            all_reduce(counts[name], op='sum')
        outcome: list[Any] = [None]
        if is_main_process():
            try:  # every process must end, not only this one
                for found, _ in gathered:
                    if found is not None:
                        raise found
                summed = {name: tensor.numpy() for name, tensor in counts.items()}
                self.evaluation = self.compute_evaluation([state for _, state in gathered], summed)
                outcome = [self.evaluation]
            except (DataError, UsageError) as error:
                outcome = [error]
            videos = [] if self.evaluation is None else self.evaluation.videos
            if isinstance(outcome[0], Evaluation):
                outcome[0].videos = []  # they stay here
        broadcast_object_list(outcome)
        self.results.clear()
        self._board = None if self.dataset_meta is None else self._make_board()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        self.evaluation = outcome[0]
        if is_main_process():
            self.evaluation.videos = videos
            _log(self.evaluation)
        return {f'{self.prefix}/{name}': value for name, value in self.evaluation.figures.items()}

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Not used: ``evaluate`` joins the boards of all processes itself."""
        raise NotImplementedError

    def compute_evaluation(
        self, states: Sequence[Mapping[str, Any]], counts: Mapping[str, np.ndarray] | None = None
    ) -> Evaluation:
        """The evaluation of what several boards hold together.

        Args:
            states: ``Scoreboard.state`` of each.
            counts: the sum of their ``Scoreboard.counts``.

        Raises:
            DataError: nothing was scored, frames are missing, or boards disagree.
        """
        board = self._make_board()
        for state in states:
            board.merge(state)
        if counts is not None:
            board.load_counts(counts)
        return board.evaluate()

    def _make_board(self) -> Scoreboard:
        meta = dict(self.dataset_meta or {})
        if 'records' not in meta:
            raise DataError("VADMetric needs dataset_meta['records'], the videos with their ground truth, but got none")
        options = dict(meta.get('evaluation_options', {}))
        benchmark = meta.get('benchmark', '')
        check_options(self.protocol, benchmark, options)
        return Scoreboard(
            meta['records'],
            protocol=self.protocol,
            benchmark=benchmark,
            pixel=self.pixel,
            regions=self.regions,
            allow_partial=self.allow_partial,
            num_bins=self.num_bins,
            events=self.events,
            options=options,
        )

    def _add(self, board: Scoreboard, window: ScoredWindow) -> None:
        video_id, inds = window.video_id, window.frame_inds.tolist()
        board.add_window(
            video_id,
            inds,
            window.scores,
            window.frame_interval,
            num_frames=window.num_frames,
            fps=window.fps,
            top_words=window.top_words,
            prompt_words=window.categories,
        )
        if not self.pixel and not self.regions:
            return
        if window.masks is None:
            raise DataError(
                f'video {video_id}: {"pixel" if self.pixel else "regions"}=True needs pred_masks, but the model gave '
                'none'
            )
        if window.truth is not None and window.truth.shape != window.masks.shape:
            raise DataError(
                f'video {video_id}: pred_masks and gt_masks must be of one shape, '
                f'got {window.masks.shape} and {window.truth.shape}'
            )
        for place, index in enumerate(inds):
            if self.pixel:
                truth = None if window.truth is None else window.truth[place]
                board.add_pixels(video_id, index, window.masks[place], truth)
            if self.regions:
                try:
                    probabilities = round_probabilities(window.masks[place]).astype(np.float32)
                except ValueError as error:
                    raise DataError(f'video {video_id}: frame {index}: {error}') from error
                board.add_detections(video_id, detections_from_mask(probabilities, index, MASK_THRESHOLD), [index])

    def _read_predictions(self, board: Scoreboard) -> None:
        """Add this process's share of the prediction files."""
        assert self.predictions is not None
        rank, world_size = get_dist_info()
        for path in list_predictions(self.predictions)[rank::world_size]:
            board.add_prediction(read_prediction(path))


def check_options(protocol: Protocol, benchmark: str, options: Mapping[str, Any]) -> None:
    """Check that scores were made as a protocol fixes it.

    Args:
        protocol: the protocol.
        benchmark: name of the benchmark.
        options: how the scores are made, by the names of ``VideoAnomalyDataset`` and of the benchmark's reader; what is
            not in it is not known and not checked.

    Raises:
        UsageError: an option has another value than the protocol fixes.
    """
    fixed = {**benchmark_options(protocol, benchmark), **dataset_options(protocol, benchmark)}
    for name, wanted in fixed.items():
        if name not in options:
            continue
        found = options[name]
        if name == 'stride' and found is None:
            found = options.get('window')
        if isinstance(wanted, list) and not isinstance(found, str):
            found = list(found)
        if found != wanted:
            raise UsageError(
                f'protocol {protocol.name} fixes {name}={wanted!r} on benchmark {benchmark}, but the test set has '
                f'{name}={found!r}: tools/test.py --protocol {protocol.name} sets it, or choose another protocol'
            )


def _log(evaluation: Evaluation) -> None:
    lines = [
        f'{evaluation.coverage}; protocol {evaluation.protocol.name} {evaluation.protocol.version}, '
        f'benchmark {evaluation.benchmark or "unnamed"}',
        *(f'note: {note}' for note in evaluation.notes),
        *(f'undefined: {name}: {reason}' for name, reason in evaluation.undefined.items()),
    ]
    print_log('\n'.join(lines), logger='current')
