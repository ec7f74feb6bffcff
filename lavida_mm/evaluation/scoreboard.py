"""Scores of the videos of one benchmark, under one protocol, and the figures that they give."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lavida_mm.evaluation.category_figures import add_category_figures
from lavida_mm.evaluation.evaluation import Coverage, Evaluation, Figures, VideoEvaluation
from lavida_mm.evaluation.event_figures import add_event_figures, check_event_options
from lavida_mm.evaluation.frame_figures import add_frame_figures
from lavida_mm.evaluation.functional.frame_curves import frame_auc
from lavida_mm.evaluation.functional.smoothing import smooth
from lavida_mm.evaluation.pixel_statistics import PixelStatistics
from lavida_mm.evaluation.protocols import Protocol, get_protocol
from lavida_mm.evaluation.region_figures import add_region_figures
from lavida_mm.evaluation.video_curve import VideoCurve, write_scores, write_words
from lavida_mm.structures import VideoRecord
from lavida_mm.utils.errors import DataError, UsageError

if TYPE_CHECKING:
    from lavida_mm.evaluation.predictions import Prediction

__all__ = ['Scoreboard']

PIXEL_FIGURES = ('pixel_auc', 'pixel_ap', 'pixel_auc_error_bound', 'pixel_auc_per_frame', 'pixel_aupro')


class Scoreboard:
    """Collects the scores of videos in any order and evaluates them under a protocol.

    Scores come window by window (``add_window``), as whole curves (``add_curve``, ``set_curve``) or from prediction
    files (``add_prediction``). Pixels are counted as they come, so memory does not grow with the resolution. Boards of
    several processes are joined by ``state``, ``counts``, ``merge`` and ``load_counts``; no figure depends on the order
    or number of parts.

    Args:
        records: the videos of the benchmark.
        protocol: name, fields or object, see ``get_protocol``.
        benchmark: name of the benchmark.
        pixel: whether to compute pixel figures.
        regions: whether to compute RBDC and TBDC.
        allow_partial: accept videos and frames without a score; the coverage says how many. Otherwise an error.
        num_bins: bins of the pixel histogram.
        events: options of ``find_events`` (``on``, ``off``, ``min_length``, ``merge_gap``), and ``min_iou`` of
            ``event_scores``, for figures of alarms; None computes none.
        options: how the scores were made, where known; held against what the protocol fixes by ``check_options``.

    Raises:
        UsageError: pixel figures or regions of a benchmark that has none, an unknown protocol, bad options of events.
        DataError: two records have one name.
    """

    def __init__(
        self,
        records: Iterable[VideoRecord],
        *,
        protocol: str | Mapping[str, Any] | Protocol = 'default',
        benchmark: str = '',
        pixel: bool = False,
        regions: bool = False,
        allow_partial: bool = False,
        num_bins: int = 65536,
        events: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ):
        self.protocol = get_protocol(protocol)
        self.benchmark = benchmark
        self.pixel, self.regions, self.allow_partial = pixel, regions, allow_partial
        self.events = None if events is None else check_event_options(events)
        self.options = dict(options or {})
        self.protocol.interval_of(benchmark)  # may refuse the benchmark
        self.records: dict[str, VideoRecord] = {}
        self.left_out: set[str] = set()  # videos that the protocol does not count
        for record in records:
            if record.video_id in self.records or record.video_id in self.left_out:
                raise DataError(f'{record.origin or benchmark}: video {record.video_id} is listed twice')
            if self.protocol.subset == 'abnormal' and benchmark == 'ubnormal' and not record.intervals:
                self.left_out.add(record.video_id)
            else:
                self.records[record.video_id] = record
        self._check_ground_truth()
        self.pixels = PixelStatistics(num_bins=num_bins, size=self.protocol.pixel_size)
        self._curves: dict[str, VideoCurve] = {}
        self._without_pixels: dict[str, str] = {}  # video -> why its pixels are not known
        self._mask_stride = 1

    # What comes in

    def add_window(
        self,
        video_id: str,
        frame_inds: Sequence[int] | np.ndarray,
        scores: Sequence[float] | np.ndarray,
        frame_interval: int = 1,
        *,
        num_frames: int | None = None,
        fps: float | None = None,
        top_words: Sequence[str | None] | np.ndarray | None = None,
        prompt_words: Iterable[str] = (),
    ) -> None:
        """Add the scores of some frames of one video.

        Args:
            video_id: a video of the records.
            frame_inds: frame numbers, (T,).
            scores: rounded to float32, which is what prediction files hold, (T,).
            frame_interval: each score holds for that many frames, its own the first; they end with the video.
            num_frames: length of the video, where the records do not say it.
            fps: its frames per second, likewise.
            top_words: the word that scores highest in each frame, '' where it is not one, (T,); each holds as the score
                does. None: the model scores no words.
            prompt_words: words that were named to the model.

        Raises:
            DataError: the video is unknown, a frame lies outside of it, a score is no number, or a frame has another
                score already.
        """
        curve = self._find_curve(video_id, num_frames)
        if curve is None:
            return
        curve.fps = fps or curve.fps
        n = curve.scores.size
        values = np.asarray(scores, dtype=np.float32).astype(np.float64)
        if not np.isfinite(values).all():
            raise DataError(f'video {video_id}: scores must be finite, got {values[~np.isfinite(values)][0]}')
        inds = np.asarray(frame_inds, dtype=np.int64)
        if inds.shape != values.shape:
            raise DataError(
                f'video {video_id}: frame_inds and scores must be of one length, got {inds.shape} and {values.shape}'
            )
        outside = (inds < 0) | (inds >= n)
        if outside.any():
            raise DataError(f'video {video_id}: frame_inds must be in [0, {n}), got {inds[outside][0]}')
        # Where a window speaks of a frame twice, its frames are taken one by one, so that what it says is compared.
        together = bool((np.diff(np.sort(inds)) >= frame_interval).all())
        for part, part_values in [(inds, values)] if together else zip(inds[:, None], values[:, None], strict=True):
            held = (part[:, None] + np.arange(frame_interval)).ravel()
            inside = held < n
            written = curve.scores[held[inside]]
            write_scores(written, np.repeat(part_values, frame_interval)[inside], video_id, held[inside])
            curve.scores[held[inside]] = written
        curve.sampled[inds] = True
        if top_words is not None:
            self._add_words(curve, inds, np.asarray(top_words, dtype=object), frame_interval, prompt_words)

    def set_curve(self, video_id: str, scores: np.ndarray) -> None:
        """Set the scores of all frames of one video, as another system gives them.

        Args:
            video_id: a video of the records.
            scores: one per frame, NaN where a frame was not scored, (n,). Under the length rule ``i3d-16``, n is the
                number of frames that count; otherwise it must be that of the video, where that is known.

        Raises:
            DataError: the video is unknown or has scores already, the length is wrong or a score is infinite.
        """
        self._set_curve(video_id, scores, exact=self.protocol.length == 'i3d-16')

    def add_pixels(self, video_id: str, frame: int, probabilities: np.ndarray, truth: np.ndarray | None) -> None:
        """Count the pixels of one frame, once.

        Args:
            video_id: a video of the records.
            frame: frame number.
            probabilities: anomaly probability of each pixel, in [0, 1], (H, W).
            truth: anomalous pixels, bool (H, W); None where the benchmark has no masks for this video.

        Raises:
            DataError: shapes differ, a probability is outside [0, 1], or the masks of the video are missing.
        """
        record = self.records.get(video_id)
        if record is None or not self.counts_pixels(record) or not self.allows(video_id, frame):
            return
        if truth is None:
            if record.masks is not None:
                raise DataError(
                    f'video {video_id}: gt_masks are missing, though the benchmark has masks for it; '
                    'pixel figures need them: set pixel=False'
                )
            truth = np.zeros(probabilities.shape, dtype=bool)
        try:
            self.pixels.update(video_id, frame, probabilities, truth)
        except ValueError as error:
            raise DataError(f'video {video_id}: frame {frame}: {error}') from error

    def add_detections(self, video_id: str, rows: np.ndarray, frames: Sequence[int] | np.ndarray | None = None) -> None:
        """Add boxes that a model found.

        Args:
            video_id: a video of the records.
            rows: frame, x1, y1, x2, y2 in whole pixels, both ends included, and score, (D, 6).
            frames: the frames that were searched; None means the whole video.

        Raises:
            DataError: the video is unknown or a row lies outside of it.
        """
        curve = self._find_curve(video_id, None)
        if curve is None or not self.regions:
            return
        rows = np.asarray(rows, dtype=np.float64).reshape(-1, 6)
        n = curve.scores.size
        if not ((rows[:, 0] >= 0) & (rows[:, 0] < n)).all():
            raise DataError(f'video {video_id}: frames of detections must be in [0, {n})')
        known = curve.detected.copy()
        curve.detected[slice(None) if frames is None else np.asarray(frames, dtype=np.int64)] = True
        rows = rows[~known[rows[:, 0].astype(np.int64)]]
        if len(rows):
            curve.detections.append(rows)

    def add_prediction(self, prediction: 'Prediction') -> None:
        """Add everything that a prediction file holds.

        Pixels come from the file's own counts where they were made as this protocol wants them, else from its masks and
        the benchmark's; where neither can be, the pixel figures are undefined and say so.

        Raises:
            UsageError: the file's frames are sampled more coarsely than the protocol fixes.
            DataError: the video is unknown or the file is at odds with the benchmark.
        """
        video_id = prediction.video_id
        interval, wanted = prediction.frame_interval, self.protocol.interval_of(self.benchmark)
        if wanted is not None and wanted % interval:
            raise UsageError(
                f'video {video_id}: its scores were made with frame_interval = {interval}, of which that of protocol '
                f'{self.protocol.name}, {wanted}, must be a multiple'
            )
        curve = self._set_curve(video_id, prediction.scores, exact=False)
        if curve is None:
            return
        curve.fps = prediction.meta.get('fps')
        curve.sampled[:] = False
        curve.sampled[prediction.frame_inds] = True
        if prediction.top_words is not None:
            self._add_words(curve, prediction.frame_inds, prediction.top_words, interval, prediction.categories)
        if prediction.has_detections:
            self.add_detections(video_id, prediction.detections, frames=prediction.frame_inds)
        if self.pixel and self.counts_pixels(self.records[video_id]):
            self._add_stored_pixels(prediction)

    # Several processes

    def state(self) -> dict[str, Any]:
        """All but the counts of pixels, as one object that can be sent."""
        return {
            'curves': self._curves,
            'frames': self.pixels.frames,
            'frame_aucs': self.pixels.frame_aucs,
            'without_pixels': self._without_pixels,
            'mask_stride': self._mask_stride,
            'lengths': {name: record.num_frames for name, record in self.records.items()},
        }

    def merge(self, state: Mapping[str, Any]) -> None:
        """Take over the ``state`` of another board of the same benchmark; ``load_counts`` takes the sum of ``counts``.

        Raises:
            DataError: the boards disagree on a score, or counted the pixels of a frame twice.
        """
        for video_id, other in state['curves'].items():
            mine = self._curves.get(video_id)
            if mine is None:
                self._curves[video_id] = other
                continue
            if mine.scores.size != other.scores.size:
                raise DataError(
                    f'video {video_id}: num_frames must be one number, got {mine.scores.size} and {other.scores.size}'
                )
            if (mine.detected & other.detected).any():
                raise DataError(
                    f'video {video_id}: its frames were searched by two processes: '
                    "use sampler=dict(type='VideoSampler') for the test set"
                )
            write_scores(mine.scores, other.scores, video_id, np.arange(mine.scores.size))
            mine.sampled |= other.sampled
            mine.detected |= other.detected
            mine.detections += other.detections
            mine.exact |= other.exact
            mine.fps = mine.fps or other.fps
            mine.prompt_words |= other.prompt_words
            if mine.top_words is None:
                mine.top_words = other.top_words
            elif other.top_words is not None:
                write_words(mine.top_words, other.top_words)
        try:
            self.pixels.add_frames(state['frames'], state['frame_aucs'])
        except ValueError as error:
            raise DataError(str(error)) from error
        self._without_pixels.update(state['without_pixels'])
        self._mask_stride = max(self._mask_stride, state['mask_stride'])

    def counts(self) -> dict[str, np.ndarray]:
        """Counts of pixels, which add up over processes."""
        return self.pixels.counts()

    def load_counts(self, counts: Mapping[str, np.ndarray]) -> None:
        """Take over the (summed) ``counts``."""
        self.pixels.load_counts(counts)

    # What comes out

    def evaluate(self) -> Evaluation:
        """Compute all figures.

        Raises:
            DataError: nothing was scored, or frames are missing and ``allow_partial`` is not set.
        """
        figures = Figures()
        videos = [self._evaluate_video(video_id) for video_id in sorted(self.records)]
        coverage = self._check_coverage(videos, figures.notes)
        add_frame_figures(figures, videos, self.protocol)
        add_category_figures(figures, videos)
        if self.events is not None:
            add_event_figures(figures, videos, self.events)
        if self.pixel:
            self._add_pixel_figures(figures)
        if self.regions:
            add_region_figures(figures, videos, self._curves, self.protocol.interval_of(self.benchmark) or 1)
        cut = [video_id for video_id in sorted(self.records) if self._reaches_beyond(video_id)]
        if cut:
            figures.notes.append(
                f'{len(cut)} videos have an annotated interval that ends beyond the video, and it was cut there; the '
                f'first is {cut[0]}'
            )
        if coverage.anomalous_frames is not None:
            figures.values['num_anomalous_frames'] = coverage.anomalous_frames
        figures.values.update(
            coverage_videos=coverage.videos / coverage.videos_known,
            coverage_frames=coverage.frames / coverage.frames_known,
            num_videos=coverage.videos,
            num_frames=coverage.frames,
        )
        return Evaluation(
            figures=figures.values,
            undefined=figures.undefined,
            coverage=coverage,
            protocol=self.protocol,
            benchmark=self.benchmark,
            notes=figures.notes,
            options=self.options,
            videos=videos,
        )

    # Steps

    def _check_ground_truth(self) -> None:
        known = [record for record in self.records.values() if record.has_ground_truth]
        name = self.benchmark or 'this benchmark'
        if self.pixel and not any(record.masks is not None for record in known):
            raise UsageError(f'pixel=True needs masks, but benchmark {name} has none: set pixel=False')
        if self.regions and not any(record.tracks is not None for record in known):
            raise UsageError(
                f'regions=True needs boxes of the anomalies, but benchmark {name} has none: set regions=False'
            )

    def _find_curve(self, video_id: str, num_frames: int | None) -> VideoCurve | None:
        """The curve of a video, made if need be; None where the protocol leaves the video out."""
        if video_id in self.left_out:
            return None
        record = self.records.get(video_id)
        if record is None:
            raise DataError(f'video {video_id}: benchmark {self.benchmark} has no such video')
        if num_frames is not None and record.num_frames is not None and num_frames != record.num_frames:
            raise DataError(
                f'video {video_id}: num_frames must be {record.num_frames} as in the data set, got {num_frames}'
            )
        curve = self._curves.get(video_id)
        if curve is None:
            n = record.num_frames if num_frames is None else num_frames
            if n is None:
                raise DataError(f'video {video_id}: num_frames is not known')
            flags = np.zeros(n, dtype=bool)
            curve = self._curves[video_id] = VideoCurve(np.full(n, np.nan), flags, flags.copy())
        elif num_frames is not None and num_frames != curve.scores.size:
            raise DataError(
                f'video {video_id}: num_frames must be one number, got {curve.scores.size} and {num_frames}'
            )
        return curve

    def _set_curve(self, video_id: str, scores: np.ndarray, exact: bool) -> VideoCurve | None:
        scores = np.asarray(scores, dtype=np.float64)
        if scores.ndim != 1 or not scores.size:
            raise DataError(f'video {video_id}: scores must be a vector of at least one frame, got {scores.shape}')
        if np.isinf(scores).any():
            raise DataError(f'video {video_id}: scores must be finite, frame {int(np.isinf(scores).argmax())} is not')
        if video_id in self._curves:
            raise DataError(f'video {video_id}: has scores already; a video must be scored once')
        record = self.records.get(video_id)
        if exact and record is not None:
            sampled = ~np.isnan(scores)
            curve = VideoCurve(scores.copy(), sampled, np.zeros(scores.size, dtype=bool), exact=True)
            self._curves[video_id] = curve
            return curve
        found = self._find_curve(video_id, scores.size)
        if found is not None:
            found.scores[:] = scores
            found.sampled = ~np.isnan(scores)
        return found

    @staticmethod
    def _add_words(
        curve: VideoCurve, inds: np.ndarray, words: np.ndarray, interval: int, prompt_words: Iterable[str]
    ) -> None:
        """Let the highest-scoring words hold as their frames' scores do."""
        curve.prompt_words.update(prompt_words)
        if curve.top_words is None:
            curve.top_words = np.full(curve.scores.size, None, dtype=object)
        for step in range(interval):
            held = inds + step
            inside = held < curve.scores.size
            written = curve.top_words[held[inside]]
            write_words(written, words[inside])
            curve.top_words[held[inside]] = written

    def counts_pixels(self, record: VideoRecord) -> bool:
        """Whether the pixels of a video can be counted: it has masks, or is known to need none."""
        return self.pixel and record.has_ground_truth and (record.masks is not None or not record.intervals)

    def _frames_scored(self, video_id: str) -> int:
        """How many frames of a video may have a score under the protocol, its first ones."""
        curve, record = self._curves.get(video_id), self.records[video_id]
        n = record.num_frames if curve is None else curve.scores.size
        if n is None:
            return 0
        counted = n if curve is not None and curve.exact else self.protocol.count_frames(n)
        return self.protocol.count_scored(counted, self.benchmark)

    def _reaches_beyond(self, video_id: str) -> bool:
        curve, record = self._curves.get(video_id), self.records[video_id]
        if curve is None or curve.exact:
            return False
        return any(end > curve.scores.size for _, end in record.intervals)

    def fingerprint_masks(self, video_id: str) -> str | None:
        """Text that changes with the masks of a video; None where there are none."""
        record = self.records.get(video_id)
        return None if record is None or record.masks is None else record.masks.fingerprint()

    def allows(self, video_id: str, frame: int) -> bool:
        """Whether the protocol looks at a frame at all."""
        interval = self.protocol.interval_of(self.benchmark) or 1
        return frame % interval == 0 and frame < self._frames_scored(video_id)

    def _add_stored_pixels(self, prediction: 'Prediction') -> None:
        video_id, record = prediction.video_id, self.records[prediction.video_id]
        wanted = [frame for frame in prediction.frame_inds.tolist() if self.allows(video_id, frame)]
        stored = prediction.pixel_counts
        if (
            stored is not None
            and prediction.pixel_options == self.pixels.options()
            and stored['frames'].tolist() == wanted
            and prediction.meta.get('masks_fingerprint') == self.fingerprint_masks(video_id)
        ):
            try:
                self.pixels.add_packed(video_id, stored)
            except ValueError as error:
                raise DataError(f'{prediction.path}: {error}') from error
        elif prediction.masks_kind == 'float16':
            self._mask_stride = max(self._mask_stride, prediction.mask_stride)
            for frame, probabilities in prediction.iter_masks():
                truth = record.pixel_masks([frame], *probabilities.shape)
                self.add_pixels(video_id, frame, probabilities, None if truth is None else truth[0])
        else:
            kind = 'masks of yes and no only' if prediction.masks_kind == 'rle' else 'no masks'
            self._without_pixels[video_id] = (
                f'{prediction.path} holds {kind}, and no counts of pixels made as protocol {self.protocol.name} wants '
                'them and with the masks that the benchmark has now: score with --dump-masks float16'
            )

    def _evaluate_video(self, video_id: str) -> VideoEvaluation:
        record, curve = self.records[video_id], self._curves.get(video_id)
        n = (record.num_frames or 0) if curve is None else curve.scores.size
        exact = curve is not None and curve.exact
        counted = n if exact else self.protocol.count_frames(n)
        scores = np.full(counted, np.nan) if curve is None else curve.scores[:counted].copy()
        words = None if curve is None or curve.top_words is None else curve.top_words[:counted].copy()
        interval = self.protocol.interval_of(self.benchmark)
        if interval is not None:
            held = np.arange(counted) // interval * interval
            scores, words = scores[held], None if words is None else words[held]
        scores[self.protocol.count_scored(counted, self.benchmark) :] = np.nan
        labels = record.frame_labels(n)[:counted] if record.has_ground_truth else None
        fps = record.fps or (curve.fps if curve else None)
        named = frozenset() if curve is None else frozenset(curve.prompt_words)
        video = VideoEvaluation(video_id, record, scores, labels, fps=fps, top_words=words, prompt_words=named)
        if video.scored.any():
            if self.protocol.smoothing is not None:
                scores[video.scored] = smooth(scores[video.scored], **self.protocol.smoothing)
            if labels is not None and 0 < labels[video.scored].sum() < video.scored.sum():
                video.auc = frame_auc(scores[video.scored], labels[video.scored])
        return video

    def _check_coverage(self, videos: Sequence[VideoEvaluation], notes: list[str]) -> Coverage:
        expected = {video.video_id: self._frames_scored(video.video_id) for video in videos}
        scored = [video for video in videos if video.scored.any()]
        if not scored:
            raise DataError(f'nothing was scored: no video of benchmark {self.benchmark} has a score')
        if not self.allow_partial:
            absent = [
                video.video_id
                for video in videos
                if not video.scored.any() and (expected[video.video_id] or video.record.num_frames is None)
            ]
            if absent:
                raise DataError(f'{len(absent)} of {len(videos)} videos were not scored, the first is {absent[0]}')
            for video in videos:
                missing = np.flatnonzero(~video.scored[: expected[video.video_id]])
                if missing.size:
                    raise DataError(
                        f'video {video.video_id}: {missing.size} of {video.scores.size} frames were not scored, '
                        f'the first is {missing[0]}; allow_partial=True accepts that'
                    )
        labelled = [int(video.labels[video.scored].sum()) for video in scored if video.labels is not None]
        coverage = Coverage(
            videos=len(scored),
            videos_known=len(videos),
            frames=sum(int(video.scored.sum()) for video in scored),
            frames_known=sum(video.scores.size for video in videos),
            anomalous_frames=sum(labelled) if labelled else None,
        )
        if self.left_out:
            notes.append(f'{len(self.left_out)} normal videos are left out by protocol {self.protocol.name}')
        dropped = coverage.frames_known - coverage.frames
        if dropped and self.protocol.tail == 'drop':
            notes.append(
                f'{coverage.videos_known - coverage.videos} of {coverage.videos_known} videos were never scored and '
                f'{dropped} of {coverage.frames_known} frames dropped: protocol {self.protocol.name} counts whole '
                'windows only'
            )
        elif dropped:
            notes.append(f'{dropped} of {coverage.frames_known} frames have no score and count nowhere')
        return coverage

    def _add_pixel_figures(self, figures: Figures) -> None:
        left_out = [name for name, record in self.records.items() if not self.counts_pixels(record)]
        if left_out:
            figures.notes.append(
                f'pixel figures are of {len(self.records) - len(left_out)} of {len(self.records)} videos: '
                'the others have no masks'
            )
        reason = None
        if self._without_pixels:
            first = min(self._without_pixels)
            reason = f'the pixels of {len(self._without_pixels)} videos are not known: {self._without_pixels[first]}'
        elif not self.pixels.frames:
            reason = 'no pixels were counted'
        elif not self.pixels.histogram.positives.any():
            reason = 'gt_masks: no scored pixel is anomalous; a pixel figure needs both classes'
        elif not self.pixels.histogram.negatives.any():
            reason = 'gt_masks: no scored pixel is normal; a pixel figure needs both classes'
        if reason is not None:
            figures.leave_out(PIXEL_FIGURES, reason)
            return
        values, reasons = self.pixels.figures()
        figures.values.update(values)
        figures.undefined.update(reasons)
        if self._mask_stride > 1:
            figures.notes.append(f'pixel figures are of one in {self._mask_stride} of the frames that were looked at')
