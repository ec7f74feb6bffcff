"""The scene-parsing release of ADE20K: indoor and outdoor scenes with a map of 150 classes."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from lavida_mm.datasets.sources.label_map_source import LabelMapSource, LabelTable, list_files
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import clean_word

__all__ = ['ADE20K']

NUM_COLUMNS = 5  # Idx, Ratio, Train, Val, Name
OTHER = 0  # "other objects", readme of github.com/CSAILVision/sceneparsing

# The paper leaves out 20 background classes and lists three of them or so. This list is ours: what fills or bounds a
# scene rather than being a thing in it.
BACKGROUND = (
    'wall',
    'building',
    'sky',
    'floor',
    'tree',
    'ceiling',
    'road',
    'windowpane',
    'grass',
    'sidewalk',
    'earth',
    'mountain',
    'plant',
    'water',
    'sea',
    'field',
    'sand',
    'path',
    'hill',
    'land',
)


@DATASETS.register_module()
class ADE20K(LabelMapSource):
    """One item is one image; one class is one object (docs/method.md, section 1).

    Layout, by the owners' readme (github.com/CSAILVision/sceneparsing; the archive is ADEChallengeData2016.zip):
    ``images/<split>/*.jpg``, ``annotations/<split>/*.png`` with ids 1..150 and 0 for other objects, and
    ``objectInfo150.txt`` with the names. A class has up to ten names there, of which several classes share some
    (``screen``): the first serves as its word, the others are present words wherever the class is seen. mmdet's
    ``ADE20KSegDataset`` does not fit: it takes no notice of a missing map and has a list of names of its own.

    Args:
        data_root: folder that holds ``images``, ``annotations`` and ``objectInfo150.txt``.
        split: ``'training'`` or ``'validation'``.
        background_classes: first names of classes that may not be the anomaly. The default is our list of 20.
        synonyms: let all names of a class serve as its words, instead of the first.
        ignored_ids: ids that are no word at all.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond those of the classes.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count images without a map.
        lazy_init: leave the reading of the folders for ``full_init``.

    Raises:
        DataError: a folder or the list of names is missing or breaks a rule, or an image has no map.
    """

    # images: readme of github.com/CSAILVision/sceneparsing
    PUBLISHED: ClassVar[Mapping[str, Mapping[str, int]]] = dict(
        training=dict(images=20210), validation=dict(images=2000)
    )

    def __init__(
        self,
        *,
        data_root: str = 'data/ADEChallengeData2016',
        split: str = 'training',
        background_classes: Sequence[str] = BACKGROUND,
        synonyms: bool = False,
        ignored_ids: Sequence[int] = (OTHER,),
        name: str = 'ade20k',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        self._names_file = Path(data_root, 'objectInfo150.txt')
        self._background = [clean_word(word) for word in background_classes]
        self._synonyms = synonyms
        self._ignored = frozenset(ignored_ids)
        super().__init__(
            name=name,
            data_root=data_root,
            split=split,
            image_folder=Path(data_root, 'images', split),
            map_folder=Path(data_root, 'annotations', split),
            pipeline=pipeline,
            extra_words=extra_words,
            bad_annotations=bad_annotations,
            lazy_init=lazy_init,
        )

    def index_files(self) -> list[Path]:
        """The list of names, then the folders that are listed."""
        return [self._names_file, *super().index_files()]

    def read_table(self) -> LabelTable:
        names = read_object_info(self._names_file)
        odd = sorted(set(self._background) - {words[0] for words in names.values()})
        if odd:
            raise DataError(f'{self._names_file}: must hold every class of background_classes, has no {odd[0]!r}')
        names = {label: words for label, words in names.items() if label not in self._ignored}
        targets = {
            label: words if self._synonyms else words[:1]
            for label, words in names.items()
            if words[0] not in self._background
        }
        table = LabelTable(names, targets, self._ignored)
        table.check(self._names_file)
        return table

    def list_images(self) -> dict[str, Path]:
        return list_files([self._images], '.jpg')

    def list_maps(self) -> dict[str, Path]:
        return list_files([self._maps], '.png')


def read_object_info(path: Path) -> dict[int, list[str]]:
    """The names of the classes by id, from a table of tab-separated columns under one line of headings.

    Raises:
        DataError: the file is missing, or a line breaks a rule.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()[1:]
    except OSError as error:
        raise DataError(f'{path}: {error.strerror or error}') from error
    except UnicodeDecodeError as error:
        raise DataError(f'{path}: must be text in UTF-8: {error}') from error
    names: dict[int, list[str]] = {}
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        columns = line.split('\t')
        words = [clean_word(word) for word in re.split('[,;]', columns[-1]) if word.strip()]
        label = columns[0].strip()
        if len(columns) != NUM_COLUMNS or not label.isdecimal() or not words:
            raise DataError(f'{path}: line {number} must be id, ratio, two counts and names, got {line!r:.80}')
        if int(label) in names:
            raise DataError(f'{path}: line {number}: id must be unique, got {label} twice')
        names[int(label)] = words
    if not names:
        raise DataError(f'{path}: must name at least one class')
    return names
