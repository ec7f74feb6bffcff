"""What sources of images with label maps share: a table of classes, and an image for every map."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lavida_mm.datasets.sources.base_source import FaultLog, PseudoAnomalySource
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import word_key

__all__ = ['LabelMapSource', 'LabelTable', 'list_files', 'pair_files']


@dataclass(frozen=True)
class LabelTable:
    """What the ids of a label map mean.

    Attributes:
        names: id -> all names of the class, at least one; of each class that can be seen.
        targets: id -> words of the class, of those classes that may be the anomaly.
        ignored: ids that mean nothing in particular, such as void.
    """

    names: Mapping[int, list[str]]
    targets: Mapping[int, list[str]]
    ignored: frozenset[int]

    def check(self, where: object) -> None:
        """Refuse two classes of the same first name.

        Args:
            where: the file or the field that the names come from.
        """
        first: dict[str, int] = {}
        for label, names in self.names.items():
            other = first.setdefault(word_key(names[0]), label)
            if other != label:
                raise DataError(f'{where}: class names must not repeat, got {names[0]!r} for {other} and {label}')


class LabelMapSource(PseudoAnomalySource, ABC):
    """Base of the sources whose items are an image and a label map; one class is one object.

    A subclass says which classes there are (``read_table``) and where images and maps lie (``list_images`` and
    ``list_maps``, by what both have in common of their names). Classes that may not be the anomaly are known to be
    present where the map shows them. The pipeline reads with ``SampleClip``, ``LoadClipFrames``, ``LoadLabelMap``.

    Args:
        name: what samples of this source are called.
        data_root: folder that the other paths are relative to.
        split: part of the data set; a key of ``PUBLISHED`` where its size is known.
        image_folder: folder of the images of the split.
        map_folder: folder of the label maps of the split.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond those of the classes that may be the anomaly.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count images without a map and maps without an
            image.
        lazy_init: leave the reading of the folders for ``full_init``.

    Raises:
        DataError: a folder is missing, an image has no map, or the table of classes breaks a rule.
    """

    def __init__(
        self,
        *,
        name: str,
        data_root: str,
        split: str,
        image_folder: Path,
        map_folder: Path,
        pipeline: Sequence[dict | Callable],
        extra_words: Sequence[str],
        bad_annotations: str,
        lazy_init: bool,
    ):
        self.split = split
        self._images = image_folder
        self._maps = map_folder
        super().__init__(
            name=name,
            data_root=data_root,
            pipeline=pipeline,
            extra_words=extra_words,
            bad_annotations=bad_annotations,
            lazy_init=lazy_init,
        )

    @cached_property
    def table(self) -> LabelTable:
        """The classes, read when they are first needed."""
        return self.read_table()

    @abstractmethod
    def read_table(self) -> LabelTable:
        """The classes."""

    @abstractmethod
    def list_images(self) -> dict[str, Path]:
        """The images by name."""

    @abstractmethod
    def list_maps(self) -> dict[str, Path]:
        """The label maps by the name of their image."""

    def index_files(self) -> list[Path]:
        """The folders that are listed."""
        return [self._images, self._maps]

    def counts(self) -> dict[str, int]:
        """Number of images."""
        return dict(images=len(self))

    def load_data_list(self) -> list[dict]:
        """List the images that have a map."""
        self.set_vocabulary(word for words in self.table.targets.values() for word in words)
        faults = FaultLog(self._maps, self.bad_annotations)
        pairs = pair_files(self.list_images(), self.list_maps(), faults)
        faults.report()
        return [
            dict(
                video_id=name,
                path=None,
                fps=0.0,
                num_frames=1,
                frame_ids=[0],
                frame_files={0: str(image)},
                label_file=str(label_map),
            )
            for name, image, label_map in pairs
        ]

    def get_data_info(self, idx: int) -> dict:
        """One image with its map; the table, which all share, is added here."""
        info = super().get_data_info(idx)
        info['label_words'] = self.table.names
        info['target_words'] = self.table.targets
        info['ignored_ids'] = self.table.ignored
        return info


def list_files(folders: Iterable[Path], suffix: str) -> dict[str, Path]:
    """Files of some folders by their name without ``suffix``; hidden ones do not count.

    Raises:
        DataError: a folder is missing.
    """
    found = {}
    for folder in folders:
        try:
            files = sorted(folder.iterdir())
        except OSError as error:
            raise DataError(f'{folder}: {error.strerror or error}') from error
        for file in files:
            if file.name.endswith(suffix) and not file.name.startswith('.'):
                found[file.name.removesuffix(suffix)] = file
    return found


def pair_files(images: Mapping[str, Path], maps: Mapping[str, Path], faults: FaultLog) -> list[tuple[str, Path, Path]]:
    """Name, image and map of all that have both, by name; ``faults`` hears of the others."""
    pairs = []
    for name in sorted(images.keys() | maps.keys()):
        if name not in maps:
            faults.add(f'image {str(images[name])!r} must have a label map')
        elif name not in images:
            faults.add(f'label map {str(maps[name])!r} must have an image')
        else:
            pairs.append((name, images[name], maps[name]))
    return pairs
