"""Reads XD-Violence."""

from collections.abc import Sequence
from pathlib import Path

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark, BenchmarkTotals
from lavida_mm.datasets.benchmarks.interval_files import (
    IntervalLine,
    add_intervals,
    check_interval_ends,
    find_text_file,
    read_interval_file,
)
from lavida_mm.datasets.benchmarks.video_files import (
    NUM_FRAMES_FILE,
    VideoIndex,
    check_videos_and_lengths,
    read_num_frames,
)
from lavida_mm.registry import DATASETS
from lavida_mm.structures import VideoRecord

__all__ = ['XDViolence', 'read_label_codes']

CODES = {
    'B1': 'fighting',
    'B2': 'shooting',
    'B4': 'riot',
    'B5': 'abuse',
    'B6': 'car accident',
    'G': 'explosion',
}
NORMAL_CODE = 'A'
NO_CODE = '0'
ANNOTATION = 'annotations.txt'
ANNOTATION_PATTERN = r'(xd[ _-]*violence[ _-]*)?(test[ _-]*)?annotations?\.txt'
VIDEO_FOLDERS = ('videos', 'test_videos', 'test', 'XD-Violence-test')
TRAINING = r'train|^\d+-\d+$'  # the archives of the training videos are called 1-1004 and so on


def read_label_codes(video_id: str) -> list[str]:
    """Words of the label in a video's name, most important first; empty for a normal video.

    Raises:
        ValueError: the name has no label, or one with an unknown code.

    Examples:
        >>> read_label_codes('Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6')
        ['explosion', 'shooting', 'car accident']
        >>> read_label_codes('About.Time.2013__#00-23-50_00-24-31_label_A')
        []
    """
    _, found, label = video_id.rpartition('_label_')
    codes = [code for code in label.split('-') if code != NO_CODE]
    if not found or not codes:
        raise ValueError(f"name must end in '_label_' and codes such as B1-0-0, got {video_id!r}")
    if codes == [NORMAL_CODE]:
        return []
    for code in codes:
        if code not in CODES:
            raise ValueError(
                f'code must be {NORMAL_CODE} alone or one of {", ".join(CODES)}, got {code!r} in {video_id!r}'
            )
    return [CODES[code] for code in codes]


@DATASETS.register_module()
class XDViolence(BaseBenchmark):
    """The 800 test videos of XD-Violence (Wu et al., ECCV 2020), or a part of them.

    ``annotations.txt``, in the root or up to two folders below, has a line ``name first last [first last ...]`` for
    each violent video. Normal videos have none: they are known by ``num_frames.csv``, or where there is no such file by
    the videos in ``videos/``, ``test_videos/`` or the root itself. The classes of a video stand in its name, most
    important first. The annotation says for no event which of them it is: each gets the first.

    Some lists hold 814 videos. They are these 800, and 14 violent ones a second time as normal: their lines in
    ``annotations.txt`` carry ``.mp4``, so that a comparison of names missed them. Names are compared without suffix
    here, each video counts once, and a list that names both is a warning.

    Args:
        root: the folder.
        strict: raise at the first error; else collect all in ``findings``.
        interval_ends: ``'inclusive'``, both ends of an interval are anomalous frames (LAVAD, LAVIDA);
            ``'half-open'``, its last frame is normal (XDVioDet, PEL4VAD, VadCLIP). Frames count from 0 in both.
        ann_file: annotation file, below the root; None to find it.

    Raises:
        UsageError: ``interval_ends`` has no such value.
        DataError: with ``strict``, an error was found.
    """

    name = 'xd_violence'
    frame_only = True
    totals = BenchmarkTotals(videos=800, frames=2_335_801, anomalous_frames=539_562)

    def __init__(
        self,
        *,
        root: str | Path,
        strict: bool = True,
        interval_ends: str = 'inclusive',
        ann_file: str | Path | None = None,
    ):
        self.interval_ends = check_interval_ends(interval_ends)
        self.ann_file = ann_file
        super().__init__(root=root, strict=strict, options=dict(interval_ends=interval_ends))

    def _read(self) -> Sequence[VideoRecord]:
        file = find_text_file(self, self.ann_file, ANNOTATION_PATTERN, ANNOTATION)
        if file is None:
            return []
        lines = self._read_lines(file)
        lengths = read_num_frames(self)
        folders = [self.root / name for name in VIDEO_FOLDERS if (self.root / name).is_dir()]
        videos = VideoIndex(self, folders=folders[:1] or None, skip=TRAINING)
        records = []
        for video_id in self._list_videos(lines, lengths, videos):
            line = lines.get(video_id)
            path = videos.find(video_id)
            where = line.where if line else str(path or self.root / NUM_FRAMES_FILE)
            words = self._read_words(video_id, line, where)
            if words is None:
                continue
            record = VideoRecord(
                video_id=video_id,
                path=path,
                num_frames=lengths.get(video_id),
                origin=where if line else f'{where}: video {video_id}',
            )
            if line:
                word = words[0] if words else ''
                add_intervals(self, record, line.spans, word=word, where=where, interval_ends=self.interval_ends)
            records.append(record)
        check_videos_and_lengths(self, records, lengths)
        paths = [record.path for record in records if record.path is not None]
        self.layout = videos.describe(paths) if paths else 'annotation only'
        if not lengths and not paths:
            self.warn(
                'normal-videos-unknown',
                self.root,
                f'names no normal video: neither videos nor {NUM_FRAMES_FILE} are here, and {ANNOTATION} lists violent '
                'videos only',
            )
        return records

    def _read_lines(self, file: Path) -> dict[str, IntervalLine]:
        """The lines by video; of a line with events and one without for the same video, the one with events."""
        lines: dict[str, IntervalLine] = {}
        twice = []
        for line in read_interval_file(self, file, with_label=False):
            before = lines.get(line.video_id)
            if before is None:
                lines[line.video_id] = line
            elif bool(before.spans) != bool(line.spans):
                twice.append(line.video_id)
                lines[line.video_id] = before if before.spans else line
            else:
                self.error(
                    'duplicate-line', line.where, f'video {line.video_id} must stand here once; first: {before.where}'
                )
        if twice:
            self.warn(
                'listed-twice',
                file,
                f'lists {len(twice)} violent videos a second time as normal, as the list of 814 videos does '
                f'({", ".join(sorted(twice)[:3])}{", ..." if len(twice) > 3 else ""}); each counts once, as violent',
            )
        return lines

    def _list_videos(self, lines: dict[str, IntervalLine], lengths: dict[str, int], videos: VideoIndex) -> list[str]:
        """Names of the test videos: those with a line first, then the normal ones by name."""
        rest = lengths if lengths else videos.files
        names = [*lines, *sorted(video_id for video_id in rest if video_id not in lines)]
        if lengths:
            listed = set(names)
            extra = sorted(video_id for video_id in videos.files if video_id not in listed)
            if extra:
                self.warn(
                    'extra-video',
                    videos.files[extra[0]][0],
                    f'is in neither {ANNOTATION} nor {NUM_FRAMES_FILE} and is left out, with {len(extra) - 1} more',
                )
        return names

    def _read_words(self, video_id: str, line: IntervalLine | None, where: str) -> list[str] | None:
        """Its words, none for a normal video; None with an error noted."""
        try:
            words = read_label_codes(video_id)
        except ValueError as error:
            self.error('unknown-class', where, str(error))
            return None
        if line is not None and bool(line.spans) != bool(words):
            self.error(
                'label-mismatch',
                where,
                f'the label in the name must agree with the events, got {", ".join(words) or "normal"} and '
                f'{len(line.spans)} events in {line.text!r}',
            )
            return None
        if line is None and words:
            self.error(
                'video-without-annotation',
                where,
                f'video {video_id} is violent by its name ({", ".join(words)}) and must have a line in {ANNOTATION}: '
                'the file is incomplete, or this is a training video',
            )
            return None
        return words
