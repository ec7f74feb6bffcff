"""Finds the frames of a video that have both an image and a palette mask, in the layout of DAVIS and YouTube-VOS."""

from collections.abc import Collection
from pathlib import Path

from lavida_mm.datasets.sources.base_source import FaultLog
from lavida_mm.datasets.video_reader import IMAGE_SUFFIXES
from lavida_mm.utils.errors import DataError

__all__ = ['list_images', 'make_palette_item', 'pair_frames']


def list_images(folder: Path) -> dict[str, Path]:
    """The images of a folder by their name without suffix, sorted.

    Raises:
        DataError: there is no such folder, or it holds no image.
    """
    if not folder.is_dir():
        raise DataError(f'{folder}: no such folder')
    files = sorted(
        file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith('.')
    )
    if not files:
        raise DataError(f'{folder}: the folder holds no image')
    return {file.stem: file for file in files}


def pair_frames(images: Path, masks: Path, required: Collection[str] | None = ()) -> tuple[dict, list[str]]:
    """The frames that have an image and a mask of one name.

    Args:
        images: folder of the images; a frame's number is its place among them, sorted by name.
        masks: folder of the masks.
        required: names without suffix of the frames that must have both; None means every image.

    Returns:
        dict(num_frames, frame_ids, frame_files, mask_files), the files by frame number; and what is wrong.

    Raises:
        DataError: a folder is missing or empty.
    """
    image_files, mask_files = list_images(images), list_images(masks)
    if required is None:
        required = image_files
    faults = [
        f'{file}: must have an image of its name in {images}'
        for stem, file in mask_files.items()
        if stem not in image_files
    ]
    faults += [f'{masks}: frame {stem!r} must have a mask' for stem in required if stem not in mask_files]
    paired = {number: stem for number, stem in enumerate(image_files) if stem in mask_files}
    frames = dict(
        num_frames=len(image_files),
        frame_ids=list(paired),
        frame_files={number: str(image_files[stem]) for number, stem in paired.items()},
        mask_files={number: str(mask_files[stem]) for number, stem in paired.items()},
    )
    return frames, faults


def make_palette_item(
    video: str,
    images: Path,
    masks: Path,
    objects: dict[int, list[str]],
    faults: FaultLog,
    required: Collection[str] | None,
) -> dict | None:
    """One item of a source for ``LoadPaletteMasks``, or None where the video has no frame to draw.

    All words of the video count as present in each of its clips: an object can be in sight before its first mask.

    Args:
        video: name of the video, and of its folders.
        images: folder of the folders of images.
        masks: folder of the folders of masks.
        objects: number of each object that masks may show -> its words, which may be none.
        faults: hears of missing files.
        required: see ``pair_frames``.
    """
    try:
        frames, missing = pair_frames(images / video, masks / video, required)
    except DataError as error:
        faults.add(str(error))
        return None
    for fault in missing:
        faults.add(fault)
    if not frames['frame_ids']:
        faults.add(f'{images / video}: must share a frame with {masks / video}')
        return None
    return dict(
        video_id=video,
        ann_file=str(faults.file),
        path=None,
        fps=0.0,
        **frames,
        object_ids=objects,
        present_words=[word for words in objects.values() for word in words],
    )
