from pathlib import Path

import cv2
import numpy as np
import pytest

from lavida_mm.datasets.benchmarks.mask_sources import NpyMasks
from lavida_mm.datasets.benchmarks.shanghaitech import ShanghaiTech
from lavida_mm.datasets.video_reader import open_video
from lavida_mm.registry import DATASETS
from lavida_mm.utils.errors import DataError

HEIGHT, WIDTH = 12, 16
LABELS = {'01_0014': [0, 1, 1, 0, 1], '12_0142': [0, 0, 1]}  # video -> label of each frame


def make_masks(labels):
    masks = np.zeros((len(labels), HEIGHT, WIDTH), dtype=np.uint8)
    masks[np.array(labels) == 1, 2:5, 3:9] = 1
    return masks


def write_npy(path: Path, array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'wb') as file:
        np.save(file, np.asarray(array))


def write(root: Path, *, testing='testing', masks_in=None, frames=True, first='000', suffix='.npy', masks=True) -> Path:
    base = root / testing
    beside = base if masks_in is None else root / masks_in
    for video, labels in LABELS.items():
        if frames:
            folder = base / 'frames' / video
            folder.mkdir(parents=True)
            for number in range(len(labels)):
                name = f'{int(first) + number:0{len(first)}d}.jpg'
                cv2.imwrite(str(folder / name), np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8))
        write_npy(beside / 'test_frame_mask' / f'{video}{suffix}', np.array(labels, dtype=np.int8))
        if masks:
            write_npy(beside / 'test_pixel_mask' / f'{video}.npy', make_masks(labels))
    return root


def codes(benchmark):
    return [(finding.level, finding.code) for finding in benchmark.findings]


def check(benchmark, at_hand=True, masks=True):
    assert [record.video_id for record in benchmark.records] == list(LABELS)
    for record, labels in zip(benchmark.records, LABELS.values(), strict=True):
        assert record.has_ground_truth and record.num_frames == len(labels)
        assert record.frame_labels(len(labels)).tolist() == labels
        assert len(record.interval_categories) == len(record.intervals)
        found = record.pixel_masks(np.arange(len(labels)), HEIGHT, WIDTH)
        assert (found is not None) == masks
        if masks:
            assert np.array_equal(found, make_masks(labels) == 1)
        assert (record.path is not None) == at_hand
        if at_hand:
            with open_video(record.path) as reader:
                assert reader.num_frames == len(labels)
                means = [int(frame.mean().round()) for frame in reader.read(np.arange(len(labels)))]
                assert means == [10 * number for number in range(len(labels))]


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(first='000001'),
        dict(testing='.'),
        dict(testing='shanghaitech/testing'),
        dict(masks_in='.'),
        dict(suffix='.txt'),  # NumPy all the same
    ],
    ids=str,
)
def test_layouts(tmp_path, options):
    benchmark = ShanghaiTech(root=str(write(tmp_path, **options)))
    check(benchmark)
    assert benchmark.findings == [] and benchmark.layout.startswith('folders of frames, labels per frame, masks, in ')


def test_annotation_alone(tmp_path):
    benchmark = ShanghaiTech(root=write(tmp_path, frames=False))
    check(benchmark, at_hand=False)
    assert benchmark.findings == [] and benchmark.layout.startswith('annotation only')


def test_without_any_masks_there_are_frame_figures_only(tmp_path):
    benchmark = ShanghaiTech(root=write(tmp_path, masks=False))
    check(benchmark, masks=False)
    assert codes(benchmark) == [('warning', 'no-masks')]


def test_hidden_and_other_files_are_no_videos(tmp_path):
    write(tmp_path)
    (tmp_path / 'testing/frames/._01_0014').mkdir()
    (tmp_path / 'testing/frames/01_0014/.DS_Store').write_bytes(b'')
    (tmp_path / 'testing/frames/01_0014/._000.jpg').write_bytes(b'resource fork')
    (tmp_path / 'testing/test_frame_mask/README.txt').write_text('labels')
    check(ShanghaiTech(root=tmp_path))


def test_npy_labels_win_over_txt(tmp_path):
    write(tmp_path)
    write_npy(tmp_path / 'testing/test_frame_mask/01_0014.txt', [1, 1])
    check(ShanghaiTech(root=tmp_path))


def test_labels_where_0_is_abnormal(tmp_path):
    write(tmp_path)
    for video, labels in LABELS.items():
        write_npy(tmp_path / f'testing/test_frame_mask/{video}.npy', 1 - np.array(labels))
    with pytest.raises(DataError, match=r'01_0014\.npy: frame 1 is labelled normal and has anomalous pixels') as error:
        ShanghaiTech(root=tmp_path)
    assert 'read them with abnormal_label=0 (and 1 more' in str(error.value)
    check(ShanghaiTech(root=tmp_path, abnormal_label=0))
    with pytest.raises(ValueError, match='abnormal_label must be 0 or 1, got 2'):
        ShanghaiTech(root=tmp_path, abnormal_label=2)


def test_labels_where_0_is_abnormal_are_found_by_their_number_without_masks(tmp_path):
    labels = np.zeros(40_791, dtype=np.uint8)
    labels[:17_326] = 1
    path = tmp_path / 'testing/test_frame_mask/01_0014.npy'
    write_npy(path, labels)
    assert codes(ShanghaiTech(root=tmp_path)) == [('warning', 'no-masks')]
    write_npy(path, 1 - labels)
    with pytest.raises(DataError, match='23465 of 40791 frames are labelled anomalous, which is the published number'):
        ShanghaiTech(root=tmp_path)


@pytest.mark.parametrize(
    ('labels', 'code', 'rule'),
    [
        ([0, 1, 1, 0], 'length-differs', r'as many as frames, got 4 labels, 5 frames \(-1\)'),
        ([0, 1, 1, 0, 1, 0], 'length-differs', r'got 6 labels, 5 frames \(\+1\)'),
        ([0, 1, 2, 0, 1], 'bad-labels', 'must hold 0 and 1 or 0 and 255 only, got 0, 1, 2'),
        ([[0, 1, 1, 0, 1]], 'bad-labels', r'labels must be \(frames,\), got shape \(1, 5\)'),
        ([], 'bad-labels', r'got shape \(0,\)'),
        (['0', '1', '1', '0', '1'], 'bad-labels', 'must hold numbers, got type <U1'),
        ([None] * 5, 'bad-labels', 'is no whole NumPy file of numbers'),
    ],
)
def test_bad_labels(tmp_path, labels, code, rule):
    write(tmp_path)
    path = tmp_path / 'testing/test_frame_mask/01_0014.npy'
    write_npy(path, np.array(labels))
    benchmark = ShanghaiTech(root=tmp_path, strict=False)
    assert codes(benchmark) == [('error', code)]
    with pytest.raises(DataError, match=rule) as error:
        ShanghaiTech(root=tmp_path)
    assert str(error.value).startswith(f'{path}: ') and str(error.value).count(str(path)) == 1


def test_labels_that_are_text(tmp_path):
    write(tmp_path, suffix='.txt')
    (tmp_path / 'testing/test_frame_mask/01_0014.txt').write_text('0\n1\n1\n0\n1\n')
    with pytest.raises(DataError, match=r'01_0014\.txt: must be a NumPy file'):
        ShanghaiTech(root=tmp_path)


def test_a_video_without_anomaly_is_worth_knowing(tmp_path):
    write(tmp_path, masks=False)
    write_npy(tmp_path / 'testing/test_frame_mask/01_0014.npy', [0] * 5)
    assert codes(ShanghaiTech(root=tmp_path)) == [('warning', 'no-masks'), ('warning', 'no-anomaly')]


def test_missing_files(tmp_path):
    write(tmp_path)
    (tmp_path / 'testing/test_frame_mask/12_0142.npy').unlink()
    (tmp_path / 'testing/test_pixel_mask/01_0014.npy').unlink()
    (tmp_path / 'testing/frames/01_0014').rename(tmp_path / 'testing/frames/01_0099')
    found = {(finding.code, Path(finding.where).name) for finding in ShanghaiTech(root=tmp_path, strict=False).errors}
    assert found == {
        ('missing-labels', '12_0142.npy'),
        ('missing-masks', '01_0014.npy'),
        ('missing-video', '01_0014'),
        ('missing-labels', '01_0099.npy'),
        ('missing-masks', '01_0099.npy'),
    }


def test_missing_label_folder(tmp_path):
    (tmp_path / 'testing/frames/01_0014').mkdir(parents=True)
    with pytest.raises(DataError, match=r'test_frame_mask: must hold one label file \(\.npy\) per video, got none'):
        ShanghaiTech(root=tmp_path)


def test_empty_folders(tmp_path):
    with pytest.raises(DataError, match='holds no video and no annotation of benchmark shanghaitech'):
        ShanghaiTech(root=tmp_path)
    with pytest.raises(DataError, match='none: root of benchmark shanghaitech must be an existing folder'):
        ShanghaiTech(root=tmp_path / 'none')
    write(tmp_path)
    for file in (tmp_path / 'testing/frames/01_0014').iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r'frames/01_0014: must hold images \(\.jpg'):
        ShanghaiTech(root=tmp_path)


def test_a_missing_frame(tmp_path):
    write(tmp_path)
    (tmp_path / 'testing/frames/01_0014/002.jpg').unlink()
    with pytest.raises(
        DataError, match=r'images must count up by one, got 4 from 000\.jpg to 004\.jpg, without number 2'
    ):
        ShanghaiTech(root=tmp_path)


@pytest.mark.parametrize(
    ('masks', 'code', 'rule'),
    [
        (make_masks([0, 1, 1, 0]), 'length-differs', r'masks must be as many as frames, got 4 masks, 5 frames \(-1\)'),
        (make_masks([0, 1, 1, 0, 1])[0], 'bad-mask', r'masks must be \(frames, height, width\)'),
        (make_masks([0, 1, 1, 0, 1]) * 7, 'bad-mask', 'frame 1: must hold 0 and 1 or 0 and 255 only, got 0, 7'),
    ],
)
def test_bad_masks(tmp_path, masks, code, rule):
    write(tmp_path)
    path = tmp_path / 'testing/test_pixel_mask/01_0014.npy'
    write_npy(path, masks)
    assert codes(ShanghaiTech(root=tmp_path, strict=False)) == [('error', code)]
    with pytest.raises(DataError, match=rule) as error:
        ShanghaiTech(root=tmp_path)
    assert str(error.value).startswith(f'{path}: ')


def test_masks_of_another_size_than_the_frames(tmp_path):
    write(tmp_path)
    record = ShanghaiTech(root=tmp_path).records[0]
    assert isinstance(record.masks, NpyMasks)
    with pytest.raises(DataError, match=r'01_0014\.npy: masks must be 480 x 856 as the frames are, got 12 x 16'):
        record.pixel_masks([0], 480, 856)


def test_tracks(tmp_path):
    write(tmp_path)
    (tmp_path / 'tracks').mkdir()
    (tmp_path / 'tracks/01_0014.txt').write_text('1,1,3,2,8,4\n')
    with pytest.raises(DataError, match=r'12_0142\.txt: No such file; tracks must have one for each video'):
        ShanghaiTech(root=tmp_path, tracks=tmp_path / 'tracks')
    (tmp_path / 'tracks/12_0142.txt').write_text('')
    first, second = ShanghaiTech(root=tmp_path, tracks=tmp_path / 'tracks').records
    assert first.tracks.read().tolist() == [[1, 1, 3, 2, 8, 4]] and second.tracks.read().shape == (0, 6)


def test_it_is_built_from_a_config(tmp_path):
    benchmark = DATASETS.build(dict(type='ShanghaiTech', root=str(write(tmp_path))))
    assert benchmark.name == 'shanghaitech' and not benchmark.frame_only
    assert (benchmark.totals.videos, benchmark.totals.frames, benchmark.totals.anomalous_frames) == (107, 40791, 17326)
