"""Ref-YouTube-VOS as a source of pseudo-anomalies."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from lavida_mm.datasets.sources.base_source import FaultLog, PseudoAnomalySource
from lavida_mm.datasets.sources.palette_video import make_palette_item
from lavida_mm.datasets.sources.youtube_vos_json import (
    group_phrases,
    load_videos,
    read_frames,
    read_objects,
    read_phrases,
)
from lavida_mm.registry import DATASETS

__all__ = ['RefYouTubeVOS']


@DATASETS.register_module()
class RefYouTubeVOS(PseudoAnomalySource):
    """One item is one video; objects are called by their phrases (docs/method.md, section 1; Seo et al. 2020).

    Reads the download as it is: ``meta_expressions/<split>/meta_expressions.json`` with the phrases, and frames,
    palette masks and ``meta.json`` of YouTube-VOS in ``<split>`` (youtube-vos.org/dataset/rvos). Objects that no phrase
    names are never targets; the categories of ``meta.json`` are never distractors where they are present. A phrase that
    stands at two objects of a video means both.

    Args:
        data_root: folder of ``meta_expressions`` and of the splits.
        split: name of the split's folders.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond the phrases.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count bad entries and missing files.
        lazy_init: leave the reading of the annotations for ``full_init``.

    Raises:
        DataError: a file or an entry breaks a rule.
    """

    # Seo et al. 2020 (URVOS), full-video phrases: 12,913 for 6,388 of the 6,459 objects. These are what is released.
    PUBLISHED: ClassVar[Mapping[str, Mapping[str, int]]] = {'train': dict(videos=3471, objects=6388, phrases=12913)}

    def __init__(
        self,
        *,
        data_root: str = 'data/ref_youtube_vos',
        split: str = 'train',
        name: str = 'ref_youtube_vos',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        self.split = split
        self._file = Path(data_root, 'meta_expressions', split, 'meta_expressions.json')
        self._objects = Path(data_root, split, 'meta.json')
        self._images = Path(data_root, split, 'JPEGImages')
        self._masks = Path(data_root, split, 'Annotations')
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
        """The files of the phrases and of the objects, and the folders that are listed."""
        return [self._file, self._objects, self._images, self._masks]

    def counts(self) -> dict[str, int]:
        """Videos, objects that a phrase names, and phrases."""
        return dict(self._counts)

    def load_data_list(self) -> list[dict]:
        """Read the phrases and the objects, and list the frames of the videos."""
        faults = FaultLog(self._file, self.bad_annotations)
        object_faults = FaultLog(self._objects, self.bad_annotations)
        entries = load_videos(self._objects)
        items, num_phrases = [], 0
        for video, expressions in load_videos(self._file).items():
            if video not in entries:
                faults.add(f'videos.{video} must be a video of {self._objects}')
                continue
            categories, _ = read_objects(video, entries[video], object_faults)
            phrases = read_phrases(video, expressions, categories, faults)
            frames = read_frames(f'videos.{video}', expressions, faults)
            if not phrases or not frames:
                continue
            objects = group_phrases(phrases, categories)
            item = make_palette_item(video, self._images, self._masks, objects, faults, frames)
            if item is None:
                continue
            item['present_words'] += [word for words in categories.values() for word in words]
            items.append(item)
            num_phrases += len(phrases)
        faults.report()
        object_faults.report()
        named = [words for item in items for words in item['object_ids'].values() if words]
        self.set_vocabulary(word for words in named for word in words)
        self._counts = dict(videos=len(items), objects=len(named), phrases=num_phrases)
        return items
