"""Cityscapes as its owners ship it: street scenes with a map of label ids."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from lavida_mm.datasets.sources.label_map_source import LabelMapSource, LabelTable, list_files
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import check_words

__all__ = ['Cityscapes']

# Ids of the label maps: github.com/mcordts/cityscapesScripts, cityscapesscripts/helpers/labels.py. A licence plate has
# the id -1 there and is drawn in no map.
VOID = ('unlabeled', 'ego vehicle', 'rectification border', 'out of roi', 'static', 'dynamic', 'ground')  # 0..6
CLASSES = {
    7: 'road',
    8: 'sidewalk',
    9: 'parking',
    10: 'rail track',
    11: 'building',
    12: 'wall',
    13: 'fence',
    14: 'guard rail',
    15: 'bridge',
    16: 'tunnel',
    17: 'pole',
    18: 'polegroup',
    19: 'traffic light',
    20: 'traffic sign',
    21: 'vegetation',
    22: 'terrain',
    23: 'sky',
    24: 'person',
    25: 'rider',
    26: 'car',
    27: 'truck',
    28: 'bus',
    29: 'caravan',
    30: 'trailer',
    31: 'train',
    32: 'motorcycle',
    33: 'bicycle',
}
PAPER_CLASSES = ('traffic light', 'traffic sign', 'terrain', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')


@DATASETS.register_module()
class Cityscapes(LabelMapSource):
    """One item is one image; one class is one object (docs/method.md, section 1).

    Layout, by the owners' readme (github.com/mcordts/cityscapesScripts): ``leftImg8bit/<split>/<city>/`` with
    ``<city>_<seq>_<frame>_leftImg8bit.png`` and ``gtFine/<split>/<city>/`` with ``..._gtFine_labelIds.png``. mmdet's
    ``CityscapesDataset`` does not fit: it reads COCO files made from them, of eight classes other than the paper's.

    Args:
        data_root: folder that holds ``leftImg8bit`` and ``gtFine``.
        split: ``'train'`` or ``'val'``; the maps of ``'test'`` are not public.
        anomaly_classes: classes that may be the anomaly, and the vocabulary; the other visible ones are present words.
        ignored_ids: ids that are no word at all; the void classes 0..6.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond the classes'. Names of other classes do no harm: where the map
            shows one, it is present.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count images without a map.
        lazy_init: leave the reading of the folders for ``full_init``.

    Raises:
        ValueError: ``anomaly_classes`` names no class of Cityscapes, or one that is ignored.
        DataError: a folder is missing or an image has no map.
    """

    # images of gtFine: readme of github.com/mcordts/cityscapesScripts
    PUBLISHED: ClassVar[Mapping[str, Mapping[str, int]]] = dict(train=dict(images=2975), val=dict(images=500))

    def __init__(
        self,
        *,
        data_root: str = 'data/cityscapes',
        split: str = 'train',
        anomaly_classes: Sequence[str] = PAPER_CLASSES,
        ignored_ids: Sequence[int] = tuple(range(len(VOID))),
        name: str = 'cityscapes',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        known = dict(enumerate(VOID)) | CLASSES
        names = {label: [word] for label, word in known.items() if label not in set(ignored_ids)}
        wanted = set(check_words(anomaly_classes, 'anomaly_classes'))
        odd = sorted(wanted - {word for words in names.values() for word in words})
        if odd:
            raise ValueError(f'anomaly_classes must be classes of Cityscapes that are not ignored, got {odd[0]!r}')
        targets = {label: words for label, words in names.items() if words[0] in wanted}
        self._classes = LabelTable(names, targets, frozenset(ignored_ids))
        super().__init__(
            name=name,
            data_root=data_root,
            split=split,
            image_folder=Path(data_root, 'leftImg8bit', split),
            map_folder=Path(data_root, 'gtFine', split),
            pipeline=pipeline,
            extra_words=extra_words,
            bad_annotations=bad_annotations,
            lazy_init=lazy_init,
        )

    def read_table(self) -> LabelTable:
        return self._classes

    def list_images(self) -> dict[str, Path]:
        return list_files(_list_cities(self._images), '_leftImg8bit.png')

    def list_maps(self) -> dict[str, Path]:
        return list_files(_list_cities(self._maps), '_gtFine_labelIds.png')


def _list_cities(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        raise DataError(f'{folder}: no such folder')
    return sorted(city for city in folder.iterdir() if city.is_dir())
