import shutil

import cv2
import numpy as np
import pytest

from lavida_mm.datasets.benchmarks.folder import FolderBenchmark
from lavida_mm.datasets.video_reader import open_video
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError
from tests.videos import red_square_frames, write_video


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp('clip') / 'clip.mp4', red_square_frames(5))


def put(clip, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return shutil.copy(clip, path)


def put_images(folder, number=3, suffix='.jpg'):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        cv2.imwrite(str(folder / f'{index:03d}{suffix}'), np.full((8, 8, 3), 20 * index, np.uint8))


def test_videos_anywhere_and_folders_of_images(tmp_path, clip):
    put(clip, tmp_path / 'monday.mp4')
    put(clip, tmp_path / 'gate' / 'north, 2#1' / 'cam.1=a.MP4')
    put(clip, tmp_path / 'gate' / 'monday.mkv')
    put_images(tmp_path / 'hall' / 'frames', 3)
    put_images(tmp_path / 'yard', 2, '.TIF')
    (tmp_path / 'notes.txt').write_text('no video')
    put_images(tmp_path / '.thumbnails')
    (tmp_path / 'gate' / '._monday.mkv').write_bytes(b'')
    benchmark = DATASETS.build(dict(type='FolderBenchmark', root=str(tmp_path)))
    assert benchmark.name == 'folder' and not benchmark.findings and benchmark.options == {}
    assert benchmark.layout == '3 video files, 2 folders of images'
    records = {record.video_id: record for record in benchmark.records}
    assert list(records) == ['gate/monday', 'gate/north, 2#1/cam.1=a', 'hall/frames', 'monday', 'yard']
    assert [record.num_frames for record in records.values()] == [None, None, 3, None, 2]
    assert not any(record.has_ground_truth for record in records.values())
    for record in records.values():
        with open_video(record.path, 'pyav') as reader:
            assert reader.num_frames == (record.num_frames or 5)


def test_images_in_the_folder_itself_are_one_video(tmp_path):
    put_images(tmp_path / 'walk')
    (record,) = FolderBenchmark(root=tmp_path / 'walk').records
    assert (record.video_id, record.path, record.num_frames) == ('walk', tmp_path / 'walk', 3)


def test_images_beside_videos_are_no_video(tmp_path, clip):
    put(clip, tmp_path / 'a.mp4')
    put_images(tmp_path)
    benchmark = FolderBenchmark(root=tmp_path)
    assert [record.video_id for record in benchmark.records] == ['a']
    assert [(finding.level, finding.code) for finding in benchmark.findings] == [('warning', 'images-beside-videos')]


@pytest.mark.parametrize('other', ['a.avi', 'a.MP4', 'a'])
def test_two_videos_of_one_name(tmp_path, clip, other):
    put(clip, tmp_path / 'a.mp4')
    if other == 'a':
        put_images(tmp_path / other)
    else:
        put(clip, tmp_path / other)
    with pytest.raises(DataError, match=r"has the name 'a' of .*: rename one of them"):
        FolderBenchmark(root=tmp_path)
    assert len(FolderBenchmark(root=tmp_path, strict=False).records) == 1


def test_an_empty_folder(tmp_path):
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'readme.txt').write_text('x')
    with pytest.raises(DataError, match='holds no video and no annotation of benchmark folder'):
        FolderBenchmark(root=tmp_path)


def test_empty_files_and_broken_links(tmp_path, clip):
    put(clip, tmp_path / 'a.mp4')
    (tmp_path / 'b.mp4').write_bytes(b'')
    (tmp_path / 'c.mp4').symlink_to(tmp_path / 'nowhere.mp4')
    with pytest.raises(DataError, match=r'b\.mp4: must hold a video, is empty \(0 bytes\) \(and 1 more'):
        FolderBenchmark(root=tmp_path)
