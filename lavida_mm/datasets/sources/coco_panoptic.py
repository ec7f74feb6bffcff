"""Images with COCO panoptic annotations as a source of pseudo-anomalies: things and stuff, without overlap."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lavida_mm.datasets.sources.base_source import FaultLog, PseudoAnomalySource
from lavida_mm.datasets.sources.coco_json import category_words, check_files_exist, load_sections, records_by_id
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import word_key

__all__ = ['CocoPanopticSource', 'plain_stuff_name']

UNLABELED = 0  # pixels of no segment, https://cocodataset.org/#panoptic-eval


def plain_stuff_name(name: str) -> str:
    """A stuff name of COCO as one would say it: ``'wall-other-merged'`` -> ``'wall'``, ``'wall-brick'`` -> ``'wall
    brick'``."""
    return re.sub('(-(other|merged|stuff))+$', '', name).replace('-', ' ')


@DATASETS.register_module()
class CocoPanopticSource(PseudoAnomalySource):
    """One item is one image; one segment is one object (format: https://cocodataset.org/#format-data, panoptic).

    The pipeline reads with ``SampleClip``, ``LoadClipFrames`` and ``LoadLabelMap(rgb_ids=True)``. mmdet's
    ``CocoPanopticDataset`` does not fit: it gives masks to things only and drops bad segments in silence.

    Args:
        ann_file: panoptic annotation file, relative to ``data_root``. A category may carry ``words``, a list of the
            words by which its objects may be called; otherwise its name, without COCO's ``-merged`` and the like, is
            its only word.
        data_root: folder that the other paths are relative to.
        image_folder: folder of the images.
        map_folder: folder of the label maps.
        stuff: whether stuff may be the anomaly; otherwise its words are known to be present, no more.
        ignored_ids: ids of segments that mean nothing in particular.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond those of the categories.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count images without a file, an annotation or a
            map, or with a bad segment.
        lazy_init: leave the reading of the annotations for ``full_init``.

    Raises:
        DataError: the file, an annotation or an image breaks a rule.
    """

    def __init__(
        self,
        *,
        ann_file: str,
        data_root: str = '',
        image_folder: str = 'images',
        map_folder: str = 'panoptic',
        stuff: bool = True,
        ignored_ids: Sequence[int] = (UNLABELED,),
        name: str = 'coco_panoptic',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        self._file = Path(data_root, ann_file)
        self._images = Path(data_root, image_folder)
        self._maps = Path(data_root, map_folder)
        self._stuff = stuff
        self._ignored = frozenset(ignored_ids)
        super().__init__(
            name=name,
            data_root=data_root,
            pipeline=pipeline,
            extra_words=extra_words,
            bad_annotations=bad_annotations,
            lazy_init=lazy_init,
        )

    def index_files(self) -> list[Path]:
        """The annotation file, then the folders whose files it names."""
        return [self._file, self._images, self._maps]

    def counts(self) -> dict[str, int]:
        """Images and segments."""
        objects = sum(len(self.get_data_info(index)['label_words']) for index in range(len(self)))
        return dict(images=len(self), objects=objects)

    def load_data_list(self) -> list[dict]:
        """Read and check the annotation file: one record per image."""
        content = load_sections(self._file, ('images', 'annotations', 'categories'))
        images = records_by_id(self._file, 'images', content['images'], dict(file_name=str, height=int, width=int))
        categories = records_by_id(self._file, 'categories', content['categories'], dict(name=str, isthing=(int,)))
        words = self._category_words(categories)
        targets = {key for key, category in categories.items() if self._stuff or category['isthing']}
        self.set_vocabulary(word for key in words if key in targets for word in words[key])

        faults = FaultLog(self._file, self.bad_annotations)
        annotations = _annotations_by_image(content['annotations'], images, faults)
        for key in images.keys() - annotations.keys():
            faults.add(f'image {key!r}: must have an annotation')
        missing = check_files_exist(
            {key: self._images / image['file_name'] for key, image in images.items()}, 'image', faults
        )
        missing |= check_files_exist(
            {key: self._maps / annotation['file_name'] for key, annotation in annotations.items()},
            'annotation of image',
            faults,
        )
        found = []
        for key, image in images.items():
            if key in missing or key not in annotations:
                continue
            segments = _read_segments(key, annotations[key], categories, faults)
            if segments is not None:
                found.append(self._make_item(key, image, annotations[key], segments, words, targets))
        faults.report()
        return found

    def get_data_info(self, idx: int) -> dict:
        """One image with its map and the words of its segments."""
        info = super().get_data_info(idx)
        info['ignored_ids'] = self._ignored
        return info

    def _category_words(self, categories: dict) -> dict[Any, list[str]]:
        said = {
            key: category if 'words' in category else {'name': plain_stuff_name(category['name'])}
            for key, category in categories.items()
        }
        words = category_words(self._file, said)
        first: dict[str, Any] = {}
        for key, own in words.items():
            other = first.setdefault(word_key(own[0]), key)
            if other != key:
                raise DataError(
                    f'{self._file}: category names must not repeat, got {own[0]!r} for {other!r} and {key!r}'
                )
        return words

    def _make_item(
        self, key: Any, image: dict, annotation: dict, segments: dict[int, Any], words: dict, targets: set
    ) -> dict:
        names = {segment: words[category] for segment, category in segments.items()}
        return dict(
            video_id=str(key),
            path=None,
            fps=0.0,
            num_frames=1,
            frame_ids=[0],
            frame_files={0: str(self._images / image['file_name'])},
            height=image['height'],
            width=image['width'],
            label_file=str(self._maps / annotation['file_name']),
            label_words=names,
            target_words={segment: own for segment, own in names.items() if segments[segment] in targets},
        )


def _annotations_by_image(annotations: list[dict], images: dict, faults: FaultLog) -> dict[Any, dict]:
    found: dict[Any, dict] = {}
    for number, annotation in enumerate(annotations):
        key = annotation.get('image_id')
        if not isinstance(key, int | str) or key not in images or key in found:
            faults.add(f'annotations[{number}].image_id must name a listed image, each once, got {key!r:.80}')
        elif not isinstance(annotation.get('file_name'), str):
            faults.add(f'annotations[{number}].file_name must be text, got {annotation.get("file_name")!r:.80}')
        else:
            found[key] = annotation
    return found


def _read_segments(key: Any, annotation: dict, categories: dict, faults: FaultLog) -> dict[int, Any] | None:
    """Category by id of the segment; None where one is bad, since its pixels would then have no meaning."""
    segments = annotation.get('segments_info')
    if not isinstance(segments, list):
        faults.add(f'annotation of image {key!r}: segments_info must be a list, got {segments!r:.80}')
        return None
    found: dict[int, Any] = {}
    for number, segment in enumerate(segments):
        label, category = (segment.get('id'), segment.get('category_id')) if isinstance(segment, dict) else (None, None)
        where = f'annotation of image {key!r}: segments_info[{number}]'
        if not isinstance(label, int) or label in found:
            faults.add(f'{where}.id must be a unique number, got {label!r:.80}')
            return None
        if not isinstance(category, int | str) or category not in categories:
            faults.add(f'{where}.category_id must name one of the {len(categories)} listed, got {category!r:.80}')
            return None
        found[label] = category
    return found
