"""Images with COCO instance annotations as a source of pseudo-anomalies, read by mmdet's CocoDataset."""

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lavida_mm.datasets.masks import find_run_fault
from lavida_mm.datasets.sources.base_source import FaultLog, PseudoAnomalySource
from lavida_mm.datasets.sources.coco_json import (
    category_words,
    check_files_exist,
    iterate_annotations,
    load_sections,
    records_by_id,
)
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError

__all__ = ['CocoInstancesSource']

CURE = "mmdet and mmcv read COCO data and are not installed: run 'make env', or pip install lavida_mm[mm]"


@DATASETS.register_module()
class CocoInstancesSource(PseudoAnomalySource):
    """One item is one image with its objects (docs/method.md, section 1; paper: ADE20K, Cityscapes, RefCOCO as images).

    mmdet's ``CocoDataset`` turns the file into data infos for ``mmdet.LoadAnnotations``; ``LoadImageObjects`` then
    brings them to the common form. Before that every annotation is checked, since mmdet drops bad ones in silence.

    Args:
        ann_file: COCO instance file, relative to ``data_root``. A category may carry ``words``, a list of the words
            by which its objects may be called; otherwise its name is its only word. Crowds count as objects.
        data_root: folder that the other paths are relative to.
        image_folder: folder of the images.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond those of the categories.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count bad annotations and missing images.
        lazy_init: leave the reading of the annotations for ``full_init``.

    Raises:
        DataError: the file, an annotation or an image breaks a rule.
        ImportError: mmdet is missing.
    """

    def __init__(
        self,
        *,
        ann_file: str,
        data_root: str = '',
        image_folder: str = 'images',
        name: str = 'coco_instances',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        self._file = Path(data_root, ann_file)
        self._images = Path(data_root, image_folder)
        super().__init__(
            name=name,
            data_root=data_root,
            pipeline=pipeline,
            extra_words=extra_words,
            bad_annotations=bad_annotations,
            lazy_init=lazy_init,
        )

    def index_files(self) -> list[Path]:
        """The annotation file."""
        return [self._file]

    def load_data_list(self) -> list[dict]:
        """Read, check, and let mmdet index the annotation file."""
        content = load_sections(self._file, ('images', 'annotations', 'categories'))
        images = records_by_id(self._file, 'images', content['images'], dict(file_name=str, height=int, width=int))
        categories = records_by_id(self._file, 'categories', content['categories'], dict(name=str))
        words = category_words(self._file, categories)
        self.set_vocabulary(word for category in words.values() for word in category)

        faults = FaultLog(self._file, self.bad_annotations)
        missing = check_files_exist(
            {key: self._images / image['file_name'] for key, image in images.items()}, 'image', faults
        )
        annotations = [
            annotation
            for annotation in iterate_annotations(content['annotations'], images, categories, faults)
            if annotation['image_id'] not in missing
        ]
        faults.report()

        kept = [image for key, image in images.items() if key not in missing]
        infos = _index_with_mmdet(dict(images=kept, annotations=annotations, categories=content['categories']), self)
        by_image: dict[Any, list[dict]] = {}
        for annotation in annotations:
            by_image.setdefault(annotation['image_id'], []).append(annotation)
        for info in infos:
            own = by_image.get(info['img_id'], [])
            assert len(own) == len(info['instances'])  # what mmdet leaves out, iterate_annotations left out before
            for instance, annotation in zip(info['instances'], own, strict=True):
                instance['annotation_id'] = annotation['id']
                instance['words'] = words[annotation['category_id']]
            info['video_id'] = str(info['img_id'])
            info['num_frames'] = 1
            info['fps'] = 0.0
        return infos

    def get_data_info(self, idx: int) -> dict:
        """One image with its instances; their run lengths are checked here, not for all at the start."""
        info = super().get_data_info(idx)
        for instance in info['instances']:
            fault = find_run_fault(instance['mask'], info['height'], info['width'])
            if fault:
                raise DataError(f'{self._file}: annotation {instance["annotation_id"]!r}: {fault}')
        return info


def _index_with_mmdet(content: dict, source: CocoInstancesSource) -> list[dict]:
    try:
        from mmdet.datasets import CocoDataset
        from mmdet.datasets.api_wrappers import COCO
    except ImportError as error:
        raise ImportError(f'{CURE} ({error})') from error

    def index(_: str) -> COCO:
        coco = COCO()
        coco.dataset = content
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            coco.createIndex()
        coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs
        return coco

    dataset = CocoDataset(
        ann_file=str(source._file.absolute()),
        metainfo=dict(classes=[category['name'] for category in content['categories']]),
        data_prefix=dict(img=str(source._images)),
        serialize_data=False,
        lazy_init=True,
    )
    dataset.COCOAPI = index  # the file is read and checked already
    dataset.full_init()
    return dataset.data_list
