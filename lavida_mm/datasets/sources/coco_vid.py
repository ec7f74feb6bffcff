"""Videos with CocoVID annotations as a source of pseudo-anomalies: frame folders and video files."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lavida_mm.datasets.sources.base_source import FaultLog, PseudoAnomalySource
from lavida_mm.datasets.sources.coco_json import (
    category_words,
    check_files_exist,
    iterate_annotations,
    load_json,
    load_sections,
    records_by_id,
)
from lavida_mm.datasets.words import clean_word
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError

__all__ = ['CocoVidSource']


@DATASETS.register_module()
class CocoVidSource(PseudoAnomalySource):
    """One item is one video with its objects (docs/method.md, section 1; paper: YouTube-VOS, Ref-YouTube-VOS, MeViS).

    mmdet's ``BaseVideoDataset`` does not fit here: it knows no video files, gives objects of instance 0 another
    number, and drops the frames without an object, which are what a detector must stay silent on.

    Args:
        ann_file: CocoVID file, relative to ``data_root``: ``videos`` (id, name, height, width; ``file_name`` of a
            video file, and fps, where there is one), ``images`` (id, video_id, frame_id from 0; ``file_name``
            where frames are images), ``annotations`` (id, image_id, instance_id, category_id, segmentation, bbox,
            area) and ``categories`` (id, name, optionally ``words``).
        data_root: folder that the other paths are relative to.
        frame_folder: folder that ``file_name`` is relative to.
        words: ``'category'`` calls an object by the words of its category, ``'phrase'`` by its phrases in
            ``expressions``; videos without phrases are then left out.
        expressions: file in the form of Ref-YouTube-VOS's ``meta_expressions.json``, where ``obj_id`` is the
            ``instance_id``.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond those of the objects.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count bad annotations and missing frames.
        lazy_init: leave the reading of the annotations for ``full_init``.

    Raises:
        DataError: a file, an annotation or a frame breaks a rule.
    """

    def __init__(
        self,
        *,
        ann_file: str,
        data_root: str = '',
        frame_folder: str = '',
        words: str = 'category',
        expressions: str | None = None,
        name: str = 'coco_vid',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        if words not in ('category', 'phrase'):
            raise ValueError(f"words must be 'category' or 'phrase', got {words!r}")
        if (words == 'phrase') != (expressions is not None):
            raise ValueError(f"expressions must be given with words='phrase' alone, got {expressions!r}, {words!r}")
        self._file = Path(data_root, ann_file)
        self._frames = Path(data_root, frame_folder)
        self._expressions = None if expressions is None else Path(data_root, expressions)
        super().__init__(
            name=name,
            data_root=data_root,
            pipeline=pipeline,
            extra_words=extra_words,
            bad_annotations=bad_annotations,
            lazy_init=lazy_init,
        )

    def index_files(self) -> list[Path]:
        """The annotation file, and that of the phrases."""
        return [self._file] if self._expressions is None else [self._file, self._expressions]

    def load_data_list(self) -> list[dict]:
        """Read and check the annotation file: one record per video."""
        content = load_sections(self._file, ('videos', 'images', 'annotations', 'categories'))
        videos = records_by_id(self._file, 'videos', content['videos'], dict(height=int, width=int))
        images = records_by_id(self._file, 'images', content['images'], dict(frame_id=(int,)))
        categories = records_by_id(self._file, 'categories', content['categories'], dict(name=str))
        faults = FaultLog(self._file, self.bad_annotations)

        infos = {key: self._start_video(key, video) for key, video in videos.items()}
        for key, image in images.items():
            self._add_frame(infos, key, image)
        self._check_files(infos, faults)

        words = category_words(self._file, categories)
        for annotation in iterate_annotations(content['annotations'], images, categories, faults):
            self._add_annotation(infos, images[annotation['image_id']], annotation, words, faults)
        faults.report()

        found = [self._finish_video(info) for info in infos.values() if info['frame_ids']]
        if self._expressions is not None:
            found = self._use_phrases(found, self._expressions)
            self.set_vocabulary(word for info in found for target in info['objects'] for word in target['words'])
        else:
            self.set_vocabulary(word for category in words.values() for word in category)
        return found

    def _start_video(self, key: Any, video: dict) -> dict:
        fps = video.get('fps', 0)
        if not isinstance(fps, int | float) or not 0 <= fps <= sys.float_info.max:
            raise DataError(f'{self._file}: video {key!r}: fps must be a number of at least 0, got {fps!r:.80}')
        file = video.get('file_name')
        if not isinstance(file, str | None):
            raise DataError(f'{self._file}: video {key!r}: file_name must be text, got {file!r:.80}')
        return dict(
            video_id=str(video.get('name', key)),
            path=None if file is None else self._frames / file,
            fps=float(fps),
            height=video['height'],
            width=video['width'],
            frame_files={},
            frame_ids=set(),
            objects={},
        )

    def _add_frame(self, infos: dict, key: Any, image: dict) -> None:
        video, frame = image.get('video_id'), image['frame_id']
        if not isinstance(video, int | str) or video not in infos:
            raise DataError(f'{self._file}: image {key!r}: video_id must name a listed video, got {video!r:.80}')
        info = infos[video]
        if frame < 0 or frame in info['frame_ids']:
            raise DataError(f'{self._file}: image {key!r}: frame_id must be 0 or more, once in its video, got {frame}')
        for side in ('height', 'width'):
            if image.setdefault(side, info[side]) != info[side]:
                raise DataError(
                    f"{self._file}: image {key!r}: {side} must be its video's {info[side]}, got {image[side]!r:.80}"
                )
        info['frame_ids'].add(frame)
        if info['path'] is None:
            if not isinstance(image.get('file_name'), str):
                raise DataError(
                    f'{self._file}: image {key!r}: file_name must be text where the video has none, '
                    f'got {image.get("file_name")!r:.80}'
                )
            info['frame_files'][frame] = self._frames / image['file_name']

    def _check_files(self, infos: dict, faults: FaultLog) -> None:
        files = {(key, None): info['path'] for key, info in infos.items() if info['path'] is not None}
        for key, info in infos.items():
            files.update(((key, frame), file) for frame, file in info['frame_files'].items())
        for key, frame in check_files_exist(files, 'video, frame', faults):
            infos[key]['frame_ids'] -= infos[key]['frame_ids'].copy() if frame is None else {frame}

    def _add_annotation(self, infos: dict, image: dict, annotation: dict, words: dict, faults: FaultLog) -> None:
        objects = infos[image['video_id']]['objects']
        instance, key = annotation.get('instance_id'), annotation['id']
        if not isinstance(instance, int | str):
            return faults.add(f'annotation {key!r}: instance_id must be a number or text, got {instance!r:.80}')
        category = annotation['category_id']
        target = objects.setdefault(
            instance, dict(instance_id=instance, category=category, words=words[category], masks={}, annotation_ids={})
        )
        if target['category'] != category:
            return faults.add(
                f'annotation {key!r}: category_id must be {target["category"]!r} as in the other frames of '
                f'instance {instance!r}, got {category!r}'
            )
        frame = image['frame_id']
        if frame in target['masks']:
            return faults.add(f'annotation {key!r}: instance_id {instance!r} must stand once in frame {frame}')
        target['masks'][frame] = annotation['segmentation']
        target['annotation_ids'][frame] = key
        return None

    def _finish_video(self, info: dict) -> dict:
        frames = sorted(info['frame_ids'])
        info.update(
            ann_file=str(self._file),
            path=None if info['path'] is None else str(info['path']),
            frame_files={frame: str(file) for frame, file in info['frame_files'].items()},
            frame_ids=frames,
            num_frames=frames[-1] + 1,
            objects=list(info['objects'].values()),
        )
        return info

    def _use_phrases(self, infos: list[dict], expressions: Path) -> list[dict]:
        phrases = _load_phrases(expressions)
        known = {info['video_id'] for info in infos}
        for video in phrases:
            if video not in known:
                raise DataError(f'{expressions}: videos.{video} must be a video of {self._file}')
        kept = [info for info in infos if info['video_id'] in phrases]
        for info in kept:
            named = phrases[info['video_id']]
            instances = {str(target['instance_id']): target for target in info['objects']}
            for target in instances.values():
                target['words'] = []
            for instance, texts in named.items():
                if instance in instances:  # an object without any mask has nothing to show
                    instances[instance]['words'] = texts
        return kept


def _load_phrases(path: Path) -> dict[str, dict[str, list[str]]]:
    """The phrases of each object of each video: video name -> obj_id -> phrases."""
    content = load_json(path)
    videos = content.get('videos') if isinstance(content, dict) else None
    if not isinstance(videos, dict):
        raise DataError(f'{path}: videos must be an object, got {videos!r:.80}')
    found: dict[str, dict[str, list[str]]] = {}
    for name, video in videos.items():
        expressions = video.get('expressions') if isinstance(video, dict) else None
        if not isinstance(expressions, dict):
            raise DataError(f'{path}: videos.{name}.expressions must be an object, got {expressions!r:.80}')
        found[name] = {}
        for key, record in expressions.items():
            phrase, instance = (record.get('exp'), record.get('obj_id')) if isinstance(record, dict) else (None, None)
            if not isinstance(phrase, str) or not phrase.strip():
                raise DataError(f'{path}: videos.{name}.expressions.{key}.exp must be a phrase, got {phrase!r:.80}')
            if not isinstance(instance, int | str):
                raise DataError(
                    f'{path}: videos.{name}.expressions.{key}.obj_id must name an object, got {instance!r:.80}'
                )
            found[name].setdefault(str(instance), []).append(clean_word(phrase))
    return found
