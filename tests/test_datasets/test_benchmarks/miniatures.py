"""Whole benchmarks of two or three tiny videos each, in the layout that their publishers gave out."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from tests.videos import red_square_frames, write_video

__all__ = ['MINIATURES']

SIZE = 32


def write_images(folder: Path, num_frames: int, pattern: str, *, gray: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(red_square_frames(num_frames, SIZE, SIZE, range(2, 5))):
        cv2.imwrite(str(folder / pattern.format(number, number + 1)), frame[..., 0] if gray else frame[..., ::-1])


def make_masks(num_frames: int, anomalous: range) -> np.ndarray:
    masks = np.zeros((num_frames, SIZE, SIZE), np.uint8)
    masks[anomalous.start : anomalous.stop, 8:24, 8:24] = 1
    return masks


def make_video(path: Path, num_frames: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = 'mpeg4' if path.suffix == '.avi' else 'libx264'
    write_video(path, red_square_frames(num_frames, SIZE, SIZE, range(2, 5)), codec=codec)


def make_ucf_crime(root: Path) -> None:
    make_video(root / 'Anomaly-Videos' / 'Abuse' / 'Abuse028_x264.mp4', 12)
    make_video(root / 'Anomaly-Videos' / 'Arrest' / 'Arrest001_x264.mp4', 10)
    make_video(root / 'Testing_Normal_Videos_Anomaly' / 'Normal_Videos_003_x264.mp4', 9)
    (root / 'Temporal_Anomaly_Annotation_for_Testing_Videos.txt').write_text(
        'Abuse028_x264  Abuse  3  5  8  9\n'
        'Arrest001_x264  Arrest  2  6  -1  -1\n'
        'Normal_Videos_003_x264  Normal  -1  -1  -1  -1\n'
    )


def make_xd_violence(root: Path) -> None:
    for name, length in (('Film.2001__#00-10-00_label_A', 8), ('v=abc__#1_label_B1-0-0', 12), ('x_label_G-B2-0', 9)):
        make_video(root / 'videos' / f'{name}.mp4', length)
    (root / 'annotations.txt').write_text('v=abc__#1_label_B1-0-0 1 3 6 8\nx_label_G-B2-0 2 5')  # no last newline


def make_ubnormal(root: Path) -> None:
    scene = root / 'Scene1'
    make_video(scene / 'abnormal_scene_1_scenario_1.mp4', 8)
    make_video(scene / 'normal_scene_1_scenario_7.mp4', 6)
    folder = scene / 'abnormal_scene_1_scenario_1_annotations'
    folder.mkdir()
    masks = make_masks(8, range(0, 8)) * 3
    for number in range(8):
        cv2.imwrite(str(folder / f'abnormal_scene_1_scenario_1_{number:04d}_gt.png'), masks[number])
    (folder / 'abnormal_scene_1_scenario_1_tracks.txt').write_bytes(b'3.0000e+00,2.0000e+00,4.0000e+00\r\n')
    (root / 'abnormal_test_video_names.txt').write_text('abnormal_scene_1_scenario_1')  # no last newline
    (root / 'normal_test_video_names.txt').write_text('normal_scene_1_scenario_7\n')


def make_shanghaitech(root: Path) -> None:
    for name, length in (('01_0014', 8), ('12_0003', 6)):
        write_images(root / 'testing' / 'frames' / name, length, '{0:03d}.jpg')
        masks = make_masks(length, range(2, 5))
        for folder, labels in (('test_frame_mask', masks.any(axis=(1, 2))), ('test_pixel_mask', masks)):
            (root / 'testing' / folder).mkdir(exist_ok=True)
            np.save(root / 'testing' / folder / f'{name}.npy', labels.astype(np.int8))


def make_ucsd(root: Path, number: int) -> None:
    folder = root / f'UCSDped{number}' / 'Test'
    for name, length in (('Test001', 8), ('Test002', 6)):
        write_images(folder / name, length, '{1:03d}.tif', gray=True)
        if number == 1 and name == 'Test002':  # Ped1 has masks for some clips only
            continue
        masks = make_masks(length, range(2, 5)) * 255
        (folder / f'{name}_gt').mkdir()
        for place in range(length):
            cv2.imwrite(str(folder / f'{name}_gt' / f'{place + 1:03d}.bmp'), masks[place])
    (folder / f'UCSDped{number}.m').write_text(
        'TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [3:5];\nTestVideoFile{end+1}.gt_frame = [3:5];\n'
    )


def make_avenue(root: Path) -> None:
    from scipy.io import savemat

    labels = root / 'ground_truth_demo' / 'testing_label_mask'
    labels.mkdir(parents=True)
    for number, length in ((1, 8), (2, 6)):
        make_video(root / 'testing_videos' / f'{number:02d}.avi', length)
        cell = np.empty((1, length), dtype=object)
        for place, mask in enumerate(make_masks(length, range(2, 5))):
            cell[0, place] = mask
        savemat(labels / f'{number}_label.mat', {'volLabel': cell})


def make_manifest(root: Path) -> None:
    make_video(root / 'monday.mp4', 8)
    make_video(root / 'tuesday.mp4', 6)
    (root / 'manifest.json').write_text(
        '{"version": 1, "name": "my yard", "categories": ["person"], "videos": ['
        '{"video_id": "monday", "path": "monday.mp4", "anomalies": [{"category": "person", "start": 2, "end": 5}]},'
        '{"video_id": "tuesday", "path": "tuesday.mp4", "anomalies": []}]}\n'
    )


def make_folder(root: Path) -> None:
    make_video(root / 'monday.mp4', 8)
    make_video(root / 'tuesday.mp4', 6)


# name of the benchmark -> what writes it into an empty folder
MINIATURES: dict[str, Callable[[Path], None]] = {
    'ucf_crime': make_ucf_crime,
    'xd_violence': make_xd_violence,
    'ubnormal': make_ubnormal,
    'shanghaitech': make_shanghaitech,
    'ucsd_ped1': lambda root: make_ucsd(root, 1),
    'ucsd_ped2': lambda root: make_ucsd(root, 2),
    'avenue': make_avenue,
    'manifest': make_manifest,
    'folder': make_folder,
}
