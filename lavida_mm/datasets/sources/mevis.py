"""MeViS as a source of pseudo-anomalies."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from lavida_mm.datasets.masks import find_mask_fault
from lavida_mm.datasets.sources.base_source import FaultLog, PseudoAnomalySource
from lavida_mm.datasets.sources.coco_json import load_json
from lavida_mm.datasets.sources.palette_video import list_images
from lavida_mm.datasets.sources.youtube_vos_json import Expression, load_videos, read_expressions, read_frames
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import unique_words

__all__ = ['MeViS']


@DATASETS.register_module()
class MeViS(PseudoAnomalySource):
    """One item is one video; objects are called by motion phrases (docs/method.md, section 1; Ding et al. 2023).

    Reads the download as it is (readme of github.com/henghuiding/MeViS): ``<split>/meta_expressions.json`` with the
    phrases, each of which names several objects by ``obj_id`` and their masks by ``anno_id``;
    ``<split>/mask_dict.json``, for each ``anno_id`` a list of COCO run lengths per frame, null where the object is out
    of sight; and ``<split>/JPEGImages/<video>/<frame>.jpg``. A phrase stands at each object that it names, so that its
    mask is the union of theirs. Phrases of version 2 that name no object describe what is absent: they are
    distractors, also for their own video.

    Args:
        data_root: folder of the splits.
        split: ``train`` or ``valid_u``; the others have no masks.
        expressions: file of the phrases; version 2 of 2025 calls it ``meta_expressions_v2.json``.
        max_phrases: targets are the first so many phrases of a video, None takes all. The rest count as present.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond the phrases.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count bad entries, frames with a bad mask and
            missing files.
        lazy_init: leave the reading of the annotations for ``full_init``.

    Raises:
        ValueError: ``max_phrases`` is less than 1.
        DataError: a file or an entry breaks a rule.
    """

    # The readme as of 2023; version 2 counts 27,502 phrases in train and 907 in valid_u.
    PUBLISHED: ClassVar[Mapping[str, Mapping[str, int]]] = {
        'train': dict(videos=1662, phrases=23051),
        'valid_u': dict(videos=50, phrases=793),
    }

    def __init__(
        self,
        *,
        data_root: str = 'data/mevis',
        split: str = 'train',
        expressions: str = 'meta_expressions.json',
        max_phrases: int | None = None,
        name: str = 'mevis',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        if max_phrases is not None and max_phrases < 1:
            raise ValueError(f'max_phrases must be at least 1, or None, got {max_phrases}')
        self.split = split
        self.max_phrases = max_phrases
        self._file = Path(data_root, split, expressions)
        self._masks = Path(data_root, split, 'mask_dict.json')
        self._images = Path(data_root, split, 'JPEGImages')
        self._counts: dict[str, int] = {}
        super().__init__(
            name=name,
            data_root=data_root,
            pipeline=pipeline,
            extra_words=extra_words,
            bad_annotations=bad_annotations,
            lazy_init=lazy_init,
        )

    def index_files(self) -> list[Path]:
        """The files of the phrases and of the masks, and the folder that is listed."""
        return [self._file, self._masks, self._images]

    def counts(self) -> dict[str, int]:
        """Videos, objects that a phrase names, and phrases."""
        return dict(self._counts)

    def load_data_list(self) -> list[dict]:
        """Read phrases and run lengths: an item holds those of its own objects, undecoded."""
        masks = load_json(self._masks)
        if not isinstance(masks, dict):
            raise DataError(f'{self._masks}: must hold an object, got {type(masks).__name__}')
        faults = FaultLog(self._file, self.bad_annotations)
        mask_faults = FaultLog(self._masks, self.bad_annotations)
        items, absent, num_phrases = [], [], 0
        for video, entry in load_videos(self._file).items():
            item, without_target, number = self._read_video(video, entry, masks, faults, mask_faults)
            if item is not None:
                items.append(item)
                absent += without_target
                num_phrases += number
        faults.report()
        mask_faults.report()
        self.set_vocabulary([*(word for item in items for word in item['present_words']), *absent])
        self._counts = dict(videos=len(items), objects=sum(len(item['objects']) for item in items), phrases=num_phrases)
        return items

    def _read_video(
        self, video: str, entry: Any, masks: dict, faults: FaultLog, mask_faults: FaultLog
    ) -> tuple[dict | None, list[str], int]:
        """The item of a video, its phrases that name no object, and the number of all its phrases."""
        names = read_frames(f'videos.{video}', entry, faults)
        expressions = read_expressions(video, entry, faults)
        if not names:
            return None, [], 0
        if not expressions:
            faults.add(f'videos.{video}.expressions must hold at least one phrase')
            return None, [], 0
        words, present, absent = self._read_phrases(expressions, masks, len(names), faults)
        size, bad_frames = _check_tracks({target: masks[target] for target in words}, mask_faults)
        files = self._list_frames(video, names, faults)
        frame_ids = [number for number in files if number not in bad_frames]
        if size is None or not frame_ids:
            faults.add(f'videos.{video} must have an object with a mask, and a frame')
            return None, [], 0
        objects = [_make_object(target, masks[target], own, size, bad_frames) for target, own in words.items()]
        item = dict(
            video_id=video,
            ann_file=str(self._masks),
            path=None,
            fps=0.0,
            height=size[0],
            width=size[1],
            num_frames=len(names),
            frame_ids=frame_ids,
            frame_files={number: str(files[number]) for number in frame_ids},
            objects=[target for target in objects if target['masks']],
            present_words=unique_words(present),
        )
        return item, absent, len(present) + len(absent)

    def _read_phrases(
        self, expressions: list[Expression], masks: dict, num_frames: int, faults: FaultLog
    ) -> tuple[dict[str, list[str]], list[str], list[str]]:
        """Key of each object -> the phrases it is a target of; all phrases that name an object, and all that name none.

        A phrase with a faulty object is no target: the masks of its other objects are not all that it means.
        """
        words: dict[str, list[str]] = {}
        present: list[str] = []
        absent: list[str] = []
        for place, expression in enumerate(expressions):
            targets = _read_targets(expression, faults)
            if targets is None:
                continue
            (present if targets else absent).append(expression.phrase)
            found = [_find_track_fault(masks, target, num_frames) for target in targets]
            broken = [fault for fault in found if fault]
            for fault in broken:
                faults.add(f'{expression.where}.anno_id: {fault} in {self._masks}')
            sound = [target for target, fault in zip(targets, found, strict=True) if not fault]
            is_target = not broken and (self.max_phrases is None or place < self.max_phrases)
            for target in sound:
                words.setdefault(target, []).extend([expression.phrase] if is_target else [])
        return words, present, absent

    def _list_frames(self, video: str, names: list[str], faults: FaultLog) -> dict[int, Path]:
        try:
            images = list_images(self._images / video)
        except DataError as error:
            faults.add(str(error))
            return {}
        for name in names:
            if name not in images:
                faults.add(f'{self._images / video}: frame {name!r} must have an image')
        return {number: images[name] for number, name in enumerate(names) if name in images}


def _read_targets(expression: Expression, faults: FaultLog) -> list[str] | None:
    """Keys in ``mask_dict.json`` of the objects that a phrase names, which may be none; None where they are faulty."""
    for field in ('obj_id', 'anno_id'):
        value = expression.record.get(field)
        if not isinstance(value, list) or not all(isinstance(each, int | str) for each in value):
            faults.add(f'{expression.where}.{field} must be a list of numbers, got {value!r:.80}')
            return None
    objects, masks = expression.record['obj_id'], expression.record['anno_id']
    if len(objects) != len(masks):
        faults.add(f'{expression.where}.anno_id must be one per obj_id, got {len(masks)} for {len(objects)}')
        return None
    return list(dict.fromkeys(map(str, masks)))


def _find_track_fault(masks: dict, target: str, num_frames: int) -> str | None:
    if target not in masks:
        return f'{target} must be a key'
    if not isinstance(masks[target], list) or len(masks[target]) != num_frames:
        length = len(masks[target]) if isinstance(masks[target], list) else repr(masks[target])[:80]
        return f'{target} must be a list of a mask or null for each of {num_frames} frames, got {length}'
    return None


def _check_tracks(tracks: dict[str, list], faults: FaultLog) -> tuple[list[int] | None, set[int]]:
    """The size [H, W] that the masks of a video share, None without any mask, and the frames of bad masks."""
    size: list[int] | None = None
    bad_frames = set()
    for target, track in tracks.items():
        if all(mask is None for mask in track):
            faults.add(f'{target} must show its object in at least one frame, got null in {len(track)}')
        for frame, mask in enumerate(track):
            if mask is None:
                continue
            size = size or _read_size(mask)
            if size is None or not isinstance(mask, dict):
                fault: str | None = 'must be run lengths with their size'
            else:
                fault = find_mask_fault(mask, size[0], size[1])
            if fault:
                faults.add(f'{target}[{frame}]: {fault}, got {mask!r:.80}')
                bad_frames.add(frame)
    return size, bad_frames


def _read_size(mask: Any) -> list[int] | None:
    size = mask.get('size') if isinstance(mask, dict) else None
    sound = isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)
    return size if sound else None


def _make_object(target: str, track: list, words: list[str], size: list[int], bad_frames: set[int]) -> dict:
    masks = {
        frame: dict(size=size, counts=mask['counts'])  # one size for all, which is stored once
        for frame, mask in enumerate(track)
        if mask is not None and frame not in bad_frames
    }
    return dict(words=unique_words(words), masks=masks, annotation_ids=dict.fromkeys(masks, target))
