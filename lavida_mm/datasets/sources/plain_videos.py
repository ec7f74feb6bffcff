"""A plain folder of videos as a source: normal footage, to paste anomalies into."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lavida_mm.datasets.benchmarks.folder import FolderBenchmark
from lavida_mm.datasets.readers.image_folder_reader import ImageFolderReader
from lavida_mm.datasets.sources.base_source import FaultLog, PseudoAnomalySource
from lavida_mm.datasets.video_reader import probe_video
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError
from lavida_mm.utils.words import check_words

__all__ = ['PlainVideoSource']


@DATASETS.register_module()
class PlainVideoSource(PseudoAnomalySource):
    """One item is one video at or below a folder: a video file, or a folder of images. ``FolderBenchmark`` lists them.

    Its objects, where there are any, have no words: it needs a sampler that brings some, ``PasteAnomalySampler``.

    Args:
        data_root: the folder; a video is called by its path from there, without suffix.
        mask_folder: relative to ``data_root``, below or outside of it; holds a folder of mask images for each video
            that has some, under the video's name. A mask per frame: named like the frame where frames are images,
            else in the order of the frames. ``LoadForegroundMasks`` says what they hold. None: no masks.
        normal_words: what is known to be in the footage. Such a word is never named as absent.
        name: what samples of this source are called.
        pipeline: transforms, from loading to packing.
        extra_words: words for the vocabulary, for samplers that use it.
        bad_annotations: ``'error'``, or ``'skip'`` to leave out and count videos that cannot be read or whose masks
            do not fit their frames.
        lazy_init: leave the reading of the folder for ``full_init``.

    Raises:
        DataError: the folder is missing or empty, or a video or its masks break a rule.
        ValueError: a word of ``normal_words`` is blank or stands there twice.
    """

    def __init__(
        self,
        *,
        data_root: str,
        mask_folder: str | None = None,
        normal_words: Sequence[str] = (),
        name: str = 'plain_videos',
        pipeline: Sequence[dict | Callable] = (),
        extra_words: Sequence[str] = (),
        bad_annotations: str = 'error',
        lazy_init: bool = False,
    ):
        self._masks = None if mask_folder is None else Path(data_root, mask_folder)
        self.normal_words = check_words(normal_words, 'normal_words') if normal_words else []
        super().__init__(
            name=name,
            data_root=data_root,
            pipeline=pipeline,
            extra_words=extra_words,
            bad_annotations=bad_annotations,
            lazy_init=lazy_init,
        )

    def index_files(self) -> list[Path]:
        """The folders that ``load_data_list`` looks through."""
        return [self.root] if self._masks is None else [self.root, self._masks]

    def counts(self) -> dict[str, int]:
        """Videos and frames."""
        return dict(videos=len(self), frames=sum(self.get_data_info(idx)['num_frames'] for idx in range(len(self))))

    def load_data_list(self) -> list[dict]:
        """List the videos, and look at the packets of each."""
        self.set_vocabulary(())
        if self._masks is not None and not self._masks.is_dir():
            raise DataError(f'{self._masks}: mask_folder of source {self.name!r} must be an existing folder')
        folder = FolderBenchmark(root=self.root, strict=False)
        faults = FaultLog(self.root, self.bad_annotations)
        for finding in folder.errors:
            if finding.code != 'unreadable-video':  # these are met again below
                faults.add(str(finding))
        infos = []
        for record in folder.records:
            path = Path(record.path or '')
            if self._masks is not None and path.is_relative_to(self._masks):
                continue
            try:
                infos.append(self._load_video(record.video_id, path))
            except DataError as error:
                faults.add(str(error))
        faults.report()
        if self._masks is not None and not any(info['mask_folder'] for info in infos):
            raise DataError(f'{self._masks}: must hold a folder of masks named like a video of {self.root}')
        return infos

    def get_data_info(self, idx: int) -> dict:
        """One video as the pipeline gets it."""
        info = super().get_data_info(idx)
        info['frame_ids'] = range(info['num_frames'])  # made here: a list per long video would fill the memory
        info['present_words'] = list(self.normal_words)
        return info

    def _load_video(self, video_id: str, path: Path) -> dict:
        if path.is_dir():
            frames = ImageFolderReader(path)
            num_frames, fps = frames.num_frames, 0.0
            names: list[str] | None = [file.stem for file in frames.files]
        else:
            probe = probe_video(path)
            num_frames, fps, names = probe.num_frames, probe.fps, None
        masks = None if self._masks is None else self._masks / video_id
        if masks is not None and not masks.is_dir():
            masks = None
        if masks is not None:
            _check_masks(masks, path, num_frames, names)
        return dict(
            video_id=video_id,
            path=str(path),
            num_frames=num_frames,
            fps=fps,
            mask_folder=None if masks is None else str(masks),
        )


def _check_masks(folder: Path, video: Path, num_frames: int, names: list[str] | None) -> None:
    masks = ImageFolderReader(folder)
    if masks.num_frames != num_frames:
        raise DataError(
            f'{folder}: must hold a mask for each of the {num_frames} frames of {video}, has {masks.num_frames}'
        )
    for name, file in zip(names or (), masks.files, strict=names is not None):
        if file.stem != name:
            raise DataError(f'{file}: must be named like the frame {name!r} of {video}')
