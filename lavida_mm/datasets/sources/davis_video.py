"""Frame folders with palette masks for some frames, as DAVIS stores them, as a source of pseudo-anomalies."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lavida_mm.datasets.palette import MAX_NUMBER
from lavida_mm.datasets.sources.base_source import PseudoAnomalySource
from lavida_mm.datasets.sources.palette_video import pair_frames
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import check_words

__all__ = ['DavisVideoSource']


@DATASETS.register_module()
class DavisVideoSource(PseudoAnomalySource):
    """One item is one video of which the frames with a mask are used (docs/method.md, section 1; paper: Ref-DAVIS17).

    A mask is a palette or gray image whose pixel value is the number of the object, 0 is the background and 255 is
    undecided. Masks may show some objects only (in tools for annotation each new object is often marked in one
    frame), so all words of the video count as present in each of its frames.

    Args:
        words: video name -> number of the object -> its words or phrases. Its videos are the source's videos.
        data_root: folder that the other paths are relative to.
        image_folder: holds a folder of images per video.
        mask_folder: holds a folder of masks per video, named like the images.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary beyond those of the objects. A source of few videos needs some.
        lazy_init: leave the reading of the folders for ``full_init``.

    Raises:
        ValueError: ``words`` holds a blank word or a number that is none.
        DataError: a folder, an image or a mask is missing.
    """

    def __init__(
        self,
        *,
        words: Mapping[str, Mapping],
        data_root: str = '',
        image_folder: str = 'images',
        mask_folder: str = 'masks',
        name: str = 'davis_video',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        lazy_init: bool = False,
    ):
        self._words = _check_object_words(words)
        self._images = Path(data_root, image_folder)
        self._masks = Path(data_root, mask_folder)
        super().__init__(
            name=name,
            data_root=data_root,
            pipeline=pipeline,
            extra_words=extra_words,
            bad_annotations='error',
            lazy_init=lazy_init,
        )

    def index_files(self) -> list[Path]:
        """The folders of each video."""
        return [folder / video for video in self._words for folder in (self._images, self._masks)]

    def load_data_list(self) -> list[dict]:
        """List the frames and masks of every video."""
        self.set_vocabulary(word for objects in self._words.values() for words in objects.values() for word in words)
        return [self._load_video(video, objects) for video, objects in self._words.items()]

    def _load_video(self, video: str, objects: dict[int, list[str]]) -> dict:
        frames, faults = pair_frames(self._images / video, self._masks / video)
        if faults:
            raise DataError(faults[0])
        return dict(
            video_id=video,
            path=None,
            fps=0.0,
            **frames,
            object_ids=dict(objects),
            present_words=[word for words in objects.values() for word in words],
        )


def _check_object_words(words: Mapping[str, Mapping]) -> dict[str, dict[int, list[str]]]:
    found: dict[str, dict[int, list[str]]] = {}
    for video, objects in words.items():
        found[video] = {}
        for number, own in objects.items():
            if not str(number).isdigit() or not 0 < int(number) <= MAX_NUMBER:
                raise ValueError(f'words.{video} must be keyed by the numbers of its objects, 1..254, got {number!r}')
            found[video][int(number)] = check_words(own, f'words.{video}.{number}')
    return found
