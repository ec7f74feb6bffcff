"""Ref-DAVIS17 as a source of pseudo-anomalies."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from lavida_mm.datasets.palette import list_numbers, read_palette
from lavida_mm.datasets.sources.base_source import FaultLog, PseudoAnomalySource
from lavida_mm.datasets.sources.davis_text import read_davis_text
from lavida_mm.datasets.sources.palette_video import make_palette_item
from lavida_mm.datasets.sources.youtube_vos_json import group_phrases, load_videos, read_frames, read_phrases
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError

__all__ = ['RefDAVIS17']

TEXT_FILES = (
    'Davis17_annot1.txt',
    'Davis17_annot1_full_video.txt',
    'Davis17_annot2.txt',
    'Davis17_annot2_full_video.txt',
)


@DATASETS.register_module()
class RefDAVIS17(PseudoAnomalySource):
    """One item is one video; objects are called by their phrases (docs/method.md, section 1; Khoreva et al. 2018).

    Two layouts are read as they are:

    - ``'davis'``, the downloads: ``DAVIS/ImageSets/2017/<split>.txt``, ``DAVIS/JPEGImages/480p/<video>`` and
      ``DAVIS/Annotations/480p/<video>``, palette masks of every frame (davischallenge.org, DAVIS 2017 trainval), beside
      ``davis_text_annotations``: two annotators, who saw the first frame or the full video.
    - ``'youtube_vos'``, what the converter of ReferFormer makes of it: ``<split>/JPEGImages``, ``<split>/Annotations``
      and ``meta_expressions/<split>/meta_expressions.json``, with the splits ``train`` and ``valid``.

    No file lists the objects, so that what a phrase names is looked up in the masks, of which the first mostly does:
    DAVIS defines its objects there. Objects of the masks that no phrase names are left out.

    Args:
        data_root: folder that holds the above.
        layout: ``'davis'`` or ``'youtube_vos'``.
        split: ``train`` or ``val``; ``valid`` in the other layout.
        resolution: folder of the frames in the layout ``'davis'``.
        mask_folder: folder of the masks in the layout ``'davis'``. The phrases number the objects of ``Annotations``;
            ``Annotations_unsupervised`` numbers more of them.
        text_files: which files of ``davis_text_annotations`` to read.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond the phrases.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count bad entries and missing files.
        lazy_init: leave the reading of the annotations for ``full_init``.

    Raises:
        ValueError: ``layout`` is none of the two, or ``text_files`` is empty.
        DataError: a file or an entry breaks a rule.
    """

    # Pont-Tuset et al. 2017, table 1. Each object has four phrases, but no total of them is published for a split.
    PUBLISHED: ClassVar[Mapping[str, Mapping[str, int]]] = {
        'train': dict(videos=60, objects=144),
        'val': dict(videos=30, objects=61),
        'valid': dict(videos=30, objects=61),
    }

    def __init__(
        self,
        *,
        data_root: str = 'data/ref_davis17',
        layout: str = 'davis',
        split: str = 'train',
        resolution: str = '480p',
        mask_folder: str = 'Annotations',
        text_files: Sequence[str] = TEXT_FILES,
        name: str = 'ref_davis17',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        if layout not in ('davis', 'youtube_vos'):
            raise ValueError(f"layout must be 'davis' or 'youtube_vos', got {layout!r}")
        if isinstance(text_files, str) or not text_files:
            raise ValueError(f'text_files must be a list of at least one file, got {text_files!r}')
        self.split = split
        root = Path(data_root)
        if layout == 'davis':
            self._file = root / 'DAVIS' / 'ImageSets' / '2017' / f'{split}.txt'
            self._texts = [root / 'davis_text_annotations' / file for file in text_files]
            self._images = root / 'DAVIS' / 'JPEGImages' / resolution
            self._masks = root / 'DAVIS' / mask_folder / resolution
        else:
            self._file = root / 'meta_expressions' / split / 'meta_expressions.json'
            self._texts = []
            self._images = root / split / 'JPEGImages'
            self._masks = root / split / 'Annotations'
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
        """The list of the videos, the files of the phrases, and the folders that are listed."""
        return [self._file, *self._texts, self._images, self._masks]

    def counts(self) -> dict[str, int]:
        """Videos, objects that a phrase names, and phrases."""
        return dict(self._counts)

    def load_data_list(self) -> list[dict]:
        """Read the phrases, list the frames, and look into the first masks."""
        faults = FaultLog(self._file, self.bad_annotations)
        read = self._read_text(faults) if self._texts else self._read_json(faults)
        items, num_phrases = [], 0
        for video, (phrases, required) in read.items():
            item = make_palette_item(video, self._images, self._masks, {}, faults, required)
            if item is None:
                continue
            phrases = _keep_visible(video, phrases, item['mask_files'].values(), faults)
            if not phrases:
                continue
            item['object_ids'] = group_phrases(phrases, sorted({number for number, _ in phrases}))
            item['present_words'] = [phrase for own in item['object_ids'].values() for phrase in own]
            item['other_objects'] = True
            items.append(item)
            num_phrases += len(phrases)
        faults.report()
        named = [words for item in items for words in item['object_ids'].values()]
        self.set_vocabulary(phrase for words in named for phrase in words)
        self._counts = dict(videos=len(items), objects=len(named), phrases=num_phrases)
        return items

    def _read_text(self, faults: FaultLog) -> dict[str, tuple[list[tuple[int, str]], list[str] | None]]:
        """video -> its phrases, and None: all its frames must have a mask."""
        try:
            videos = self._file.read_text(encoding='utf-8').split()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f'{self._file}: {getattr(error, "strerror", None) or error}') from error
        if not videos:
            raise DataError(f'{self._file}: must name at least one video')
        texts = [read_davis_text(path, faults) for path in self._texts]
        found: dict[str, tuple[list[tuple[int, str]], list[str] | None]] = {}
        for video in videos:
            phrases = [phrase for text in texts for phrase in text.get(video, [])]
            if phrases:
                found[video] = (phrases, None)
            else:
                faults.add(f'{video} must have at least one phrase in {self._texts[0].parent}')
        return found

    def _read_json(self, faults: FaultLog) -> dict[str, tuple[list[tuple[int, str]], list[str] | None]]:
        """video -> its phrases, and the frames that must have a mask."""
        found: dict[str, tuple[list[tuple[int, str]], list[str] | None]] = {}
        for video, entry in load_videos(self._file).items():
            phrases = read_phrases(video, entry, None, faults)
            frames = read_frames(f'videos.{video}', entry, faults)
            if phrases and frames:
                found[video] = (phrases, frames)
        return found


def _keep_visible(
    video: str, phrases: list[tuple[int, str]], masks: Iterable[str], faults: FaultLog
) -> list[tuple[int, str]]:
    """The phrases whose object a mask of the video shows; no more masks are read than needed for that."""
    open_numbers = {number for number, _ in phrases}
    for mask in masks:
        try:
            open_numbers -= list_numbers(read_palette(mask))
        except DataError as error:
            faults.add(str(error))
        if not open_numbers:
            break
    for number in sorted(open_numbers):
        faults.add(f'{video}: phrases must refer to objects that its masks show, got object {number}')
    return [(number, phrase) for number, phrase in phrases if number not in open_numbers]
