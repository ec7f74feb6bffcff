"""Reads any folder of videos, without ground truth."""

from collections.abc import Sequence
from pathlib import Path

from lavida_mm.datasets.benchmarks.base_benchmark import BaseBenchmark
from lavida_mm.datasets.benchmarks.video_files import is_video, strip_suffix, walk_folders
from lavida_mm.datasets.readers.image_folder_reader import IMAGE_SUFFIXES
from lavida_mm.registry import DATASETS
from lavida_mm.structures import VideoRecord

__all__ = ['FolderBenchmark']


@DATASETS.register_module()
class FolderBenchmark(BaseBenchmark):
    """All videos at and below a folder, and all of its folders that hold images, each of them a video.

    Nothing is known of anomalies: such a benchmark gets scores and no figures. A video is called by its path from the
    folder, without suffix: ``gate/monday`` for ``gate/monday.mp4`` and for a folder of images ``gate/monday/``.
    Images beside videos, such as thumbnails, are passed over, and so is what is hidden.

    Args:
        root: the folder.
        strict: raise at the first error; else collect all in ``findings``.

    Raises:
        DataError: with ``strict``, an error was found: no video, an empty file, two videos of one name.
    """

    name = 'folder'

    def __init__(self, *, root: str | Path, strict: bool = True):
        super().__init__(root=root, strict=strict)

    def _read(self) -> Sequence[VideoRecord]:
        records: dict[str, VideoRecord] = {}
        num_folders = 0
        for folder, names in walk_folders(self, self.root):
            files = [folder / name for name in names if is_video(name)]
            images = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
            for file in files:
                relative = file.relative_to(self.root)
                self._add(records, relative.with_name(strip_suffix(relative.name)).as_posix(), file, None)
            if images and files:
                self.warn(
                    'images-beside-videos', folder, f'{len(images)} images beside videos are passed over ({images[0]})'
                )
            elif images:
                num_folders += 1
                video_id = self.root.resolve().name if folder == self.root else folder.relative_to(self.root).as_posix()
                self._add(records, video_id, folder, len(images))
        num_files = len(records) - num_folders
        self.layout = f'{num_files} video files, {num_folders} folders of images'
        return [records[video_id] for video_id in sorted(records)]

    def _add(self, records: dict[str, VideoRecord], video_id: str, path: Path, num_frames: int | None) -> None:
        if video_id in records:
            self.error(
                'duplicate-video', path, f'has the name {video_id!r} of {records[video_id].path}: rename one of them'
            )
            return
        try:
            size = path.stat().st_size
        except OSError as error:
            self.error('unreadable-video', path, f'cannot be read: {error.strerror or error}')
            return
        if num_frames is None and not size:
            self.error('unreadable-video', path, 'must hold a video, is empty (0 bytes)')
        records[video_id] = VideoRecord(
            video_id=video_id, path=path, num_frames=num_frames, has_ground_truth=False, origin=str(path)
        )
