"""YouTube-VOS as a source of pseudo-anomalies."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from lavida_mm.datasets.sources.base_source import FaultLog, PseudoAnomalySource
from lavida_mm.datasets.sources.palette_video import make_palette_item
from lavida_mm.datasets.sources.youtube_vos_json import load_videos, read_objects
from lavida_mm.registry import DATASETS

__all__ = ['YouTubeVOS']


@DATASETS.register_module()
class YouTubeVOS(PseudoAnomalySource):
    """One item is one video; its objects are called by their category (docs/method.md, section 1; Xu et al. 2018).

    Reads the download as it is: ``<split>/meta.json``, ``<split>/JPEGImages/<video>/<frame>.jpg`` and
    ``<split>/Annotations/<video>/<frame>.png``, palette images. Every fifth frame is annotated, and the standard
    download holds those alone (youtube-vos.org/dataset/vos: 6 of 30 frames a second). Frames without a mask, as in
    ``train_all_frames``, are never drawn. Only ``train`` has masks of all frames.

    Args:
        data_root: folder of the splits.
        split: folder of ``meta.json`` and of the masks.
        image_folder: holds a folder of images per video; ``<split>/JPEGImages`` by default.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond the categories.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count bad entries and missing files.
        lazy_init: leave the reading of the annotations for ``full_init``.

    Raises:
        DataError: a file or an entry breaks a rule.
    """

    # Version of 2019, youtube-vos.org/dataset/vos; that of 2018 has 5,945 objects.
    PUBLISHED: ClassVar[Mapping[str, Mapping[str, int]]] = {'train': dict(videos=3471, objects=6459, categories=65)}

    def __init__(
        self,
        *,
        data_root: str = 'data/youtube_vos',
        split: str = 'train',
        image_folder: str | None = None,
        name: str = 'youtube_vos',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        self.split = split
        self._file = Path(data_root, split, 'meta.json')
        self._images = Path(data_root, image_folder or f'{split}/JPEGImages')
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
        """The file of the objects, and the folders that are listed."""
        return [self._file, self._images, self._masks]

    def counts(self) -> dict[str, int]:
        """Videos, their objects, and categories of these."""
        return dict(self._counts)

    def load_data_list(self) -> list[dict]:
        """Read ``meta.json`` and list the frames of its videos."""
        faults = FaultLog(self._file, self.bad_annotations)
        found = []
        for video, entry in load_videos(self._file).items():
            objects, frames = read_objects(video, entry, faults)
            if objects:
                found.append(make_palette_item(video, self._images, self._masks, objects, faults, frames))
        faults.report()
        items = [item for item in found if item is not None]
        words = [word for item in items for word in item['present_words']]
        self.set_vocabulary(words)
        self._counts = dict(
            videos=len(items),
            objects=sum(len(item['object_ids']) for item in items),
            categories=len(set(words)),
        )
        return items
