"""Mapillary Vistas as its owners ship it: street scenes with a palette map of classes, in two versions."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from lavida_mm.datasets.sources.coco_json import load_sections
from lavida_mm.datasets.sources.label_map_source import LabelMapSource, LabelTable, list_files
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import clean_word

__all__ = ['MapillaryVistas']

VOID = 'void--'  # what the full names of void--unlabeled, void--ego-vehicle, void--car-mount and others begin with
LAYOUTS = {'v1.2': ('labels', 'config.json'), 'v2.0': ('v2.0/labels', 'config_v2.0.json')}


@DATASETS.register_module()
class MapillaryVistas(LabelMapSource):
    """One item is one image; one class is one object (docs/method.md, section 1).

    Layout of version 1.2: ``<split>/images/*.jpg``, ``<split>/labels/*.png`` and ``config.json``; of version 2.0:
    ``<split>/v2.0/labels`` and ``config_v2.0.json`` (the owners' readme and demo.py in each archive). The archive of
    2.0 holds 1.2 too: ``label_folder='v1.2/labels', config_file='config_v1.2.json'``. Pixel values are places in the
    list ``labels`` of the config (github.com/mapillary/mapillary_vistas), whose ``readable`` is the word, in lower
    case. mmdet has no reader of it.

    Args:
        data_root: folder that holds the splits and the config.
        split: ``'training'`` or ``'validation'``; the maps of ``'testing'`` are not public.
        version: ``'v1.2'`` (66 classes) or ``'v2.0'`` (124 classes).
        label_folder: folder of the maps in that of the split, where it is not the version's.
        config_file: where it is not the version's.
        background_classes: classes that may not be the anomaly, by their words in lower case.
        ignored_ids: ids that are no word at all; where none are given, the void classes.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond those of the classes.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count images without a map.
        lazy_init: leave the reading of the folders for ``full_init``.

    Raises:
        ValueError: there is no such version.
        DataError: a folder or the config is missing or breaks a rule, or an image has no map.
    """

    # images of training and validation, the same in both versions: research.mapillary.com/eccv18
    PUBLISHED: ClassVar[Mapping[str, Mapping[str, int]]] = dict(
        training=dict(images=18000), validation=dict(images=2000)
    )

    def __init__(
        self,
        *,
        data_root: str = 'data/mapillary_vistas',
        split: str = 'training',
        version: str = 'v1.2',
        label_folder: str | None = None,
        config_file: str | None = None,
        background_classes: Sequence[str] = (),
        ignored_ids: Sequence[int] | None = None,
        name: str = 'mapillary',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        if version not in LAYOUTS:
            raise ValueError(f'version must be one of {sorted(LAYOUTS)}, got {version!r}')
        usual_folder, usual_file = LAYOUTS[version]
        self._config = Path(data_root, usual_file if config_file is None else config_file)
        self._background = [clean_word(word) for word in background_classes]
        self._ignored = None if ignored_ids is None else frozenset(ignored_ids)
        super().__init__(
            name=name,
            data_root=data_root,
            split=split,
            image_folder=Path(data_root, split, 'images'),
            map_folder=Path(data_root, split, usual_folder if label_folder is None else label_folder),
            pipeline=pipeline,
            extra_words=extra_words,
            bad_annotations=bad_annotations,
            lazy_init=lazy_init,
        )

    def index_files(self) -> list[Path]:
        """The config, then the folders that are listed."""
        return [self._config, *super().index_files()]

    def read_table(self) -> LabelTable:
        labels = load_sections(self._config, ('labels',))['labels']
        names: dict[int, list[str]] = {}
        for label, record in enumerate(labels):
            for field in ('name', 'readable'):
                if not isinstance(record.get(field), str) or not record[field].strip():
                    raise DataError(f'{self._config}: labels[{label}].{field} must be text, got {record.get(field)!r}')
            names[label] = [clean_word(record['readable']).lower()]
        void = frozenset(label for label, record in enumerate(labels) if record['name'].startswith(VOID))
        ignored = void if self._ignored is None else self._ignored
        odd = sorted(set(self._background) - {words[0] for words in names.values()})
        if odd:
            raise DataError(f'{self._config}: must hold every class of background_classes, has no {odd[0]!r}')
        names = {label: words for label, words in names.items() if label not in ignored}
        targets = {label: words for label, words in names.items() if words[0] not in self._background}
        table = LabelTable(names, targets, ignored)
        table.check(self._config)
        return table

    def list_images(self) -> dict[str, Path]:
        return list_files([self._images], '.jpg')

    def list_maps(self) -> dict[str, Path]:
        return list_files([self._maps], '.png')
